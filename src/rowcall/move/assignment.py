"""What must be known to settle an entity's chunks, beside the chunk."""

from __future__ import annotations

from dataclasses import dataclass

from rowcall.ledger.book import EntityRecord
from rowcall.mapping.model import KEY, RETURNED, Entity
from rowcall.plan.bulk import LIVE
from rowcall.plan.judge import Judge
from rowcall.plan.plan import Plan
from rowcall.schema import ForeignKey, Table


@dataclass(frozen=True)
class Assignment:
    """`entity` is the ledger's number, `columns` are the source table's, `table` is the target's; `inner_keys` are its foreign
    keys to tables that the run fills."""

    judge: Judge
    entity: int
    columns: tuple[str, ...]
    table: Table
    inner_keys: tuple[ForeignKey, ...]
    live: bool  # the table may be in use, and its keys stay on


def assign(plan: Plan, record: EntityRecord) -> Assignment:
    judge, filled = plan.judge(record.name), {e.target for e in plan.mapping.entities}
    table = plan.knowledge.target.tables[judge.entity.target]
    columns = assigned_columns(plan, judge.entity)
    inner = tuple(k for k in table.foreign_keys if k.table in filled)
    live = any(load.mode == LIVE for load in plan.loads() if load.table == table.qualified)
    return Assignment(judge, record.id, columns, table, inner, live)


def assigned_columns(plan: Plan, entity: Entity) -> tuple[str, ...]:
    """The source's columns, as the quarantine keeps them."""
    table = plan.knowledge.source.tables[entity.source]
    return tuple(c.name for c in table.columns if c.name not in (RETURNED, KEY))
