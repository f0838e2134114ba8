"""What became of rows that were judged again, collected as they go through the belt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from rowcall.ledger.repairs import Fate
from rowcall.move.settle import Chapter
from rowcall.move.verdicts import Verdicts, rejected_rows
from rowcall.postgres.copy import Refusal
from rowcall.rows import Reason

Into = tuple[str, str, UUID]  # the row that stands for another: its entity, its key and its uuid


@dataclass(frozen=True)
class Rejected:
    """Why a row is still rejected, as the quarantine takes it. It holds values: no log, no repr."""

    key: str = field(repr=False)
    rejections: str = field(repr=False)
    root_entity: str
    root_key: str = field(repr=False)
    parent_entity: str | None
    parent_key: str | None = field(repr=False)


@dataclass
class Mended:
    """What became of rows: `fates` of those that were judged, the references that became NULL among those that came home (rows of
    COPY), every number (low 32 bits) under which something was written, and of the others why they are rejected or excluded."""

    fates: list[Fate] = field(default_factory=list)
    nulled: list[memoryview] = field(default_factory=list)
    xids: set[int] = field(default_factory=set)
    rejected: list[Rejected] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)  # key -> rule
    merged: dict[str, Into] = field(default_factory=dict)  # of these

    @property
    def home(self) -> list[Fate]:
        return [fate for fate in self.fates if fate.target_id is not None]


@dataclass
class Gathered(Chapter):
    """Which rows came home under which uuid, and for what the others were left."""

    home: list[tuple[str, UUID]] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)
    why: list[Rejected] = field(default_factory=list)
    rules: dict[str, str] = field(default_factory=dict)
    into: dict[str, Into] = field(default_factory=dict)

    def add(self, verdicts: Verdicts) -> None:
        ids = verdicts.ids(verdicts.accepted)
        self.home += zip(verdicts.accepted_keys, (UUID(bytes=uid) for uid in ids.to_pylist()), strict=True)
        self.reject(verdicts.rejected)
        excluded = verdicts.excluded
        rules = dict(zip(map(str, excluded["k"].to_pylist()), excluded["excluded"].to_pylist(), strict=True))
        self.rules |= rules
        self.left += rules.items()
        for row in verdicts.merged.to_pylist():
            if row["merged_uid"] is not None:
                self.into[row["k"]] = row["merged_entity"], row["merged_key"], UUID(bytes=row["merged_uid"])
        if conceded := list(verdicts.conceded()):
            self.nulled.append(self.links(conceded))

    def add_refused(self, verdicts: Verdicts, refused: dict[int, Refusal]) -> None:
        keys = verdicts.accepted_keys
        self.add(verdicts.without(refused))
        self.refuse({keys[place]: refusal for place, refusal in refused.items()})

    def refuse(self, refused: Mapping[str, Refusal]) -> None:
        """Rows (by their keys) that the target refuses."""
        entity = self.work.judge.entity.name
        self.reject(rejected_rows([_refused(entity, key, self.told(refusal)) for key, refusal in refused.items()]))

    def told(self, refusal: Refusal) -> dict[str, Any]:
        """A value that another row has is a duplicate, as the judge says it: here the target alone is asked."""
        told, unique = super().told(refusal), (u for u in self.work.table.uniques if u.name == refusal.constraint)
        if refusal.sqlstate == "23505" and (found := next(unique, None)) is not None:
            told |= {"code": Reason.DUPLICATE_KEY.value, "evidence": ", ".join(found.columns)}
            told |= dict.fromkeys(("detail", "parent_entity", "parent_key"))
        return told

    def reject(self, rows: Any) -> None:
        for row in rows.to_pylist():
            self.left.append((row["key"], row["code"]))
            whose = (row[name] for name in ("root_entity", "root_key", "parent_entity", "parent_key"))
            self.why.append(Rejected(row["key"], row["rejections"], *whose))


def _refused(entity: str, key: str, told: dict[str, Any]) -> dict[str, Any]:
    rejections = json.dumps([told], ensure_ascii=False)
    return told | {"key": key, "root_entity": entity, "root_key": key, "rejections": rejections}
