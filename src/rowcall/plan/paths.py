"""References along their paths, compiled to DuckDB: for each hop one table that answers "what does this value lead to?".

A path's tables are built back to front. The last holds the parents with their fate, each one before it the rows of a hop's
table with what the rest of the path yields; so a chunk's row needs one hash join, whatever the number of hops. Every answer
has the same fields (`FIELDS`): `code` is NULL where the parent is found and migrated, `candidate` tells what the way names
(NULL where it names nothing), by which several ways are compared, and `note` what refines the code (see plan.evidence): where a
value was looked up in vain, the rule that excludes the parent, the members of a cycle, the candidates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rowcall.mapping.model import Hop, Mapping, Reference, Route
from rowcall.plan.evidence import place_of
from rowcall.plan.keys import Key, entity_key, kind, need_column, read_as, relation, same
from rowcall.rows import Reason
from rowcall.schema import Schema, Table
from rowcall.sql import ident, label, literal

FIELDS = ("parent_entity", "parent", "uid", "code", "hop", "seen", "candidate", "root_entity", "root_key", "note")
STUCK, LONGEST = 10_000, 20  # rows whose cycle is told, and its stations
# Of several rows that name no parent the first in the order of codes tells why.
_RANK = f"""case when candidate is not null then -1 else list_position([{", ".join(literal(r.value) for r in Reason)}], code) end"""
NOTHING = (
    dict.fromkeys(FIELDS, "null")
    | {"uid": "null::blob", "hop": "null::integer"}
    | dict.fromkeys(
        ("parent_entity", "parent", "code", "seen", "candidate", "root_entity", "root_key", "note"), "null::varchar"
    )
)


def fate_table(entity: str) -> str:
    """DuckDB table (k, outcome, uid, root_entity, root_key, named): what became of each row of an entity. Of one that is `merged`
    uuid and root are those of the row that stands for it; `named` names that row, whatever becomes of it."""
    return ident(label(f"fate {entity}"))


def hop_table(table: str) -> str:
    """DuckDB table with the columns of one source table that paths walk on."""
    return ident(label(f"hop {table}"))


@dataclass
class HopTable:
    """What the paths need of one source table: alias in DuckDB -> Postgres SQL."""

    table: str
    relation: str  # Postgres SQL for FROM
    reads: dict[str, str] = field(default_factory=dict)

    @property
    def source_sql(self) -> str:
        reads = ", ".join(f"{sql} as {ident(alias)}" for alias, sql in self.reads.items())
        return f"select {reads} from {self.relation}"


@dataclass(frozen=True)
class Start:
    """A column of the entity's own row where a path begins: its DuckDB expression and kind. `among`: a table that holds all its
    values, by which no more than these are looked up."""

    sql: str
    kind: str
    among: str = ""


@dataclass(frozen=True)
class Answer:
    """How a row alias gets its answer: LEFT JOINs to add, and an expression for each of FIELDS."""

    joins: tuple[str, ...]
    fields: dict[str, str]


class RouteCompiler:
    """Compiles one route of a reference. `statements` build its tables, in order; `hop_tables` says what they read."""

    def __init__(
        self, name: str, route: Route, reference: Reference, mapping: Mapping, schema: Schema, hops: dict[str, HopTable]
    ) -> None:
        self.name, self.route, self.reference = name, route, reference
        self.mapping, self.schema, self.hop_tables = mapping, schema, hops
        self.statements: list[str] = []
        self.key: Key = entity_key(mapping.entity(route.to), schema)

    def answer(self, start: Start, own: Table, joined: str) -> Answer:
        """The answer for a chunk's row, whose first path column is `start`; `joined` becomes the alias of its join."""
        return self._from_row(1, own, start, "n", joined)

    @property
    def start_column(self) -> str:
        """The column of the entity's row that the route starts at."""
        first = self.route.path[0]
        return first.to_column if first.climb else first.column

    # -- hops -------------------------------------------------------------------------------------------------------

    def _from_row(self, number: int, table: Table, start: Start | None, alias: str, joined: str = "r") -> Answer:
        """The rest of the path (hop `number` on, from 1) as seen from a row `alias` of `table`."""
        path = self.route.path
        if number > len(path):
            return self._leaf(table, alias)
        hop = path[number - 1]
        column = need_column(table, hop.to_column if hop.climb else hop.column)
        here = start or Start(f"{alias}.{self._read(table, column.name)}", kind(column))
        lookup = self._climb(number, hop) if hop.climb else self._land(number, hop)
        landing = need_column(self.schema.tables[hop.table], hop.to_column)
        on, met = (same(f"{found}.v", kind(landing), here.sql, here.kind) for found in (joined, "l"))
        if here.among:
            lookup = f"(select l.* from {lookup} l semi join {here.among} on {met})"
        join = f"left join {lookup} {joined} on {on}"
        if hop.climb:
            # Who has no name to be climbed from leads nowhere.
            nameless = NOTHING | {"code": "'null_reference'", "hop": str(number)}
            fields = {f: f"case when {here.sql} is null then {nameless[f]} else {joined}.{f} end" for f in FIELDS}
            return Answer((join,), fields)
        return Answer((join,), self._step(number, hop, here.sql, joined))

    def _step(self, number: int, hop: Hop, value: str, joined: str) -> dict[str, str]:
        """The fields of a row whose column `value` was looked up."""
        empty, missed = self._empty(value), f"{joined}.v is null"
        named = "null" if self._backward(hop) else f"'?{number}:' || {value}::varchar"
        return {name: f"{joined}.{name}" for name in FIELDS} | {
            "code": f"case {self._empty_codes(value)} when {missed} then 'dangling_reference' else {joined}.code end",
            "hop": f"case when {empty} or {missed} then {number} else {joined}.hop end",
            "seen": f"case when {empty} or {missed} then {value}::varchar else {joined}.seen end",
            "candidate": f"case when {empty} then null when {missed} then {named} else {joined}.candidate end",
            "note": f"case when {empty} then null when {missed} then {self._place(hop)} else {joined}.note end",
        }

    def _place(self, hop: Hop) -> str:
        return "null" if self._backward(hop) else literal(place_of(hop.table, hop.to_column))

    def _land(self, number: int, hop: Hop) -> str:
        """The table that answers for a value which hop `number` looks up; its name."""
        name = ident(label(f"{self.name} {number}"))
        table = self.schema.tables[hop.table]
        fated = hop.to_column == self._own_key and hop.table == self._parent_table and not self.route.there
        if number == len(self.route.path) and fated:
            fields = _list(self._leaf_fields("f"))
            self.statements.append(
                f"create or replace table {name} as select f.k as v, {fields} from {fate_table(self.route.to)} f"
            )
            return name
        answer = self._from_row(number + 1, table, None, "t")
        value = f"t.{self._read(table, hop.to_column)}"
        rows = (
            f"select {value} as v, {_list(answer.fields)} from {hop_table(table.qualified)} t "
            f"{' '.join(answer.joins)} where {value} is not null"
        )
        self.statements.append(
            f"create or replace table {name} as {self._agreed(rows, number) if self._backward(hop) else rows}"
        )
        return name

    def _agreed(self, rows: str, number: int) -> str:
        """Several rows for one value: they must name one parent; rows that name none count only where none names one."""
        packed = ", ".join(f"{name} := {name}" for name in FIELDS)
        picked = {name: f"s.{name}" for name in FIELDS} | {
            "code": "case when named is not null then 'ambiguous_reference' else s.code end",
            "hop": f"case when named is not null then {number} else s.hop end",
            "seen": "coalesce(named, s.seen)",
            "candidate": "coalesce(named, s.candidate)",
            "note": "coalesce(counted, s.note)",
        }
        return f"""
with landed as materialized ({rows}), met as (
    select v, min(candidate) <> max(candidate) as disagree,
           arg_min(struct_pack({packed}), {_RANK}) as s
    from landed group by v
), counted as (
    select v, candidate, count(*) as n
    from landed where candidate is not null and v in (select v from met where disagree) group by v, candidate
), several as (
    select v, string_agg(candidate, ', ' order by candidate) as named,
           string_agg(candidate || ' (' || n || case n when 1 then ' row)' else ' rows)' end, ', ' order by candidate) as counted
    from counted group by v
)
select v, {_list(picked)} from met left join several using (v)"""

    def _climb(self, number: int, hop: Hop) -> str:
        """The table that answers for a row of a hierarchy, by its id. Who is not reached from a sound end is in a cycle."""
        name, table = ident(label(f"{self.name} {number}")), self.schema.tables[hop.table]
        own, up = self._read(table, hop.to_column), self._read(table, hop.column)
        until = self._until(table, hop)
        answer = self._from_row(number + 1, table, None, "t")
        source = hop_table(table.qualified)
        empty = self._empty(f"t.{up}")
        failed = NOTHING | {
            "code": f"case {self._empty_codes(f't.{up}')} else 'dangling_reference' end",
            "hop": str(number),
            "seen": f"t.{up}::varchar",
            "candidate": f"case when {empty} then null else '?{number}:' || t.{up}::varchar end",
            "note": f"case when {empty} then null else {self._place(hop)} end",
        }
        cyclic = NOTHING | {
            "code": "'cyclic_path'",
            "hop": str(number),
            "seen": f"t.{own}::varchar",
            "note": "m.members",
        }
        fields = {f: f"case when r.v is null then {cyclic[f]} else r.{f} end" for f in FIELDS}
        self.statements.append(
            f"""create or replace table {name} as
with recursive ended as (
    select t.{own} as v, {_list(answer.fields)} from {source} t {" ".join(answer.joins)} where t.{until}
    union all
    select t.{own} as v, {_list(failed)} from {source} t
    where not t.{until} and ({empty} or t.{up} not in (select {own} from {source} where {own} is not null))
), reached as (
    select * from ended
    union all
    select t.{own}, {", ".join("r." + f for f in FIELDS)} from reached r join {source} t on t.{up} = r.v
    where not t.{until} and not ({empty})
), {_members(source, own, up)}
select t.{own} as v, {_list(fields)}
from {source} t left join reached r on r.v = t.{own} left join members m on m.v = t.{own}"""
        )
        return name

    # -- the parent -------------------------------------------------------------------------------------------------

    def _leaf(self, table: Table, alias: str) -> Answer:
        """A row of the parent's own table: its fate. A row without one would lose its link unseen: that must never pass."""
        key = self._add(table, f"k {self.route.to}", self.key.sql)
        if self.route.there:
            return self._found_there(f"{alias}.{key}")
        join = f"left join {fate_table(self.route.to)} {alias}_f on {alias}_f.k = {alias}.{key}"
        lost = f"error('a row of {self.route.to} has no fate: ' || {alias}.{key}::varchar)"
        fields = self._leaf_fields(f"{alias}_f")
        fields["code"] = (
            f"case when {alias}_f.k is null and {alias}.{key} is not null then {lost} else {fields['code']} end"
        )
        return Answer((join,), fields)

    def _found_there(self, uid: str) -> Answer:
        """A row that is in the target already; `uid` is its uuid as text."""
        fields = {
            "parent_entity": literal(self.route.to),
            "hop": str(len(self.route.path)),
            "uid": f"unhex(replace({uid}, '-', ''))",
        }
        return Answer((), NOTHING | fields | dict.fromkeys(("parent", "seen", "candidate"), uid))

    def _leaf_fields(self, alias: str) -> dict[str, str]:
        return {
            "parent_entity": literal(self.route.to),
            "parent": f"{alias}.k::varchar",
            "uid": f"{alias}.uid",
            "code": f"case {alias}.outcome when 'excluded' then 'parent_excluded' "
            f"when 'quarantined' then 'parent_quarantined' end",
            "hop": str(len(self.route.path)),
            "seen": f"{alias}.k::varchar",
            "candidate": self._named(alias),
            "root_entity": f"{alias}.root_entity",
            "root_key": f"{alias}.root_key",
            "note": f"case {alias}.outcome when 'excluded' then {alias}.root_key end",  # the rule: see move.fates
        }

    def _named(self, alias: str) -> str:
        """Which row is meant: ways to two rows that are one mean one, whatever becomes of it."""
        plain, to = f"{alias}.k::varchar", self.route.to
        if self.mapping.entity(to).merge is None:
            return plain
        return f"coalesce({alias}.named, {literal(to + ' ')} || {plain})"

    @property
    def _parent_table(self) -> str:
        return self.mapping.entity(self.route.to).base

    @property
    def _own_key(self) -> str | None:
        return self.key.columns[0].name if self.key.compares else None

    # -- what is read -----------------------------------------------------------------------------------------------

    def _read(self, table: Table, column: str) -> str:
        return self._add(table, f"c {column}", read_as(need_column(table, column)))

    def _until(self, table: Table, hop: Hop) -> str:
        condition = hop.until or f"{ident(hop.column)} is null"
        return self._add(table, f"until {condition}", f"(({condition}\n) is true)")

    def _add(self, table: Table, name: str, sql: str) -> str:
        alias = label(name)
        self.hop_tables.setdefault(table.qualified, HopTable(table.qualified, relation(table))).reads[alias] = sql
        return ident(alias)

    def _backward(self, hop: Hop) -> bool:
        return not self.schema.tables[hop.table].is_unique((hop.to_column,))

    def _empty(self, value: str) -> str:
        """Whether a value names nothing: NULL, or declared impossible."""
        return f"{value} is null" + (f" or {value}::varchar in ({self._sentinels})" if self._sentinels else "")

    def _empty_codes(self, value: str) -> str:
        codes = f"when {value} is null then 'null_reference'"
        if self._sentinels:
            codes += f" when {value}::varchar in ({self._sentinels}) then 'sentinel_reference'"
        return codes

    @property
    def _sentinels(self) -> str:
        return ", ".join(map(literal, self.reference.sentinels))


