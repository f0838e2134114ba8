"""The story of one row: where each reference's path leads in the source today, and what the ledger says became of it.

A story holds row data (the values seen): it is for the screen that was asked for it, so the values stay out of reprs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from rowcall.ledger.repairs import Treatment

Text = str | None


@dataclass(frozen=True)
class StoryHop:
    """One hop of a reference's path. `number` counts from 1; 0 is the look at the row's content type."""

    reference: str
    to: str  # entity
    number: int
    text: str  # as the mapping has it: object_id -> dispatch_plan.id
    seen: tuple[Text, ...] = field(repr=False)  # the values looked up; a climb's stations
    found: int  # rows
    note: str = field(default="", repr=False)
    climb: bool = False
    element: int = 0  # of a column with several references: which, from 1


@dataclass(frozen=True)
class Fate:
    """What became of a row that a path ends at. `outcome` is None where the ledger has no line of it, and "merged" where
    another row stands for it: `cause` is that one, and `target_id` its uuid."""

    reference: str
    entity: str
    key: str
    outcome: Text
    target_id: Text
    cause: Text


@dataclass(frozen=True)
class Link:
    """One row on the way from a victim to its root, with its first rejection's code."""

    entity: str
    key: str
    code: Text


@dataclass(frozen=True)
class Story:
    entity: str
    key: str
    outcome: str
    target_id: Text
    cause: Text  # a reason code, or the rule that excluded the row
    disposition: Text
    hops: tuple[StoryHop, ...]
    parents: tuple[Fate, ...]
    rejections: tuple[dict[str, Any], ...] = field(repr=False)  # {code, column, reference, hop, value, evidence}
    nulled: tuple[dict[str, Any], ...] = field(repr=False)  # {column, code, hop, value}
    chain: tuple[Link, ...]  # the row itself first, its root last; empty unless it is quarantined
    in_source: bool = True
    treatments: tuple[Treatment, ...] = field(default=(), repr=False)  # what repairs did with it
    merged: tuple[str, str, Text] | None = None  # entity, key and uuid of the row that stands for it
    kept: Text = None  # why its target row is not as the source has it: see rowcall.kept_row

    @property
    def root(self) -> Link | None:
        return self.chain[-1] if self.chain else None

    def as_json(self) -> dict[str, Any]:
        told = [{**asdict(t), "at": t.at.isoformat()} for t in self.treatments]
        return {**asdict(self), "root": asdict(self.root) if self.root else None, "treatments": told}
