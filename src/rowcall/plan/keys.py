"""How keys and path columns are read and compared: integers as BIGINT, everything else by its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rowcall.mapping.model import Entity
from rowcall.schema import Column, Schema, Table, Type
from rowcall.sql import ident, literal, qualified

BIGINT, VARCHAR = "BIGINT", "VARCHAR"


def bare(type_: Type) -> Type:
    """The type under any domain."""
    return bare(type_.base) if type_.base else type_


def kind(column: Column) -> str:
    """The DuckDB type that a column's values are compared as."""
    return BIGINT if bare(column.type).is_integer else VARCHAR


def read_as(column: Column, alias: str = "") -> str:
    """Postgres SQL that reads a column for comparing. Numerics without trailing zeros: 1.00 and 1 are one key."""
    name = ident(alias, column.name) if alias else ident(column.name)
    if kind(column) == BIGINT:
        return f"{name}::int8"
    if bare(column.type).name == "numeric":
        return f"case when {name}::text like '%.%' then rtrim(rtrim({name}::text, '0'), '.') else {name}::text end"
    return f"{name}::text"


def same(left: str, left_kind: str, right: str, right_kind: str) -> str:
    """DuckDB SQL: whether two path columns are equal. A number and a text are compared as text."""
    if left_kind == right_kind:
        return f"{left} = {right}"
    return f"{left}::varchar = {right}::varchar"


@dataclass(frozen=True)
class Key:
    """An entity's source key. `sql` reads it in Postgres as one value of `kind`; composite keys are JSON arrays."""

    columns: tuple[Column, ...]

    @property
    def kind(self) -> str:
        return kind(self.columns[0]) if len(self.columns) == 1 else VARCHAR

    @property
    def sql(self) -> str:
        if len(self.columns) == 1:
            return f"{ident(self.columns[0].name)}::{'int8' if self.kind == BIGINT else 'text'}"
        return f"json_build_array({', '.join(ident(c.name) for c in self.columns)})::text"

    @property
    def compares(self) -> bool:
        """Whether the key's text is what paths compare: a numeric 1.00 is a key of its own spelling."""
        return len(self.columns) == 1 and self.sql == read_as(self.columns[0])

    @property
    def names(self) -> str:
        """The bare columns, for ORDER BY and row comparison: what the key's index serves."""
        return ", ".join(ident(c.name) for c in self.columns)

    @property
    def texts(self) -> str:
        """Postgres SQL: the columns as a text[]: a bound of a chunk."""
        return f"array[{', '.join(ident(c.name) + '::text' for c in self.columns)}]"

    def bound(self, values: Sequence[str]) -> str:
        """Postgres SQL: a bound's values as a row of the key's own types."""
        return ", ".join(f"{literal(v)}::{c.type.sql}" for v, c in zip(values, self.columns, strict=True))

    def within(self, lower: Sequence[str] | None, upper: Sequence[str] | None) -> str:
        """Postgres SQL: keys above `lower` (exclusive) up to `upper` (inclusive); None is open."""
        left = f"({self.names})" if len(self.columns) > 1 else self.names
        parts = []
        for sign, value in ((">", lower), ("<=", upper)):
            if value is not None:
                right = self.bound(value)
                parts.append(f"{left} {sign} " + (f"({right})" if len(self.columns) > 1 else right))
        return " and ".join(parts) or "true"

    def among(self, keys: Sequence[str]) -> str:
        """Postgres SQL: rows whose key (in the ledger's text form) is one of these."""
        texts = ", ".join(literal(k) for k in keys)
        if len(self.columns) > 1:
            return f"{self.sql} in ({texts})"
        return f"{self.names} = any(array[{texts}]::{self.columns[0].type.sql}[])"


def entity_key(entity: Entity, schema: Schema) -> Key:
    table = schema.tables[entity.source]
    return Key(tuple(need_column(table, name) for name in entity.key))


def relation(table: Table) -> str:
    """Postgres SQL for FROM: a table, or a view of the mapping."""
    return f"(\n{table.sql}\n) v" if table.sql else qualified(table.qualified)


def need_column(table: Table, name: str) -> Column:
    column = table.column(name)
    if column is None:
        raise KeyError(f"{table.qualified}.{name}")
    return column
