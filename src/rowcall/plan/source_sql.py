"""A reference's path as plain Postgres SQL on the source alone, for those who check the judge or tell a row's story.

Written apart from paths.py, which answers the same question in DuckDB: two ways that agree are worth more than one.
Every table stands in a subquery of its own, so that the mapping's conditions see the columns of one table only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence

from rowcall.mapping.model import Entity, Hop, Mapping, Reference, Route
from rowcall.plan.keys import BIGINT, bare, entity_key, kind, need_column, read_as, relation, same
from rowcall.schema import Column, Schema, Table
from rowcall.sql import ident, literal

ContentTypes = MappingOf[int, str]  # content type id -> "app_label.model"


def terminals_sql(
    reference: Reference, route: Route, entity: Entity, mapping: Mapping, source: Schema, types: ContentTypes,
    *, counted: bool = False,
) -> str:  # fmt: skip
    """SELECT source_key text, parent_key text: the rows whose path by this route ends at a row, distinct pairs (`counted`: a pair
    as often as rows on the way name it). A polymorphic reference's route takes only the rows of its content type."""
    walk = _Walk(reference, route, mapping, source)
    start = walk.start(entity)
    joins, end = walk.joins(entity)
    plural = not counted and not all(source.tables[hop.table].is_unique((hop.to_column,)) for hop in route.path)
    return (
        f"{walk.recursion}select {'distinct' if plural else ''} e.k as source_key, {end} as parent_key "
        f"from {start} e {' '.join(joins)} where {end} is not null and {_of_type(reference, route, types)}"
    )


def values_sql(
    reference: Reference, route: Route, entity: Entity, mapping: Mapping, source: Schema, types: ContentTypes
) -> str:
    """SELECT source_key text, value text: what the rows hand on to the last hop of this route, which is looked up in the target."""
    walk = _Walk(reference, route, mapping, source)
    start, (joins, value) = walk.start(entity), walk.joins(entity, upto=len(route.path) - 1)
    return (
        f"{walk.recursion}select distinct e.k as source_key, ({value})::text as value from {start} e {' '.join(joins)} "
        f"where {value} is not null and not {walk.is_sentinel(value)} and {_of_type(reference, route, types)}"
    )


def nulls_sql(reference: Reference, entity: Entity, mapping: Mapping, source: Schema, types: ContentTypes) -> str:
    """SELECT source_key text: the rows whose reference is plainly NULL at its first step: by every way, where there are
    several to one parent."""
    routes = reference.routes
    parts = [_plain_nulls(reference, route, entity, mapping, source, types) for route in routes]
    if not reference.type_column:
        return " intersect ".join(f"({part})" for part in parts)
    untyped = _Walk(reference, routes[0], mapping, source).start(entity)
    parts.append(f"select e.k as source_key from {untyped} e where e.t is null")
    return " union ".join(f"({part})" for part in parts)


def row_sql(entity: Entity, columns: Sequence[str], source: Schema, key: str) -> str:
    """SELECT each of these columns as text, of the one row with this key (in the ledger's text form)."""
    table = source.tables[entity.source]
    reads = ", ".join(f"{read_as(need_column(table, c))}::text" for c in columns) or "null::text"
    return f"select {reads} from {entity.relation()} where {entity_key(entity, source).among([key])}"


def start_column(route: Route) -> str:
    """The column of the entity's own row where a route begins."""
    return begins(route.path[0])


def hop_sql(
    reference: Reference, route: Route, number: int, mapping: Mapping, source: Schema, values: Sequence[str]
) -> str:
    """SELECT at text, up text, ends boolean, onward text: the rows that hop `number` (from 1) finds for these values.

    `at` is the landing column; `onward` what the next hop starts from, or the parent's key after the last. A climbing
    hop finds the rows it stands on: it goes on to `up` unless `ends`.
    """
    walk, hop = _Walk(reference, route, mapping, source), route.path[number - 1]
    table = source.tables[hop.table]
    up, ended = ("null", "true")
    if hop.climb:
        up, ended = f"{read_as(need_column(table, hop.column))}::text", ends(hop)
    landing, onward = need_column(table, hop.to_column), walk.onward(number)[0]
    return (
        f"select {read_as(landing)}::text as at, {up} as up, {ended} as ends, ({onward})::text as onward "
        f"from {relation(table)} where {_among(landing, values)} order by 1, 4"
    )


