"""Which remedies fit a cause, by its code and by what the target's columns allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rowcall.mapping.model import Entity
from rowcall.plan.plan import Plan
from rowcall.repair.remedy import Place, Remedy
from rowcall.rows import Reason
from rowcall.schema import Table


def fitting(
    remedies: Mapping[str, Remedy], plan: Plan, entity: str, code: str, columns: Iterable[str | None]
) -> tuple[str, ...]:
    """Names, the most telling first, of remedies that fit at all of these target columns."""
    found = plan.mapping.entity(entity)
    table = plan.knowledge.target.tables[found.target]
    places = [place(found, table, Reason(code), name) for name in set(columns) or {None}]
    return tuple(name for name, remedy in remedies.items() if all(map(remedy.fits, places)))


def place(entity: Entity, table: Table, code: Reason, column: str | None) -> Place:
    """Where rows of an entity fail. `table` is its target."""
    reference = next((r for r in entity.references if r.column == column), None)
    if reference is None:
        return Place(code, table.column(column or ""))
    fixed = reference.merges or reference.each is not None
    return Place(code, table.column(reference.column), True, fixed, any(r.there for r in reference.routes))
