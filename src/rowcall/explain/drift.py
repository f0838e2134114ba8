"""Content types whose id changed over time: which rows say which id, and until when, asked of the source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rowcall.mapping.model import Entity, Reference
from rowcall.plan.keys import BIGINT, bare, entity_key
from rowcall.plan.plan import Plan
from rowcall.postgres.connect import Session
from rowcall.sql import ident


@dataclass(frozen=True)
class Drift:
    """The rows of an entity that name a content type by one of its ids. `first` and `last` are the least and the greatest
    value of `by`, a time column of the row (its key where it has none), as text; None where that key is no number."""

    entity: str
    column: str
    content_type: str
    id: int
    former: bool
    rows: int
    by: str
    first: str | None = field(repr=False)
    last: str | None = field(repr=False)


def drifts(plan: Plan, source: Session) -> tuple[Drift, ...]:
    """Of every reference by content type with a type that the mapping says had other ids `formerly`. No types, no query."""
    return tuple(drift for e in plan.mapping.entities for r in e.references for drift in _of(plan, source, e, r))


def _of(plan: Plan, source: Session, entity: Entity, reference: Reference) -> Iterator[Drift]:
    moved = {r.content_type or "" for r in reference.routes} & plan.mapping.content_types.formerly.keys()
    if reference.type_column is None or reference.each or not moved:
        return
    types = {n: name for n, name in plan.knowledge.content_types.items() if name in moved}
    by, read = _time(plan, entity)
    type_ = ident(reference.type_column)
    rows = source.rows(
        f"select {type_}::int8, count(*), min({read})::text, max({read})::text from {entity.relation()} "
        f"where {type_} in ({', '.join(map(str, sorted(types)))}) group by 1 order by 1"
    )
    for number, count, first, last in rows:
        former = number in plan.mapping.content_types.formerly[types[number]]
        yield Drift(entity.name, reference.column, types[number], number, former, count, by, first, last)


def _time(plan: Plan, entity: Entity) -> tuple[str, str]:
    """What tells a row's time, and SQL that reads it: the cutoff's column, else the first time that the mapping reads."""
    table = plan.knowledge.source.tables[entity.source]
    times = [c.name for c in table.columns if bare(c.type).name in ("timestamptz", "timestamp")]
    named = [entity.cutoff.column] if entity.cutoff else [r.source for r in entity.columns if r.source in times]
    if named and named[0]:
        return named[0], ident(named[0])
    key = entity_key(entity, plan.knowledge.source)
    return ", ".join(entity.key), key.names if key.kind == BIGINT else "null::text"
