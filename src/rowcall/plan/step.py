"""A step of the plan: entities whose rows are settled together, with their compiled judges."""

from __future__ import annotations

from dataclasses import dataclass

from rowcall.plan.graph import Group
from rowcall.plan.judge import Judge


@dataclass(frozen=True)
class Step:
    """One group's work."""

    number: int  # from 1
    group: Group
    judges: tuple[Judge, ...]

    @property
    def parents(self) -> tuple[str, ...]:
        """The entities that references of its rows name, in declared order."""
        return tuple(dict.fromkeys(parent for judge in self.judges for parent in judge.parents))

    @property
    def prejudged(self) -> bool:
        """Whether verdicts hang together across chunks, so that all rows are judged on keys before one is written."""
        return self.group.cyclic or any(j.uniques for j in self.judges)
