"""rowcall.yaml as typed values: what the user wants, parsed once, checked against both catalogs by mapping.check."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from rowcall.rows import Reason
from rowcall.schema import Table
from rowcall.sql import ident, qualified

Loc = tuple[str | int, ...]
VARIABLES = {"source": "ROWCALL_SOURCE", "target": "ROWCALL_TARGET"}  # of the environment; they win over the file


@dataclass(frozen=True)
class Hop:
    """`column -> table.to_column`: from a row to the row(s) of `table` whose `to_column` equals its `column`.

    `climb` (`column* -> table.to_column until CONDITION`): stays while CONDITION holds for the row, else goes on to the
    row that `column` names, again and again; `until` is SQL over the columns of `table` (None: until `column` is NULL).
    A climb starts at a row of `table` itself.
    """

    column: str
    table: str  # "schema.table"
    to_column: str
    climb: bool = False
    until: str | None = None
    pick: str = ""  # which of several rows is meant, as written: "latest created_at"
    of: str = ""  # with a pick: the table as written, of which `table` holds the rows that are picked

    def __str__(self) -> str:
        star, until = ("*", f" until {self.until}" if self.until else "") if self.climb else ("", "")
        pick = f" {self.pick}" if self.pick else ""
        return f"{self.column}{star} -> {self.of or self.table.split('.', 1)[-1]}.{self.to_column}{pick}{until}"


@dataclass(frozen=True)
class Route:
    """One way from a row to its parent. `content_type` ("app_label.model") chooses it in a polymorphic reference."""

    to: str  # entity
    path: tuple[Hop, ...]
    content_type: str | None = None

    @property
    def there(self) -> bool:
        """Whether the parent is a row that is in the target already: `to` is no entity then, but "table by column"."""
        return self.path[-1].table.startswith(THERE)


ARRAY, JSON, KEYS, TEXT = "array", "json", "keys", "text"
ALL = "\0"  # a step to each item of a JSON array: jsonb has no such name
EACH = "(each)"  # the schema of tables whose rows are the elements of a column; no schema has such a name
ELEMENT, TYPE = "element", "type"  # columns of these tables, in which paths begin


@dataclass(frozen=True)
class Each:
    """Where the elements of a reference stand: in a source column that is an ARRAY, in JSON (values or KEYS behind `steps`: names,
    and ALL), or in a TEXT. `packed`: how an element is written, literals and the parts TYPE and ELEMENT in turn; () where it is
    nothing but the value. `given`: the type of the column, or of the array's elements (jsonb, json, text, numeric, ...)."""

    column: str
    kind: str
    steps: tuple[str, ...] = ()
    packed: tuple[str, ...] = ()
    given: str = ""

    @staticmethod
    def table(entity: str) -> str:
        """The table of an entity's elements, in the Schema."""
        return f"{EACH}.{entity}"


@dataclass(frozen=True)
class Reference:
    """A target column that becomes another entity's uuid.

    Without `type_column` every route is tried and all must agree (else ambiguous_reference); with it, the row's content
    type picks the route. `missing` holds the codes that the mapping turns into NULL; `sentinels` are values, as text,
    that the mapping declares impossible at any hop. `merges`: the row that is found stands for this one, too (`merge:`), and
    `column` is the id; who finds none is a row of its own.
    """

    column: str
    routes: tuple[Route, ...]
    type_column: str | None = None
    sentinels: tuple[str, ...] = ()
    missing: frozenset[Reason] = frozenset()
    merges: bool = False
    each: Each | None = None  # a reference in each element; the column holds them as the source's does


@dataclass(frozen=True)
class ValueMap:
    """Source value (as text; None is NULL) -> target literal. `otherwise`: "reject", "keep" or "use" with `default`."""

    entries: tuple[tuple[str | None, str | None], ...]
    otherwise: str = "reject"
    default: str | None = None


PLACEHOLDER = "null::text"  # SQL that is read where a function makes the value


@dataclass(frozen=True)
class PythonCall:
    """A function of the project's folder ("module.function") over source columns. `digest` is that of its file; `call` takes an
    Arrow array for each column, and yields one."""

    name: str
    columns: tuple[str, ...]
    digest: str
    call: Callable[..., Any] = field(repr=False, compare=False)


@dataclass(frozen=True)
class ColumnRule:
    """How one target column is filled: exactly one of `source` (a column), `sql` (an expression in the source's
    Postgres), `constant` (with has_constant), `content_type` (the column that holds a content type id; yields
    "app_label.model")."""

    column: str
    source: str | None = None
    sql: str | None = None
    content_type: str | None = None
    constant: str | None = None
    has_constant: bool = False
    convert: str | None = None  # a key of mapping.conversions.CONVERSIONS
    looks_in: tuple[str, ...] = ()  # source tables ("schema.table") that the expression reads, besides the row's own
    python: PythonCall | None = None  # makes the value, of what stands in the place of `sql`
    values: ValueMap | None = None


