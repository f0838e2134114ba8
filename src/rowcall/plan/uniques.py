"""Which unique keys of a target table are judged set-wise: those that the source does not already guarantee."""

from __future__ import annotations

from rowcall.mapping.model import Entity, Mapping
from rowcall.plan.knowledge import Knowledge
from rowcall.schema import Table, Unique


def judged_uniques(entity: Entity, mapping: Mapping, know: Knowledge, filled: frozenset[str]) -> tuple[Unique, ...]:
    """The target's unique keys over columns that are `filled`, but for those that need no judging."""
    target = know.target.tables[entity.target]
    shared = sum(e.target == entity.target for e in mapping.entities) > 1
    own = not shared and entity.name not in know.occupied  # a target of one's own
    table = know.source.tables[entity.source]
    return tuple(u for u in target.uniques if set(u.columns) <= filled and not (own and _guaranteed(entity, table, u)))


def _guaranteed(entity: Entity, table: Table, unique: Unique) -> bool:
    """Whether unchanged columns are unique at the source; the uuid itself is, where its key is."""
    if entity.id_column in unique.columns and not entity.given_id:
        return table.is_unique(entity.key)
    plain = {r.column: r.source for r in entity.columns if r.source and r.values is None and r.convert is None}
    return table.is_unique(tuple(plain[c] for c in unique.columns if c in plain))