class _Walk:
    """One route's hops as joins; `recursion` is the WITH clause that they need."""

    def __init__(self, reference: Reference, route: Route, mapping: Mapping, source: Schema) -> None:
        self.reference, self.route, self.mapping, self.source = reference, route, mapping, source
        self.climbs: list[str] = []

    @property
    def recursion(self) -> str:
        return f"with recursive {', '.join(self.climbs)} " if self.climbs else ""

    def start(self, entity: Entity) -> str:
        """The entity's rows as a subquery: key k, path start v, content type t (all but v as text)."""
        table = self.source.tables[entity.source]
        key, first = entity_key(entity, self.source).sql, need_column(table, start_column(self.route))
        type_ = f"{ident(self.reference.type_column)}::text" if self.reference.type_column else "null::text"
        return f"(select ({key})::text as k, {read_as(first)} as v, {type_} as t from {entity.relation()})"

    def onward(self, number: int) -> tuple[str, str]:
        """(SQL, kind) of what a row of hop `number` hands on: the next hop's start, or the parent's key."""
        path = self.route.path
        if number == len(path):
            key = entity_key(self.mapping.entity(self.route.to), self.source)
            return f"({key.sql})::text", "VARCHAR"
        column = need_column(self._table(path[number - 1]), begins(path[number]))
        return read_as(column), kind(column)

    def joins(self, entity: Entity, upto: int | None = None) -> tuple[list[str], str]:
        """All hops (or the first of them), from the alias e on; and the expression that they end with."""
        value, joins = "e.v", []
        value_kind = kind(need_column(self.source.tables[entity.source], start_column(self.route)))
        for number, hop in enumerate(self.route.path[:upto], 1):
            landing = kind(need_column(self._table(hop), hop.to_column))
            on = same(f"h{number}.at", landing, value, value_kind)
            if not hop.climb:
                on += f" and not {self.is_sentinel(value)}"
            joins.append(f"join {self._landing(number, hop)} h{number} on {on}")
            value, value_kind = f"h{number}.v", self.onward(number)[1]
        return joins, value

    def _landing(self, number: int, hop: Hop) -> str:
        if hop.climb:
            return self.climb(number, "t.ends")
        at = read_as(need_column(self._table(hop), hop.to_column))
        return f"(select {at} as at, {self.onward(number)[0]} as v from {relation(self._table(hop))})"

    def climb(self, number: int, end: str) -> str:
        """A recursive table (at, v): for each row of the hierarchy that comes to an end, what the end hands on. It
        grows downwards from the ends, so that a row in a cycle is never reached."""
        hop, name = self.route.path[number - 1], f"climb{number}"
        table = self._table(hop)
        own, up = need_column(table, hop.to_column), need_column(table, hop.column)
        rows = (
            f"(select {read_as(own)} as at, {read_as(up)} as up, {ends(hop)} as ends, {self.onward(number)[0]} as v "
            f"from {relation(self._table(hop))}) t"
        )
        upwards = same("t.up", kind(up), "c.at", kind(own))
        self.climbs.append(
            f"{name} (at, v) as (select t.at, t.v from {rows} where {end} union select t.at, c.v from {name} c "
            f"join {rows} on {upwards} where not t.ends and not {self.is_sentinel('t.up')})"
        )
        return name

    def _table(self, hop: Hop) -> Table:
        return self.source.tables[hop.table]

    def is_sentinel(self, value: str) -> str:
        listed = ", ".join(map(literal, self.reference.sentinels))
        return f"({value}::text in ({listed}))" if listed else "false"


def _plain_nulls(
    reference: Reference, route: Route, entity: Entity, mapping: Mapping, source: Schema, types: ContentTypes
) -> str:
    walk, hop = _Walk(reference, route, mapping, source), route.path[0]
    start, of_type = walk.start(entity), _of_type(reference, route, types)
    if not hop.climb:
        return f"select e.k as source_key from {start} e where e.v is null and {of_type}"
    at = read_as(need_column(source.tables[hop.table], hop.to_column))
    ended = f"select {at} as at from {relation(source.tables[hop.table])} where {ident(hop.column)} is null and not {ends(hop)}"
    return f"select e.k as source_key from {start} e join ({ended}) h on h.at = e.v where {of_type}"


def _of_type(reference: Reference, route: Route, types: ContentTypes) -> str:
    return "true" if reference.type_column is None else of_type("e.t", route, types, named=reference.each is not None)


def of_type(value: str, route: Route, types: ContentTypes, *, named: bool = False) -> str:
    """SQL: whether a content type id (as text) is one of the route's type; `named`: or its name, as an element may have it."""
    numbers = [str(number) for number, label in types.items() if label == route.content_type]
    ids = ", ".join(map(literal, [*numbers, route.content_type or ""] if named else numbers))
    return f"{value} in ({ids or 'null'})"


def begins(hop: Hop) -> str:
    """The column in which a hop begins, of the row that it starts from."""
    return hop.to_column if hop.climb else hop.column


def ends(hop: Hop) -> str:
    """SQL: whether a climb ends at a row of its table."""
    return f"(({hop.until or ident(hop.column) + ' is null'}\n) is true)"


def _among(column: Column, values: Sequence[str]) -> str:
    """Whether a column has one of these texts, so written that the column's index serves where it has one."""
    if kind(column) == BIGINT:
        # A number has one text only: '007' is no 7.
        numbers = ", ".join(v for v in values if re.fullmatch("0|-?[1-9][0-9]*", v))
        return f"{ident(column.name)} in ({numbers})" if numbers else "false"
    type_ = bare(column.type)
    name = ident(column.name) if type_.is_text and type_.name != "bpchar" else f"{ident(column.name)}::text"
    return f"{name} in ({', '.join(map(literal, values)) or 'null'})"
