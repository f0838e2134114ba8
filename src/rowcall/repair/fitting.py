"""Which remedies fit a cause, by its code and by what the target's columns allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rowcall.plan.plan import Plan
from rowcall.repair.remedy import Place, Remedy
from rowcall.rows import Reason


def fitting(
    remedies: Mapping[str, Remedy], plan: Plan, entity: str, code: str, columns: Iterable[str | None]
) -> tuple[str, ...]:
    """Names, the most telling first, of remedies that fit at all of these target columns."""
    found = plan.mapping.entity(entity)
    table = plan.knowledge.target.tables[found.target]
    references = {r.column for r in found.references}
    places = [Place(Reason(code), table.column(name or ""), name in references) for name in set(columns) or {None}]
    return tuple(name for name, remedy in remedies.items() if all(map(remedy.fits, places)))
