"""An entity's rows as a proof reads them, and what may be wrong with one."""

from __future__ import annotations

from dataclasses import dataclass, field

from rowcall.mapping.model import Entity
from rowcall.plan.keys import BIGINT, Key, entity_key, kind, need_column, read_as
from rowcall.rows import Reason
from rowcall.schema import Column, Schema
from rowcall.sql import ident, label


@dataclass(frozen=True)
class Defect:
    """Something that may be wrong with a row: `sql` over the judged row j yields one of `codes`, or NULL where it is sound.

    `inner` are the columns of j that it needs, each SQL over the row e and `joins`. `sql` is None where the source alone
    cannot tell; `why` says so.
    """

    codes: frozenset[Reason]
    sql: str | None
    column: str | None = None
    inner: dict[str, str] = field(default_factory=dict)
    joins: tuple[str, ...] = ()
    why: str = ""


class Rows:
    """The alias e: one table in a subquery of its own, so that the mapping's conditions see its columns only."""

    def __init__(self, entity: Entity, source: Schema) -> None:
        self.entity, self.table = entity, source.tables[entity.source]
        self.key = entity_key(entity, source)
        self.reads = {"k": key_sql(self.key)}

    def read(self, alias: str, sql: str) -> str:
        """Reads SQL over the table's columns; the name by which it is known then."""
        known = self.reads.setdefault(label(alias), sql)
        assert known == sql, alias  # one name, one meaning
        return f"e.{ident(label(alias))}"

    def column(self, name: str) -> tuple[str, str]:
        """A column for comparing, and its kind."""
        found = need_column(self.table, name)
        return self.read(f"p {name}", plainly(found)), kind(found)

    def condition(self, alias: str, sql: str) -> str:
        """Whether a condition of the mapping IS TRUE."""
        return self.read(alias, f"(({sql}\n) is true)")

    def sql(self, text: str) -> str:
        """The alias e with what is spoken of in `text`."""
        told = {alias: sql for alias, sql in self.reads.items() if f"e.{ident(alias)}" in text or alias == "k"}
        reads = ", ".join(f"{sql} as {ident(alias)}" for alias, sql in told.items())
        return f"(select {reads} from {self.entity.relation()}) e"


def plainly(column: Column) -> str:
    """A column for comparing: an integer as it is, for its index and its statistics serve the planner then; a text by
    its bytes, as the judge compares it."""
    return ident(column.name) if kind(column) == BIGINT else f'({read_as(column)}) collate "C"'


def key_sql(key: Key) -> str:
    """An entity's key for comparing, likewise."""
    return plainly(key.columns[0]) if key.kind == BIGINT else f'({key.sql}) collate "C"'
