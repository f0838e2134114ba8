"""References along their paths in the source's Postgres: for each row the code that its path ends with, and the parent.

The same rules as plan.paths has in DuckDB, written apart from it: from the row onwards by left joins, where that one builds
tables from the parent back. `names` tells what a way names (NULL where it names nothing), by which several are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rowcall.mapping.model import Hop, Mapping, Reference, Route
from rowcall.plan.keys import entity_key, kind, need_column, relation, same
from rowcall.plan.proof.rows import Rows, key_sql, plainly
from rowcall.plan.source_sql import ContentTypes, begins, ends, of_type
from rowcall.rows import Reason
from rowcall.schema import Schema, Table
from rowcall.sql import ident, literal

ITSELF = "\0itself"  # in a table of the WITH clause: its own name
AddTable = Callable[[str, str], str]  # (name, its SELECT) -> the name as SQL: a table of the WITH clause
Fate = tuple[str, bool]  # SQL of (k, code), the rows of an entity that do not migrate; is k text whatever the key is?
FateOf = Callable[[str], Fate | None]  # of an entity; None: as if all its rows migrated
MergedOf = Callable[
    [str, Reference], str
]  # of an entity that merges: SQL of (k, names), the names of rows that stand for its
CODE = frozenset({"code"})
_CODES = ", ".join(literal(r.value) for r in Reason if r.order < Reason.AFTER_CUTOFF.order)


@dataclass(frozen=True)
class Answer:
    """SQL over the row e and `joins`, by name: `code`, `hop`, `names`, `entity` and `parent` (text), and `plain`, whether the
    row's own column is NULL; as many of them as were asked for."""

    joins: tuple[str, ...]
    fields: dict[str, str]


@dataclass(frozen=True)
class Paths:
    """Compiles the references of entities. `fate` is None where a parent's fate does not matter."""

    mapping: Mapping
    source: Schema
    types: ContentTypes
    add: AddTable
    fate: FateOf | None
    merged: MergedOf
    version: str = ""  # tells the same paths with other fates apart

    def answer(self, number: int, reference: Reference, rows: Rows, wanted: frozenset[str] = CODE) -> Answer:
        """The reference `number` of the entity whose rows these are."""
        tried = reference.type_column is None and len(reference.routes) > 1
        fields = wanted | {"names"} if tried else wanted
        answers = [
            self._route(f"{number}_{n}", reference, route, rows, fields) for n, route in enumerate(reference.routes)
        ]
        joins = tuple(join for answer in answers for join in answer.joins)
        if reference.type_column is not None:
            return Answer(joins, self._by_type(reference, answers, rows, wanted))
        return Answer(joins, _combined([a.fields for a in answers]) if tried else answers[0].fields)

    def _by_type(
        self, reference: Reference, answers: Sequence[Answer], rows: Rows, wanted: frozenset[str]
    ) -> dict[str, str]:
        type_ = rows.read(f"t {reference.type_column}", f"{ident(reference.type_column or '')}::text")
        unknown = {
            "code": f"case when {type_} is null then 'null_reference' else 'unknown_type' end",
            "hop": "1",
            "plain": f"({type_} is null)",
        }
        branches = [
            (of_type(type_, route, self.types, named=rows.entity.sql != ""), answer.fields)
            for route, answer in zip(reference.routes, answers, strict=True)
        ]
        return {
            name: f"case {' '.join(f'when {when} then {fields[name]}' for when, fields in branches)} "
            f"else {unknown.get(name, 'null')} end"
            for name in sorted(wanted)
        }

    def _route(self, place: str, reference: Reference, route: Route, rows: Rows, wanted: frozenset[str]) -> Answer:
        if all(self.source.tables[hop.table].is_unique((hop.to_column,)) for hop in route.path):
            return _Way(self, place, reference, route, rows).answer(wanted)
        own = Rows(rows.entity, self.source)  # several rows for one: they are met before they are joined
        answer = _Way(self, place, reference, route, own).answer(wanted | {"names"})
        name = self.add(f"{rows.entity.name} {reference.column} {place}{self.version}", _met(own, answer))
        return Answer((f"left join {name} w{place} on w{place}.k = e.k",), {f: f"w{place}.{f}" for f in answer.fields})