@dataclass(frozen=True)
class Rule:
    """A named SQL condition over the source row, evaluated by the source's Postgres; it holds where it IS TRUE."""

    name: str
    condition: str


@dataclass(frozen=True)
class Cutoff:
    """A row whose `column` is later than `at` (an ISO 8601 time, as text for Postgres) is after_cutoff."""

    column: str
    at: str


@dataclass(frozen=True)
class Budget:
    """How many rows may be quarantined before the run stops: a number, or a share (0 to 1) of the source rows."""

    rows: int | None = None
    share: float | None = None


MERGED = "merged"  # the rule under which rows are excluded for which another row stands
# What it means for a merge where nothing is found: there is no other row.
ALONE = frozenset({Reason.NULL_REFERENCE, Reason.SENTINEL_REFERENCE, Reason.DANGLING_REFERENCE})
VIEW = "(view)"  # the schema of tables that the mapping makes of others; no schema has such a name
THERE = "(target)"  # the schema of tables of the target in which references find rows
QUERY = "(query)."  # before an entity's name: what a query looks like, in the Schema; no table has such a name
RETURNED = "rowcall_returned"  # whether a query returns a row for this row of its base table
KEY = "rowcall_key"  # the key of a query that returns several rows for one of the base table: a JSON array, as text


@dataclass(frozen=True)
class Query:
    """A SELECT as an entity's source. It accounts for the rows of a base table: each is one of the entity's rows, with what the
    query has for its `key`, and with NULLs and RETURNED false where it has nothing; `columns` are the query's.

    `further` are columns of the query that tell apart several rows for one of the base table. `texts` are key columns that are
    texts; `ordered`: whether the key compares alike in the query and in the base table, so that a condition over it means the
    same in both. `tables`: those that it reads ("schema.table"), as the server's planner sees it.
    """

    sql: str
    base: str  # "schema.table"
    key: tuple[str, ...]  # columns of the base table, and of the query
    columns: tuple[str, ...]
    tables: tuple[str, ...] = ()
    further: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    ordered: bool = True
    counted: bool = False  # of a table without a key: rows have the hash of their text, and a number among equals

    @property
    def met(self) -> str:
        """Postgres SQL: whether a row q of the query is for the row b of the base table; texts by their bytes, whatever collation
        either has."""
        sides = ((ident("b", n), ident("q", n) + (' collate "C"' if n in self.texts else "")) for n in self.key)
        return " and ".join(f"{base} = {own}" for base, own in sides)

    def relation(self, alias: str, within: str = "true") -> str:
        """Postgres SQL for FROM. `within` is a condition over the key, put where the planner would not find it by itself."""
        if self.counted:
            number = "row_number() over (partition by b::text)"
            return (
                f"(select b.*, md5(b::text) || '-' || {number} as {KEY}, true as {RETURNED} from {qualified(self.base)} b) "
                f"as {ident(alias)}"
            )
        keys = ", ".join(ident("b", name) for name in self.key)
        rest = "".join(f", {ident('q', name)}" for name in self.columns if name not in self.key)
        rows, some = f"(\n{self.sql}\n) q", ""
        if self.further:
            parts = [ident("b", name) for name in self.key] + [ident("q", name) for name in self.further]
            rest, within = f"{rest}, json_build_array({', '.join(parts)})::text as {KEY}", "true"
        if within != "true":
            same = (
                within
                if self.ordered
                else f"exists (select from {qualified(self.base)} b where ({within}) and {self.met})"
            )
            some = f" where {same}"
        return (
            f"(select {keys}{rest}, {ident('q', self.key[0])} is not null as {RETURNED} "
            f"from (select * from {qualified(self.base)} where {within}) b "
            f"left join (select * from {rows}{some}) q on {self.met}) as {ident(alias)}"
        )


@dataclass(frozen=True)
class Ids:
    """How ids are made where neither a column nor a reference fills the target's id. `version`: 5 (of the key alone), 7 (of the
    time in `column`, and of the key), 4 (of the key and of chance; only the crosswalk knows them)."""

    version: int = 5
    column: str | None = None


@dataclass(frozen=True)
class Deleted:
    """What a later run does with a target row whose source row is gone: `choice` is keep, delete or mark (`column` of the target
    gets the time of that run, or true)."""

    choice: str = "keep"
    column: str | None = None


