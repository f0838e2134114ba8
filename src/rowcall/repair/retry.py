"""After the source was fixed: quarantined rows are read anew, on a fresh snapshot, and sent through the belt again.

What is sound now comes home; what is still rejected says why as it is now; what a rule excludes now, or is gone, is settled so.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rowcall.ledger.book import EntityRecord
from rowcall.ledger.repairs import Fate
from rowcall.move.mend import KEYS, Mended
from rowcall.progress import Meter
from rowcall.repair.repairer import Repairer

RETRY = "retry"


@dataclass(frozen=True)
class Retried:
    """Entity -> rows: read anew, come home, excluded by a rule now, gone at the source. `repair` is the number in the book of
    each entity's retry."""

    read: dict[str, int] = field(default_factory=dict)
    home: dict[str, int] = field(default_factory=dict)
    excluded: dict[str, int] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    repairs: tuple[int, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return dict(vars(self))


def retry(repairer: Repairer) -> Retried:
    """All undecided rows, parents first, in one transaction."""
    try:
        with repairer.transaction():
            return _Retry(repairer)()
    finally:
        repairer.mender.forget()


class _Retry:
    def __init__(self, repairer: Repairer) -> None:
        self.repairer, self.book = repairer, repairer.book
        self.counts = {name: Counter[str]() for name in ("read", "home", "excluded", "gone")}
        self.repairs: list[int] = []

    def __call__(self) -> Retried:
        for judge in (j for step in self.repairer.plan.steps for j in step.judges):
            record = self.repairer.records[judge.entity.name]
            keys = [key for (key,) in self.book.rows("undecided", record.id)]
            if keys:
                self._entity(record, keys)
        told = {name: {e: rows for e, rows in found.items() if rows} for name, found in self.counts.items()}
        return Retried(**told, repairs=tuple(self.repairs))

    def _entity(self, record: EntityRecord, keys: list[str]) -> None:
        repair, name = self.book.next_id(), record.name
        mapping = self.repairer.plan.mapping.fingerprint
        self.book.add(
            repair, record.id, RETRY, RETRY, {}, "command", self.repairer.actor, "the source was read anew", mapping,
            self.repairer.source_read,
        )  # fmt: skip
        self.counts["read"][name] = len(keys)
        meter = Meter(self.repairer.on_progress, "mend", name, len(keys))
        waiting, chosen = keys, len(keys)
        while waiting:  # in a cyclic group rows may wait for each other
            before = self.counts["home"][name]
            left: list[str] = []
            for at in range(0, len(waiting), KEYS):
                part = waiting[at : at + KEYS]
                left += self._part(repair, record, part)
                meter.add(len(part) if waiting is keys else 0)
            cyclic = self.repairer.mender.step(name).group.cyclic
            waiting = left if cyclic and self.counts["home"][name] > before else []
        home = self.counts["home"][name]
        if home or self.counts["excluded"][name] or self.counts["gone"][name]:
            self.book.sums(repair, chosen, home, home, 0)
            self.repairs.append(repair)
        else:  # nothing that could be taken back
            self.book.forget(repair)
        meter.end()

    def _part(self, repair: int, record: EntityRecord, keys: Sequence[str]) -> list[str]:
        """Reads and settles some rows; those that are still in quarantine."""
        payloads = self.repairer.mender.payloads(record.name, keys)
        gone = [key for key in keys if key not in payloads]
        present = [key for key in keys if key in payloads]
        mended = self.repairer.mender.mend(record.name, present, self.book.amendments(record.id, present))
        self.repairer.settle(repair, record, mended)
        self._exclude(repair, record, mended)
        self._reject(record, mended, payloads)
        self._drop(repair, record, gone)
        self.counts["home"][record.name] += len(mended.home)
        return [rejected.key for rejected in mended.rejected]

    def _exclude(self, repair: int, record: EntityRecord, mended: Mended) -> None:
        if not mended.excluded:
            return
        keys = list(mended.excluded)
        self.book.note(
            repair, record.id, [Fate(key, left_for=f"excluded by {rule}") for key, rule in mended.excluded.items()]
        )
        self.book.do("exclude_late", keys, list(mended.excluded.values()), entity=record.id)
        self.book.do("exclude_sums", keys, entity=record.id)
        self.book.do("drop_quarantined", record.id, keys)
        self.counts["excluded"][record.name] += len(keys)

    def _reject(self, record: EntityRecord, mended: Mended, payloads: dict[str, str]) -> None:
        amended = {a.key for a in self.book.amendments(record.id, [r.key for r in mended.rejected])}
        known = {row.key: row.payload for row in self.book.quarantined(record.id, sorted(amended))}
        # What is wrong with a row as it was read stays: its amendments hide a part of it.
        rows = [r for r in mended.rejected if r.key not in amended or json.loads(payloads[r.key]) != known[r.key]]
        if not rows:
            return
        self.book.do(
            "reject_again", [r.key for r in rows], [r.rejections for r in rows], [payloads[r.key] for r in rows],
            [r.root_entity for r in rows], [r.root_key for r in rows], [r.parent_entity for r in rows],
            [r.parent_key for r in rows], record.id,
        )  # fmt: skip
        causes = [json.loads(r.rejections)[0]["code"] for r in rows]
        self.book.do("recause", [r.key for r in rows], causes, entity=record.id)

    def _drop(self, repair: int, record: EntityRecord, gone: list[str]) -> None:
        if not gone:
            return
        self.book.note(repair, record.id, [Fate(key, left_for="gone at the source") for key in gone])
        self.book.do("gone_sums", gone, entity=record.id)
        self.book.do("drop_lines", gone, entity=record.id)
        self.book.do("drop_quarantined", record.id, gone)
        self.counts["gone"][record.name] += len(gone)