class _Way:
    """One route, from the row e to the parent."""

    def __init__(self, paths: Paths, place: str, reference: Reference, route: Route, rows: Rows) -> None:
        self.paths, self.place, self.reference, self.route, self.rows = paths, place, reference, route, rows
        self.joins: list[str] = []
        self.stops: list[tuple[str, dict[str, str]]] = []  # (condition, fields) in the order of the path

    def answer(self, wanted: frozenset[str]) -> Answer:
        first = self.route.path[0]
        value, value_kind = self.rows.column(begins(first))
        plain = f"{value} is null"
        if first.climb:
            plain = f"{self.rows.column(first.column)[0]} is null and {value} is not null"
        for number, hop in enumerate(self.route.path, 1):
            value, value_kind = (
                self._climb(number, hop, value) if hop.climb else self._step(number, hop, value, value_kind)
            )
        last = self._end(value, named="names" in wanted)
        fields = {name: f"case {self._when(name)} else {last[name]} end" for name in sorted(wanted & last.keys())}
        return Answer(tuple(self.joins), fields | ({"plain": f"({plain})"} if "plain" in wanted else {}))

    def _when(self, name: str) -> str:
        return " ".join(f"when {condition} then {fields.get(name, 'null')}" for condition, fields in self.stops)

    def _end(self, key: str, *, named: bool) -> dict[str, str]:
        """The parent, and whether it migrates; `named`: whether it matters what the way names."""
        to, code, text = self.route.to, "null::text", f"{key}::text"
        if self.paths.fate and (fate := self.paths.fate(to)):
            alias, (table, is_text) = f"f{self.place}", fate
            self.joins.append(f"left join {table} {alias} on {alias}.k = {text if is_text else key}")
            code = f"{alias}.code"
        names = text
        if named and (merge := self.paths.mapping.entity(to).merge):  # ways to two rows that are one mean one
            names = f"{literal(to + ' ')} || {text}"
            if not (self.reference.merges and to == self.rows.entity.name):
                alias = f"g{self.place}"
                self.joins.append(f"left join {self.paths.merged(to, merge)} {alias} on {alias}.k = {text}")
                names = f"coalesce({alias}.names, {names})"
        return {"code": code, "hop": str(len(self.route.path)), "names": names, "entity": literal(to), "parent": text}

    def _stop(self, condition: str, code: str, number: int, names: str = "null") -> None:
        self.stops.append((condition, {"code": code, "hop": str(number), "names": names}))

    def _step(self, number: int, hop: Hop, value: str, value_kind: str) -> tuple[str, str]:
        alias, table = f"h{self.place}_{number}", self._table(hop)
        landing, (onward, onward_kind) = need_column(table, hop.to_column), self._onward(number)
        self.joins.append(
            f"left join (select {plainly(landing)} as at, {onward} as v from {relation(self._table(hop))}) {alias} "
            f"on {same(f'{alias}.at', kind(landing), value, value_kind)}"
        )
        self._stop(f"{value} is null", "'null_reference'", number)
        if self.reference.sentinels:
            self._stop(self._sentinel(value), "'sentinel_reference'", number)
        backward = not table.is_unique((hop.to_column,))
        named = "null" if backward else f"'?{number}:' || {value}::text"
        self._stop(f"{alias}.at is null", "'dangling_reference'", number, named)
        return f"{alias}.v", onward_kind

    def _climb(self, number: int, hop: Hop, value: str) -> tuple[str, str]:
        alias = f"h{self.place}_{number}"
        self.joins.append(f"left join {self._ended(number, hop)} {alias} on {alias}.at = {value}")
        self._stop(f"{value} is null", "'null_reference'", number)
        self._stop(f"{alias}.at is null", "'cyclic_path'", number)
        self._stop(f"{alias}.code is not null", f"{alias}.code", number, f"{alias}.names")
        return f"{alias}.v", self._onward(number)[1]

    def _ended(self, number: int, hop: Hop) -> str:
        """The rows of a hierarchy that come to an end, with what the end hands on; whoever is not among them is in a cycle."""
        table, name = self._table(hop), f"{self.rows.entity.name} {self.reference.column} climb {self.place}_{number}"
        own, up = need_column(table, hop.to_column), need_column(table, hop.column)
        rows = (
            f"(select {plainly(own)} as at, {plainly(up)} as up, {ends(hop)} as ends, {self._onward(number)[0]} as v "
            f"from {relation(self._table(hop))}) t"
        )
        above = same("p.at", kind(own), "t.up", kind(up))
        missing = (
            f"not exists (select from (select {plainly(own)} as at from {relation(self._table(hop))}) p where {above})"
        )
        sentinel = self._sentinel("t.up")
        code = (
            f"case when t.ends then null when t.up is null then 'null_reference' when {sentinel} then 'sentinel_reference' "
            "else 'dangling_reference' end"
        )
        named = f"case when t.up is null or {sentinel} then null else '?{number}:' || t.up::text end"
        reached = self.paths.add(
            name,
            f"select t.at, case when t.ends then t.v end as v, {code} as code, case when not t.ends then {named} end as names"
            f"\n  from {rows} where t.ends or t.up is null or {sentinel} or {missing}\n  union\n  select t.at, c.v, c.code, "
            f"c.names from {ITSELF} c join {rows} on {same('t.up', kind(up), 'c.at', kind(own))} "
            f"where not t.ends and not {sentinel}",
        )
        if not table.is_unique((hop.to_column,)):
            return reached
        # One line a row anyway: said so that the planner knows it, too.
        return f"(select at, min(v) as v, min(code) as code, min(names) as names from {reached} group by at)"

    def _onward(self, number: int) -> tuple[str, str]:
        """(SQL, kind) of what a row of hop `number` hands on: the next hop's start, or the parent's key."""
        path = self.route.path
        if number == len(path):
            key = entity_key(self.paths.mapping.entity(self.route.to), self.paths.source)
            return key_sql(key), key.kind
        column = need_column(self._table(path[number - 1]), begins(path[number]))
        return plainly(column), kind(column)

    def _table(self, hop: Hop) -> Table:
        return self.paths.source.tables[hop.table]

    def _sentinel(self, value: str) -> str:
        listed = ", ".join(map(literal, self.reference.sentinels))
        return f"({value}::text in ({listed}))" if listed else "false"


