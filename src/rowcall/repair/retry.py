"""After the source was fixed: quarantined rows are read anew, on a fresh snapshot, and sent through the belt again.

What is sound now comes home; what is still rejected says why as it is now; what a rule excludes now, or is gone, is settled so.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rowcall.ledger.book import EntityRecord
from rowcall.ledger.repairs import Fate
from rowcall.move.circle import together
from rowcall.move.gathered import Mended, Rejected
from rowcall.move.mend import KEYS
from rowcall.plan.step import Step
from rowcall.progress import Meter
from rowcall.repair.repairer import Repairer
from rowcall.rows import Reason

RETRY = "retry"


@dataclass(frozen=True)
class Retried:
    """Entity -> rows: read anew, come home, excluded by a rule now, gone at the source; and rows that the source has, to which some
    of these may lead, and the run never saw. `repairs` are the numbers in the book: one for each entity, or cyclic group."""

    read: dict[str, int] = field(default_factory=dict)
    home: dict[str, int] = field(default_factory=dict)
    excluded: dict[str, int] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    unseen: dict[str, int] = field(default_factory=dict)
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
        self.repairer, self.book, self.mender = repairer, repairer.book, repairer.mender
        self.counts = {name: Counter[str]() for name in ("read", "home", "excluded", "gone")}
        self.repairs: list[int] = []
        self.nowhere: set[str] = set()  # entities to which rows still lead in vain

    def __call__(self) -> Retried:
        for step in self.repairer.plan.steps:
            waiting = {
                name: [k for (k,) in self.book.rows("undecided", self._record(name).id)] for name in step.group.entities
            }
            waiting = {name: keys for name, keys in waiting.items() if keys}
            if step.group.cyclic and waiting:
                with self._repair(waiting) as repair:
                    self._together(repair, step, waiting)
            else:
                for name, keys in waiting.items():
                    with self._repair({name: keys}) as repair:
                        self._apart(repair, name, keys)
        told = {name: {e: rows for e, rows in found.items() if rows} for name, found in self.counts.items()}
        return Retried(**told, unseen=self._unseen(), repairs=tuple(self.repairs))

    def _unseen(self) -> dict[str, int]:
        """Of the entities to which rows lead in vain: those that have more rows at the source than lines in the ledger."""
        found: dict[str, int] = {}
        for name in sorted(self.nowhere):
            count = f"select count(*) as n from {self.mender.plan.judge(name).entity.relation()}"
            rows = int(self.mender.worker.reader.table(count)["n"][0].as_py())
            lines = int(self.book.rows("lines", self._record(name).id)[0][0])
            if rows > lines:
                found[name] = rows - lines
        return found

    def _record(self, name: str) -> EntityRecord:
        return self.repairer.records[name]

    @contextmanager
    def _repair(self, waiting: Mapping[str, Sequence[str]]) -> Iterator[int]:
        """A line in the book of repairs: rows that need each other can only be taken back together."""
        repair, mapping = self.book.next_id(), self.repairer.plan.mapping.fingerprint
        self.book.add(
            repair, self._record(next(iter(waiting))).id, RETRY, RETRY, {}, "command", self.repairer.actor,
            "the source was read anew", mapping, self.repairer.source_read,
        )  # fmt: skip
        self.counts["read"].update({name: len(keys) for name, keys in waiting.items()})
        yield repair
        home, excluded, gone = (
            sum(self.counts[what][name] for name in waiting) for what in ("home", "excluded", "gone")
        )
        if home or excluded or gone:
            self.book.sums(repair, sum(map(len, waiting.values())), home, home, 0)
            self.repairs.append(repair)
        else:  # nothing that could be taken back
            self.book.forget(repair)

    def _apart(self, repair: int, name: str, keys: Sequence[str]) -> None:
        """Reads and settles an entity's rows, one part after another."""
        record = self._record(name)
        for part in self._parts(name, keys):
            present = self._present(repair, record, part)
            mended = self.mender.mend(name, present, self.book.amendments(record.id, present))
            self._settle(repair, record, mended)

    def _together(self, repair: int, step: Step, waiting: Mapping[str, Sequence[str]]) -> None:
        """The rows of a cyclic group, which may need each other."""
        rows = {
            name: [key for part in self._parts(name, keys) for key in self._present(repair, self._record(name), part)]
            for name, keys in waiting.items()
        }
        amendments = {name: self.book.amendments(self._record(name).id, keys) for name, keys in rows.items()}
        for name, mended in together(self.mender, step, rows, rows, amendments).items():
            self._settle(repair, self._record(name), mended)

    def _parts(self, name: str, keys: Sequence[str]) -> Iterator[Sequence[str]]:
        meter = Meter(self.repairer.on_progress, "mend", name, len(keys))
        for at in range(0, len(keys), KEYS):
            yield keys[at : at + KEYS]
            meter.add(len(keys[at : at + KEYS]))
        meter.end()

    def _present(self, repair: int, record: EntityRecord, keys: Sequence[str]) -> list[str]:
        """Those of the rows that the source still has; the others are settled as gone."""
        there = self.mender.payloads(record.name, keys)
        self._drop(repair, record, [key for key in keys if key not in there])
        return [key for key in keys if key in there]

    def _settle(self, repair: int, record: EntityRecord, mended: Mended) -> None:
        self.repairer.settle(repair, record, mended)
        self._exclude(repair, record, mended)
        for at in range(0, len(mended.rejected), KEYS):
            self._reject(record, mended.rejected[at : at + KEYS])
        self.counts["home"][record.name] += sum(fate.is_home for fate in mended.fates)

    def _exclude(self, repair: int, record: EntityRecord, mended: Mended) -> None:
        excluded = {key: rule for key, rule in mended.excluded.items() if key not in mended.merged}
        if not excluded:
            return
        keys = list(excluded)
        self.book.note(repair, record.id, [Fate(key, left_for=f"excluded by {rule}") for key, rule in excluded.items()])
        self.book.do("exclude_late", keys, list(excluded.values()), entity=record.id)
        self.book.do("exclude_sums", keys, entity=record.id)
        self.book.do("drop_quarantined", record.id, keys)
        self.mender.learn(record.name, {key: ("excluded", None, None, rule) for key, rule in excluded.items()})
        self.counts["excluded"][record.name] += len(keys)

    def _reject(self, record: EntityRecord, rejected: Sequence[Rejected]) -> None:
        self.mender.learn(record.name, {r.key: ("quarantined", None, r.root_entity, r.root_key) for r in rejected})
        self._note_nowhere(record, rejected)
        payloads = self.mender.payloads(record.name, [r.key for r in rejected])
        amended = {a.key for a in self.book.amendments(record.id, [r.key for r in rejected])}
        known = {row.key: row.payload for row in self.book.quarantined(record.id, sorted(amended))}
        # What is wrong with a row as it was read stays: its amendments hide a part of it.
        rows = [r for r in rejected if r.key not in amended or json.loads(payloads[r.key]) != known[r.key]]
        if not rows:
            return
        self.book.do(
            "reject_again", [r.key for r in rows], [r.rejections for r in rows], [payloads[r.key] for r in rows],
            [r.root_entity for r in rows], [r.root_key for r in rows], [r.parent_entity for r in rows],
            [r.parent_key for r in rows], record.id,
        )  # fmt: skip
        causes = [json.loads(r.rejections)[0]["code"] for r in rows]
        self.book.do("recause", [r.key for r in rows], causes, entity=record.id)

    def _note_nowhere(self, record: EntityRecord, rejected: Sequence[Rejected]) -> None:
        told = (t for r in rejected for t in json.loads(r.rejections))
        columns = {t["reference"] for t in told if t["code"] == Reason.DANGLING_REFERENCE.value}
        references = self.mender.plan.mapping.entity(record.name).references
        self.nowhere |= {route.to for r in references if r.column in columns for route in r.routes if not route.there}

    def _drop(self, repair: int, record: EntityRecord, gone: list[str]) -> None:
        if not gone:
            return
        self.book.note(repair, record.id, [Fate(key, left_for="gone at the source") for key in gone])
        self.book.do("gone_sums", gone, entity=record.id)
        self.book.do("drop_lines", gone, entity=record.id)
        self.book.do("drop_quarantined", record.id, gone)
        self.mender.learn(record.name, dict.fromkeys(gone, (None, None, None, None)))
        self.counts["gone"][record.name] += len(gone)
