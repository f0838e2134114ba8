"""What a catalog says: schemas, tables, columns and constraints as frozen values. Read by postgres.catalog, used everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

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
    """`kind` is pg_class.relkind: r(elation), p(artitioned), v(iew), m(aterialised view), f(oreign),
    or q: a query of the mapping, over the table `base`."""

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
    base: str = ""  # qualified
    sql: str = ""  # of a view of the mapping: its SELECT
    reads: tuple[str, ...] = ()  # of such a view: the tables ("schema.table") that it reads

    @property
    def qualified(self) -> str:
        return f"{self.schema}.{self.name}"

    def column(self, name: str) -> Column | None:
        return next((c for c in self.columns if c.name == name), None)

    def requiring(self, name: str) -> Table:
        """As if this column were NOT NULL."""
        return replace(self, columns=tuple(replace(c, not_null=True) if c.name == name else c for c in self.columns))

    def is_unique(self, columns: tuple[str, ...]) -> bool:
        """Whether no two rows can share the values of these columns."""
        return any(set(u.columns) <= set(columns) for u in self.uniques)


@dataclass(frozen=True)
class Selected:
    """The columns of a query, and the tables ("schema.table") that it reads."""

    columns: tuple[Column, ...]
    tables: tuple[str, ...]


@dataclass(frozen=True)
class TableKey:
    """An index, key or foreign key that a load may take away, with all that it takes to put it back as it was.

    `kind`: "primary key", "unique" (a constraint), "index" (a unique one, too) or "foreign key". `drop`, `build` and `attach` are
    complete statements: an index is built, a foreign key added NOT VALID; then a constraint is made of the index, a foreign
    key validated. `rests_on` is the index that a foreign key needs; `stays` says why it cannot be taken away ("": it can).
    `columns` is None for an index over expressions; `parts`, `only` and `nulls_distinct` say what must be unique where.
    """

    table: str  # qualified "schema.table"
    name: str
    kind: str
    drop: str
    build: str
    attach: tuple[str, ...] = ()
    unique: bool = False
    columns: tuple[str, ...] | None = None
    parts: tuple[str, ...] = ()  # SQL of the index's key columns or expressions
    only: str | None = None  # SQL of a partial index's condition
    nulls_distinct: bool = True
    refers_to: str = ""  # qualified table
    rests_on: str = ""
    to_columns: tuple[str, ...] = ()
    deferrable: bool = False
    on_delete: str = "a"
    stays: str = ""


@dataclass(frozen=True)
class Schema:
    """One database as its catalog shows it: tables by qualified name ("schema.table"), in the catalog's order."""

    tables: Mapping[str, Table] = field(default_factory=dict)
    default: str = "public"
    server_version: int = 0  # as server_version_num: 160014
    encoding: str = "UTF8"

    def with_keys(self, keys: Iterable[TableKey]) -> Schema:
        """As it is when these keys, which a load took away, are back."""
        tables = dict(self.tables)
        for key in keys:
            if key.table in tables:
                tables[key.table] = _with_key(tables[key.table], key)
        return replace(self, tables=tables)

    def beside(self, tables: Iterable[Table]) -> Schema:
        """With further tables."""
        return replace(self, tables={**self.tables, **{table.qualified: table for table in tables}})

    def table(self, name: str) -> Table | None:
        """A table by "name" (in the default schema) or "schema.name"."""
        return self.tables.get(name if "." in name else f"{self.default}.{name}")


def _with_key(table: Table, key: TableKey) -> Table:
    if key.kind == "foreign key":
        found = ForeignKey(key.name, key.columns or (), key.refers_to, key.to_columns, key.deferrable, key.on_delete)
        others = (k for k in table.foreign_keys if k.name != key.name)
        return replace(table, foreign_keys=tuple(sorted((*others, found), key=lambda k: k.name)))
    if not key.unique or key.columns is None or key.only is not None:
        return table
    unique = Unique(key.name, key.columns, key.kind == "primary key", key.nulls_distinct)
    rest = (u for u in table.uniques if u.name != key.name)
    uniques = tuple(sorted((*rest, unique), key=lambda u: (not u.primary, u.name)))
    return replace(table, uniques=uniques, primary_key=next((u for u in uniques if u.primary), None))
