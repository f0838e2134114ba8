"""What a catalog says: schemas, tables, columns and constraints as frozen values. Read by postgres.catalog, used everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

INTEGERS = frozenset({"int2", "int4", "int8"})
TEXTS = frozenset({"text", "varchar", "bpchar", "citext", "name"})


@dataclass(frozen=True)
class Type:
    """A Postgres type with its modifier.

    `name` is pg_type.typname ("int4", "varchar", "case_status"); `formatted` is format_type() with the modifier
    ("character varying(200)"); `send` is the qualified name of its typsend function; `modifier` is atttypmod (-1: none);
    `kind` is pg_type.typtype: b(ase), c(omposite), d(omain), e(num), p(seudo), r(ange), m(ultirange).
    `sql` is the schema-qualified spelling to cast to, with the modifier. `base` is what a domain is made of.
    """

    oid: int
    name: str
    schema: str
    formatted: str
    sql: str
    send: str
    modifier: int = -1
    kind: str = "b"
    category: str = "U"
    labels: tuple[str, ...] = ()
    element: int = 0
    base: Type | None = None
    not_null: bool = False  # the domain's own

    @property
    def required(self) -> bool:
        """Whether it is a domain that forbids NULL, or one over such a domain."""
        return self.not_null or (self.base is not None and self.base.required)

    @property
    def is_integer(self) -> bool:
        return self.name in INTEGERS and self.schema == "pg_catalog"

    @property
    def is_text(self) -> bool:
        return self.name in TEXTS and self.kind == "b"

    @property
    def max_length(self) -> int | None:
        """Characters that a varchar(n) or char(n) holds, else None (typmod is n + 4: VARHDRSZ)."""
        return self.modifier - 4 if self.name in ("varchar", "bpchar") and self.modifier >= 4 else None


@dataclass(frozen=True)
class Column:
    name: str
    type: Type
    not_null: bool = False
    has_default: bool = False
    generated: bool = False
    identity: str = ""


@dataclass(frozen=True)
class Unique:
    """A primary key, unique constraint or plain unique index (no expressions, not partial)."""

    name: str
    columns: tuple[str, ...]
    primary: bool = False
    nulls_distinct: bool = True


@dataclass(frozen=True)
class ForeignKey:
    name: str
    columns: tuple[str, ...]
    table: str  # qualified "schema.table"
    to_columns: tuple[str, ...]
    deferrable: bool = False
    on_delete: str = "a"  # pg_constraint.confdeltype: a (no action), r(estrict), c(ascade), n (set null), d(efault)


@dataclass(frozen=True)
class Check:
    name: str
    expression: str


@dataclass(frozen=True)
class Table:
    """`kind` is pg_class.relkind: r(elation), p(artitioned), v(iew), m(aterialised view), f(oreign)."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    kind: str = "r"
    primary_key: Unique | None = None
    uniques: tuple[Unique, ...] = ()  # the primary key included
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()
    triggers: tuple[str, ...] = ()
    row_security: bool = False
    estimated_rows: int = 0

    @property
    def qualified(self) -> str:
        return f"{self.schema}.{self.name}"

    def column(self, name: str) -> Column | None:
        return next((c for c in self.columns if c.name == name), None)

    def is_unique(self, columns: tuple[str, ...]) -> bool:
        """Whether no two rows can share the values of these columns."""
        return any(set(u.columns) <= set(columns) for u in self.uniques)


@dataclass(frozen=True)
class Schema:
    """One database as its catalog shows it: tables by qualified name ("schema.table"), in the catalog's order."""

    tables: Mapping[str, Table] = field(default_factory=dict)
    default: str = "public"
    server_version: int = 0  # as server_version_num: 160014
    encoding: str = "UTF8"

    def table(self, name: str) -> Table | None:
        """A table by "name" (in the default schema) or "schema.name"."""
        return self.tables.get(name if "." in name else f"{self.default}.{name}")
