"""Walks one row's paths in the source, hop by hop, and notes what is seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rowcall.explain.story import StoryHop, Text
from rowcall.mapping.model import ELEMENT, THERE, TYPE, Entity, Hop, Mapping, Reference, Route
from rowcall.plan.elements import element_entity
from rowcall.plan.source_sql import ContentTypes, hop_sql, row_sql, start_column
from rowcall.postgres.connect import Session
from rowcall.schema import Schema
from rowcall.sql import literal

LONGEST_CLIMB = 1000  # stations; a story ends there, a judgement never does


@dataclass(frozen=True)
class Walk:
    """`ends`: (reference, entity, key) of every row that a path ends at. `in_source` is false where the row is gone."""

    hops: tuple[StoryHop, ...]
    ends: tuple[tuple[str, str, str], ...]
    in_source: bool


@dataclass(frozen=True)
class Walker:
    mapping: Mapping
    schema: Schema
    types: ContentTypes
    source: Session
    target: Session

    def walk(self, entity: Entity, key: str) -> Walk:
        """All references of the row with this key."""
        columns = _start_columns(entity)
        rows = self.source.rows(row_sql(entity, columns, self.schema, key))
        if not rows:
            return Walk((), (), False)
        own: dict[str, Text] = dict(zip(columns, rows[0], strict=False))
        walks = [_Path(self, reference, route, own) for reference, route in self._routes(entity.references, own)]
        typed = [self._type_hop(r, own) for r in entity.references if r.type_column and not r.each]
        for reference in (r for r in entity.references if r.each):
            for place, element in enumerate(self._elements(entity, reference, key), 1):
                ways = self._routes((reference,), element, each=True)
                walks += [_Path(self, reference, route, element, place) for _, route in ways]
                if reference.type_column:
                    typed.append(replace(self._type_hop(reference, element), element=place))
        for walk in walks:
            walk.go()
        order = [reference.column for reference in entity.references]  # several ways to one parent keep theirs
        hops = [*typed, *(hop for walk in walks for hop in walk.hops)]
        hops.sort(key=lambda hop: (order.index(hop.reference), hop.element))
        return Walk(tuple(hops), tuple(dict.fromkeys(end for walk in walks for end in walk.ends)), True)

    def _elements(self, entity: Entity, reference: Reference, key: str) -> list[dict[str, Text]]:
        """The elements of the row's column, as rows in which the paths begin."""
        rows = element_entity(entity, reference, self.schema).relation()
        found = self.source.rows(
            f"select {ELEMENT}, {TYPE} from {rows} where rowcall_k = {literal(key)} order by rowcall_pos"
        )
        return [{ELEMENT: element, TYPE: type_} for element, type_ in found]

    def _routes(
        self, references: Sequence[Reference], own: dict[str, Text], *, each: bool = False
    ) -> Iterator[tuple[Reference, Route]]:
        """The ways that are open to the row, or to an element of it: with a content type, that type's."""
        for reference in (r for r in references if each or not r.each):
            label = self._label(reference, own)
            for route in reference.routes:
                if reference.type_column is None or route.content_type == label:
                    yield reference, route

    def _label(self, reference: Reference, own: dict[str, Text]) -> str | None:
        number = own[reference.type_column] if reference.type_column else None
        known = {str(n): label for n, label in self.types.items()}
        if reference.each:  # an element may name its type itself
            names = [*self.types.values(), *(r.content_type or "" for r in reference.routes)]
            known |= dict(zip(names, names, strict=True))
        return known.get(number or "")

    def _type_hop(self, reference: Reference, own: dict[str, Text]) -> StoryHop:
        label, number = self._label(reference, own), own[reference.type_column or ""]
        route = next((r for r in reference.routes if r.content_type == label), None)
        note = f"means {label}" + ("" if route else ", which the mapping does not name")
        if number in [str(n) for n in self.mapping.content_types.formerly.get(label or "", ())]:
            note += ", by an id that it had formerly"
        if label is None:
            note = "is NULL" if number is None else "no such content type"
        to = route.to if route else reference.routes[0].to
        return StoryHop(reference.column, to, 0, reference.type_column or "", (number,), int(label is not None), note)


