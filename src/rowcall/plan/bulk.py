"""Which tables are loaded in bulk, and which of their keys the run takes away for it.

Taken away is only what stands on a table that the run loads in bulk. A foreign key may go where the table that it refers to
is whole before its own is loaded: then its violations are found before any row's children are judged. An index stays where
something that stays rests on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rowcall.mapping.model import Mapping
from rowcall.plan.knowledge import Knowledge
from rowcall.plan.step import Step
from rowcall.schema import TableKey

LIVE, BULK = "live", "bulk"


@dataclass(frozen=True)
class Load:
    """How a target table is filled. `mode` is "bulk" or "live", `why` says why live; `keys` go (stays == "") or stay."""

    table: str
    step: int
    mode: str
    why: str = ""
    keys: tuple[TableKey, ...] = ()

    @property
    def taken(self) -> tuple[TableKey, ...]:
        return tuple(k for k in self.keys if not k.stays) if self.mode == BULK else ()

    def as_json(self) -> dict[str, Any]:
        stays = {k.name: k.stays for k in self.keys if k.stays} if self.mode == BULK else {}
        return {
            "table": self.table,
            "mode": self.mode,
            "why": self.why or None,
            "taken": [k.name for k in self.taken],
            "stays": stays,
        }


def loads(steps: Sequence[Step], mapping: Mapping, know: Knowledge) -> tuple[Load, ...]:
    """How each target table of these steps is filled, in their order."""
    tables = _tables(steps, mapping, know)
    numbers = {load.table: load.step for load in tables}
    bulk = {load.table for load in tables if load.mode == BULK}
    keys = [_judged(key, know, numbers, bulk) for key in know.keys]
    kept = {(k.refers_to, k.rests_on): k for k in keys if k.kind == "foreign key" and k.stays}
    final = [_resting(key, kept) for key in keys]
    return tuple(replace(load, keys=tuple(k for k in final if k.table == load.table)) for load in tables)


def _tables(steps: Iterable[Step], mapping: Mapping, know: Knowledge) -> list[Load]:
    shared = Counter(e.target for e in mapping.entities)
    found: dict[str, Load] = {}
    for step in steps:
        for judge in step.judges:
            entity = judge.entity
            occupied = entity.name in know.occupied and entity.load != BULK
            why = (
                "the mapping says `load: live`" if entity.load == LIVE
                else "the rows of a cycle enter in one statement" if step.group.cyclic
                else "several entities fill it" if shared[entity.target] > 1
                else "it holds rows already; `load: bulk` in the mapping loads it in bulk all the same" if occupied
                else ""
            )  # fmt: skip
            found[entity.target] = Load(entity.target, step.number, LIVE if why else BULK, why)
    return list(found.values())


def _judged(key: TableKey, know: Knowledge, numbers: dict[str, int], bulk: set[str]) -> TableKey:
    """A key with why it stays, as far as that lies in itself."""
    if key.stays:
        return key
    if key.table not in bulk:
        return replace(key, stays="its table is not loaded in bulk")
    if key.kind == "foreign key" and numbers.get(key.refers_to, 0) >= numbers[key.table]:
        return replace(key, stays=f"{key.refers_to} is not whole yet when its rows come")
    if know.target.tables[key.table].triggers and (key.unique or key.kind == "foreign key"):
        # What a trigger did for a row could not be taken back once the row is refused.
        return replace(key, stays="triggers fire, so a row must be refused before they do")
    return key


def _resting(key: TableKey, kept: dict[tuple[str, str], TableKey]) -> TableKey:
    stone = kept.get((key.table, key.name))
    if stone is None or key.stays or key.kind == "foreign key":
        return key
    return replace(key, stays=f"the foreign key {stone.name} of {stone.table} needs it")