def _members(source: str, own: str, up: str) -> str:
    """CTEs up to `members` (v, members): of a row that no end is reached from, the way until it comes back to itself. Told of
    the first STUCK rows, and no further than LONGEST stations: for people."""
    return f"""stuck as (
    select {own} as v, {up} as up from {source} where {own} not in (select v from reached) order by 1 limit {STUCK}
), walked as (
    select v, up as here, [v] as way from stuck
    union all
    select w.v, s.up, list_append(w.way, w.here) from walked w join stuck s on s.v = w.here
    where not list_contains(w.way, w.here) and len(w.way) < {LONGEST}
), members as (
    select v, array_to_string(arg_max(list_append(way, here), len(way)), ' -> ')
              || case when max(len(way)) < {LONGEST} then '' else ' -> ...' end as members
    from walked group by v
)"""


def _ways(answers: Sequence[tuple[str, dict[str, str]]]) -> str:
    """What each of several routes names."""
    told = ", ".join(f"({f['candidate']}) || ' (path {n})'" for n, (_, f) in enumerate(answers, 1))
    return f"array_to_string(list_filter([{told}], lambda c: c is not null), ', ')"


def _list(fields: dict[str, str]) -> str:
    return ", ".join(f"{fields[name]} as {name}" for name in FIELDS)


def combine(answers: Sequence[tuple[str, dict[str, str]]]) -> Iterator[tuple[str, str]]:
    """Several routes of one reference, tried together: (field, DuckDB SQL). The first that names a parent answers; routes
    that name different parents are ambiguous; where none names one, the first route tells why."""
    candidates = "list_filter([" + ", ".join(f["candidate"] for _, f in answers) + "], lambda c: c is not null)"
    disagree = f"len(list_distinct({candidates})) > 1"
    for name in FIELDS:
        chosen = " ".join(f"when ({f['candidate']}) is not null then {f[name]}" for _, f in answers)
        value = f"case {chosen} else {answers[0][1][name]} end"
        override = {
            "code": "'ambiguous_reference'",
            "hop": "1",
            "seen": f"list_aggregate(list_sort(list_distinct({candidates})), 'string_agg', ', ')",
            "note": _ways(answers),
        }.get(name)
        yield name, f"case when {disagree} then {override} else {value} end" if override else value