def _met(rows: Rows, answer: Answer) -> str:
    """Several rows for one: they must name one parent; those that name none count only where none names one."""
    inner = ", ".join(f"{sql} as {name}" for name, sql in answer.fields.items())
    order = f"names is null, array_position(array[{_CODES}], code)"
    disagree = "min(names) <> max(names)"
    special = {
        "plain": "bool_and(plain)",
        "code": f"case when {disagree} then 'ambiguous_reference' else (array_agg(code order by {order}))[1] end",
        "names": f"case when {disagree} then min(names) || ', ' || max(names) else min(names) end",
        "parent": f"case when {disagree} then null else (array_agg(parent order by {order}))[1] end",
    }
    listed = ", ".join(f"{special.get(f) or f'(array_agg({f} order by {order}))[1]'} as {f}" for f in answer.fields)
    joins = _lines(answer.joins)
    return f"select k, {listed}\n  from (select e.k, {inner}\n  from {rows.sql(inner + joins)}{joins}) w group by k"


def _lines(joins: Sequence[str]) -> str:
    return "".join(f"\n  {join}" for join in joins)


def _combined(answers: Sequence[dict[str, str]]) -> dict[str, str]:
    """Several routes, tried together: the first that names a parent answers, those that disagree are ambiguous, and where
    none names one the first tells why."""
    named = ", ".join(f"({a['names']})::text" for a in answers)
    disagree = f"(select count(distinct x) > 1 from unnest(array[{named}]) x)"
    fields = {}
    for name in answers[0]:
        chosen = " ".join(f"when ({a['names']}) is not null then {a[name]}" for a in answers)
        fields[name] = f"case {chosen} else {answers[0][name]} end"
    fields["code"] = f"case when {disagree} then 'ambiguous_reference' else {fields['code']} end"
    if "parent" in fields:
        fields["parent"] = f"case when {disagree} then null else {fields['parent']} end"
    if "plain" in fields:
        fields["plain"] = " and ".join(a["plain"] for a in answers)
    return fields
