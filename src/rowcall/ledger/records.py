"""The ledger's line of each entity, as a plan has it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from rowcall.ledger.book import EntityRecord
from rowcall.plan.plan import Plan


def entity_records(plan: Plan) -> Iterator[EntityRecord]:
    """The ledger's line of each entity, numbered in the plan's order."""
    numbers = count(1)
    for step in plan.steps:
        for e in (judge.entity for judge in step.judges):
            occupied = e.name in plan.knowledge.occupied
            yield EntityRecord(
                next(numbers), e.name, e.target, e.id_column, e.impact, step.number, None, occupied, e.source,
                e.identity, step.group.cyclic,
            )  # fmt: skip