class _Path:
    """One route of one row, or of the element in this place of it."""

    def __init__(
        self, walker: Walker, reference: Reference, route: Route, own: dict[str, Text], place: int = 0
    ) -> None:
        self.walker, self.reference, self.route, self.place = walker, reference, route, place
        self.values: tuple[Text, ...] = (own[start_column(route)],)
        self.hops: list[StoryHop] = []
        self.ends: list[tuple[str, str, str]] = []

    def go(self) -> None:
        for number, hop in enumerate(self.route.path, 1):
            self.values = self._climb(number, hop) if hop.climb else self._step(number, hop)
            if not self.values:
                return
        self.ends = [(self.reference.column, self.route.to, v) for v in self.values if v is not None]

    def _step(self, number: int, hop: Hop) -> tuple[Text, ...]:
        """Looks the values up; what the rows found hand on."""
        usable = [v for v in self.values if v is not None and v not in self.reference.sentinels]
        rows = self._rows(number, usable) if usable else []
        onward = tuple(dict.fromkeys(row[3] for row in rows))
        self._note(number, hop, self.values, len(rows), self._why(number, usable, len(rows), onward))
        return onward

    def _why(self, number: int, usable: Sequence[str], found: int, onward: Sequence[Text]) -> str:
        if not usable:
            return "is NULL" if self.values[0] is None else "the mapping declares this value impossible"
        if not found:
            return "no such row"
        several = number == len(self.route.path) and len(onward) > 1
        return f"{len(onward)} different parents" if several else ""

    def _climb(self, number: int, hop: Hop) -> tuple[Text, ...]:
        """Climbs from each value; what the rows at the end hand on."""
        onward: dict[Text, None] = {}
        for value in self.values:
            stations, end, note = self._stations(number, hop, value)
            self._note(number, hop, stations, len(stations), note)
            onward |= dict.fromkeys(end)
        return tuple(onward)

    def _stations(self, number: int, hop: Hop, at: Text) -> tuple[tuple[Text, ...], tuple[Text, ...], str]:
        """(stations, what the last hands on, why it ends there)"""
        seen: dict[Text, None] = {}
        while len(seen) < LONGEST_CLIMB:
            if at is None or (seen and at in self.reference.sentinels):
                return tuple(seen), (), f"{hop.column} is {at or 'NULL'} at the last one"
            rows = self._rows(number, [at])
            if not rows:
                return (*seen, at), (), "no such row"
            seen[at] = None
            _, up, ends, onward = rows[0]
            if ends:
                return tuple(seen), (onward,), "ends here"
            if up in seen:
                return (*seen, up), (), "comes back to a row seen: a cycle"
            at = up
        return tuple(seen), (), f"longer than {LONGEST_CLIMB} rows"

    def _rows(self, number: int, values: Sequence[str]) -> list[tuple[Text, Text, bool, Text]]:
        """(at, up, ends, onward) of the rows that the hop finds."""
        w = self.walker
        sql = hop_sql(self.reference, self.route, number, w.mapping, w.schema, values)
        side = w.target if self.route.path[number - 1].table.startswith(THERE) else w.source
        return [(at, up, ends, onward) for at, up, ends, onward in side.rows(sql)]

    def _note(self, number: int, hop: Hop, seen: tuple[Text, ...], found: int, note: str) -> None:
        told = StoryHop(
            self.reference.column, self.route.to, number, str(hop), seen, found, note, hop.climb, self.place
        )
        self.hops.append(told)


def _start_columns(entity: Entity) -> list[str]:
    """The columns of the entity's row that its references begin at."""
    own = [reference for reference in entity.references if not reference.each]
    starts = [start_column(route) for reference in own for route in reference.routes]
    types = [reference.type_column for reference in own if reference.type_column]
    return list(dict.fromkeys(starts + types))