@dataclass(frozen=True)
class Entity:
    """One kind of target row."""

    name: str
    source: str  # "schema.table"; of a query its name in the Schema, under which there is no table
    target: str  # "schema.table"
    key: tuple[str, ...]  # source columns; the primary key unless the mapping names others
    id_column: str  # the target's uuid key
    identity: str
    columns: tuple[ColumnRule, ...] = ()
    references: tuple[Reference, ...] = ()
    where: tuple[Rule, ...] = ()
    rules: tuple[Rule, ...] = ()
    cutoff: Cutoff | None = None
    impact: str = ""
    budget: Budget | None = None
    load: str = (
        "auto"  # "bulk" takes the target table's keys away for the load, "live" never; "auto": bulk where it is empty
    )
    query: Query | None = None
    ids: Ids = Ids()
    deleted: Deleted = Deleted()
    declared: bool = False  # the key is not one in the catalog: it is looked at before rows are read
    sql: str = ""  # of an entity that stands beside the mapping, for the elements of a column: the SELECT of its rows

    @property
    def given_id(self) -> bool:
        """Whether a column (the source's own uuid) or a reference (the uuid of its parent) fills the target's id."""
        return self.id_column in {c.column for c in self.columns} | {r.column for r in self.references if not r.merges}

    @property
    def merge(self) -> Reference | None:
        """How a row is found that stands for this one; the first of the references."""
        return next((r for r in self.references if r.merges), None)

    @property
    def base(self) -> str:
        """The table ("schema.table") for whose rows the entity accounts."""
        return self.query.base if self.query else self.source

    @property
    def written_key(self) -> tuple[str, ...]:
        """The key as the mapping has it."""
        if self.query and self.query.counted:
            return ("(counted rows)",)
        return (*self.query.key, *self.query.further) if self.query else self.key

    @property
    def fans_out(self) -> bool:
        """Whether one row of the base table may be several of the entity's: no path can lead to these."""
        return self.query is not None and bool(self.query.further)

    def relation(self, within: str = "true") -> str:
        """Postgres SQL for FROM: the entity's source rows. `within` may say which are wanted, by a condition over the key that
        stands in WHERE, too."""
        if self.sql:
            return f"(\n{self.sql}\n) as x"
        return self.query.relation(self.name, within) if self.query else qualified(self.source)


@dataclass(frozen=True)
class Endpoint:
    """Where a server is: `kind` is env (a variable that holds a DSN), service (pg_service.conf), dsn (no password)
    or embedded (a server of the project folder). ROWCALL_SOURCE and ROWCALL_TARGET in the environment win over them."""

    kind: str
    value: str
    schema: str = "public"


@dataclass(frozen=True)
class ContentTypes:
    """Django's content types: the table, and which ids a type had before (`formerly`)."""

    table: str = "public.django_content_type"
    formerly: MappingOf[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class PlannedRepair:
    """A repair that the project file has `run` apply: which cause ("entity/code"), which remedy with which settings, and why.
    `follow`: the victims come home with their roots."""

    cause: str
    remedy: str
    settings: MappingOf[str, object] = field(default_factory=dict)
    reason: str = ""
    follow: bool = False


@dataclass(frozen=True)
class Mapping:
    """The project file. `fingerprint` is a SHA-256 over all that decides verdicts (not over connections, budgets or workers)."""

    file: str
    project: str
    namespace: UUID
    source: Endpoint
    target: Endpoint
    entities: tuple[Entity, ...]
    content_types: ContentTypes = ContentTypes()
    budget: Budget | None = None
    workers: int | None = None  # None: as many as fit
    fingerprint: str = ""
    # cause -> remedy -> settings that a remedy takes where none are given
    remedies: MappingOf[str, MappingOf[str, MappingOf[str, object]]] = field(default_factory=dict)
    repairs: tuple[PlannedRepair, ...] = ()
    queries: tuple[Table, ...] = ()  # what the sources that are queries look like, as tables
    there: tuple[Entity, ...] = ()  # "table by column": rows of the target to which references lead, as if of an entity
    positions: MappingOf[Loc, tuple[int, int]] = field(default_factory=dict, repr=False, compare=False)

    def entity(self, name: str) -> Entity:
        return next(e for e in self.entities + self.there if e.name == name)

    def place(self, *loc: str | int) -> str:
        """`file:line:column` of a node, or of the nearest one above it."""
        while loc and loc not in self.positions:
            loc = loc[:-1]
        line, column = self.positions.get(loc, (1, 1))
        return f"{self.file}:{line}:{column}"
