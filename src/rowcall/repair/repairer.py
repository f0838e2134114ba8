"""Preview and apply: the same work in one transaction, which a preview takes back.

A repair chooses quarantined rows of a cause, notes in the ledger what its remedy puts into them, and sends them through the
belt again (rowcall.move.mend). Rows that come home get their lines, sums and disposition in the same transaction as their
target rows, so that a kill at any moment leaves all of it or nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from rowcall.errors import UsageError
from rowcall.explain.samples import mask, numbered
from rowcall.ledger.book import NULLED_REFERENCE, EntityRecord, Ledger
from rowcall.ledger.repairs import UNDECIDED, Fate, Quarantined, RepairBook
from rowcall.move.mend import KEYS, Mended, Mender
from rowcall.move.worker import Worker
from rowcall.plan.plan import Plan
from rowcall.postgres.copy import copy_in
from rowcall.postgres.errors import DriverError, stopped
from rowcall.postgres.read import Reader
from rowcall.progress import Meter, OnProgress, silent
from rowcall.repair.choice import choose, record_of
from rowcall.repair.creation import Creator
from rowcall.repair.decide import decide
from rowcall.repair.effect import Effect, Request, Sample, by_code
from rowcall.repair.remedy import COLUMN, Remedy
from rowcall.repair.use import Use
from rowcall.repair.ways import Ways
from rowcall.rows import Amendment, Disposition, Reason

SAMPLES = 5
Homes = dict[str, list[str]]  # entity -> keys


class _TakenBack(Exception):
    pass


@dataclass
class _Work:
    """A repair under way."""

    id: int
    request: Request
    fates: dict[tuple[str, str], Fate]
    samples: list[Sample]
    creator: Creator
    chosen: int = 0
    changed: int = 0
    amended: int = 0


class Repairer:
    """Over one worker, which reads the source in one snapshot and writes the target. `actor` is who asks."""

    def __init__(
        self, plan: Plan, worker: Worker, target: Reader, remedies: Mapping[str, Remedy], ways: Ways, actor: str,
        source_read: str, on_progress: OnProgress = silent, show_values: bool = False,
    ) -> None:  # fmt: skip
        self.plan, self.worker, self.remedies, self.ways = plan, worker, remedies, ways
        self.actor, self.source_read, self.on_progress, self.show_values = actor, source_read, on_progress, show_values
        self.session = worker.session
        self.ledger, self.book = Ledger(self.session), RepairBook(self.session)
        self.records: dict[str, EntityRecord] = {r.name: r for r in self.ledger.entities()}
        self.mender = Mender(plan, worker, target, self.records)

    # -- the face ---------------------------------------------------------------------------------------------------

    def apply(self, request: Request) -> Effect:
        """Does it. Raises UsageError where nothing can be repaired so."""
        try:
            with self.session.transaction():
                return self._do(request)
        except DriverError as error:
            raise stopped(error, "target", self.records[request.entity].target_table) from None
        finally:
            self.mender.forget()

    def preview(self, request: Request) -> Effect:
        """What apply would do, by doing it and taking it back; `victims` counts the rows that could follow then."""
        found: list[Effect] = []
        try:
            with suppress(_TakenBack), self.session.transaction():
                effect = self._do(request)
                followed = {} if request.follow else self._follow_down(effect.repair or 0, _homes(effect.fates))
                victims = Counter(entity for (entity, _), fate in followed.items() if fate.target_id)
                found.append(replace(effect, repair=None, victims=dict(victims)))
                raise _TakenBack
        except DriverError as error:
            raise stopped(error, "target", self.records[request.entity].target_table) from None
        finally:
            self.mender.forget()
        return found[0]

    # -- the work ---------------------------------------------------------------------------------------------------

    def _do(self, request: Request) -> Effect:
        remedy = self._remedy(request)
        if remedy.disposition is not None:
            return decide(self.ledger, request, remedy, self.actor)
        settings = remedy.settled(request.settings)
        record = record_of(self.ledger, request.entity)
        keys = choose(self.book, request, record)
        repair = self._begin(request, settings, record)
        work = _Work(repair, request, {}, [], self._creator(repair))
        if remedy.follows:
            self._follow_up(work, request.entity, keys)
        else:
            self._amend(work, remedy, settings, record, keys)
        if request.follow:
            work.fates |= self._follow_down(repair, _homes(work.fates))
        return self._end(work, settings)

    def _remedy(self, request: Request) -> Remedy:
        if request.remedy not in self.remedies:
            raise UsageError(f"there is no remedy {request.remedy!r}", hint=f"there are {', '.join(self.remedies)}")
        remedy = self.remedies[request.remedy]
        if Reason(request.code) not in remedy.codes:
            fits = ", ".join(sorted(code.value for code in remedy.codes))
            raise UsageError(
                f"{remedy.name} does not heal {request.code}", hint=f"it fits {fits}; see `rowcall remedies`"
            )
        return remedy

    def _begin(self, request: Request, settings: Mapping[str, Any], record: EntityRecord) -> int:
        repair = self.book.next_id()
        reason = request.reason or str(settings.get("reason") or "")
        self.book.add(
            repair, record.id, request.code, request.remedy, settings, request.origin, self.actor, reason,
            self.plan.mapping.fingerprint, self.source_read,
        )  # fmt: skip
        return repair

    def _end(self, work: _Work, settings: Mapping[str, Any]) -> Effect:
        home = Counter(entity for (entity, _), fate in work.fates.items() if fate.target_id)
        rows = sum(home.values())
        created = work.creator.created
        self.book.do("sums", work.chosen, work.amended, rows, created, work.id)
        self.book.add_xids(work.id, work.creator.xids)
        return Effect(
            work.request, work.id, settings, work.chosen, work.amended, dict(home), {}, by_code(work.fates), 0,
            work.changed, created, dict(work.creator.refused), tuple(work.samples), work.fates,
        )  # fmt: skip

    def _creator(self, repair: int) -> Creator:
        return Creator(repair, self.plan, self.mender, self.book, self.ways.probe)

    # -- amending ---------------------------------------------------------------------------------------------------

    def _amend(
        self, work: _Work, remedy: Remedy, settings: Mapping[str, Any], record: EntityRecord, keys: Sequence[str]
    ) -> None:
        use = self._use(work, remedy, settings, record, keys)
        meter = Meter(self.on_progress, "mend", record.name, len(keys))
        waiting: list[str] = []
        for part in _parts(keys):
            meant = [row for row in self.book.quarantined(record.id, part) if use.means(row)]
            work.chosen += len(meant)
            rows = self._unchanged(work, record, meant)
            amendments = list(remedy.amend(use, rows))
            self.book.amend(work.id, record.id, amendments)
            amended = list(dict.fromkeys(a.key for a in amendments))
            work.amended += len(amended)
            fates = self._mend(work.id, record, amended)
            self._sample(work, use, rows, amendments, fates)
            waiting += self._take_in(work, record.name, fates)
            meter.add(len(part))
        self._rounds(work, record, waiting)
        left = [f for (entity, _), f in work.fates.items() if entity == record.name and f.left_for]
        self.book.note(work.id, record.id, left)
        meter.end()

    def _use(
        self, work: _Work, remedy: Remedy, settings: Mapping[str, Any], record: EntityRecord, keys: Sequence[str]
    ) -> Use:
        request, entity = work.request, self.plan.mapping.entity(record.name)
        columns = self._columns(record, request.code, keys)
        column = settings.get("column")
        if column is None and len(columns) != 1 and COLUMN in remedy.settings:
            raise UsageError(
                f"rows of {request.cause} fail at {', '.join(columns) or 'no one column'}",
                hint="say which column is meant: `--set column=...`",
            )
        among = columns or [c.column for c in entity.columns] + [r.column for r in entity.references]
        if column is not None and column not in among:
            raise UsageError(
                f"no row of {request.cause} fails at {column!r}", hint=f"write one of {', '.join(among) or 'no column'}"
            )
        meant = column or (columns[0] if columns else "")
        return Use(
            self.plan, entity, Reason(request.code), meant, settings, self.worker.reader, self.ways, work.creator
        )

    def _columns(self, record: EntityRecord, code: str, keys: Sequence[str]) -> list[str]:
        """The target columns at which rows have this defect."""
        return [c for (c,) in self.book.rows("columns", record.id, list(keys), code)]

    def _unchanged(self, work: _Work, record: EntityRecord, rows: Sequence[Quarantined]) -> list[Quarantined]:
        """These rows, without those that the source has no longer as they were."""
        changed = self.mender.changed(record.name, {row.key: row.payload for row in rows})
        work.changed += len(changed)
        return [row for row in rows if row.key not in changed]

    def _mend(self, repair: int, record: EntityRecord, keys: Sequence[str]) -> list[Fate]:
        """Sends rows through the belt; those that come home are settled."""
        if not keys:
            return []
        mended = self.mender.mend(record.name, keys, self.book.amendments(record.id, keys))
        self.settle(repair, record, mended)
        return mended.fates

    def settle(self, repair: int, record: EntityRecord, mended: Mended) -> None:
        if home := mended.home:
            self.book.note(repair, record.id, home)
            self.book.settle_home(record.id, home)
            self.book.dispose(record.id, [f.key for f in home], Disposition.REPAIRED.value, self.actor, None)
        if mended.nulled:
            copy_in(self.session, "rowcall.nulled_reference", NULLED_REFERENCE, mended.nulled)
        self.book.add_xids(repair, mended.xids)

    def _take_in(self, work: _Work, entity: str, fates: Iterable[Fate]) -> list[str]:
        """Notes fates; the keys of rows that wait for a parent of their own cyclic group."""
        work.fates |= {(entity, f.key): f for f in fates}
        if not self.mender.step(entity).group.cyclic:
            return []
        return [f.key for f in fates if f.left_for == Reason.PARENT_QUARANTINED.value]

    def _rounds(self, work: _Work, record: EntityRecord, waiting: list[str]) -> None:
        """In a cyclic group rows may wait for each other: again, until none comes home any more."""
        while waiting:
            before = len(waiting)
            left: list[str] = []
            for part in _parts(waiting):
                left += self._take_in(work, record.name, self._mend(work.id, record, part))
            if len(left) == before:
                return
            waiting = left

    # -- victims ----------------------------------------------------------------------------------------------------

    def _follow_up(self, work: _Work, entity: str, keys: Sequence[str]) -> None:
        """These victims, and those in quarantine that keep them back, parents first."""
        wanted: dict[str, dict[str, None]] = {entity: dict.fromkeys(keys)}
        frontier: Homes = {entity: list(keys)}
        while frontier:
            above: Homes = {}
            for name, below in frontier.items():
                found = self.book.rows("kept_by", self.records[name].id, below, list(UNDECIDED), _VICTIM)
                for _, parent, key in found:
                    if key not in wanted.setdefault(parent, {}):
                        wanted[parent][key] = None
                        above.setdefault(parent, []).append(key)
            frontier = above
        work.chosen = work.amended = len(keys)
        work.fates |= self._again(work.id, {name: list(found) for name, found in wanted.items()})
        work.fates = {(e, k): f for (e, k), f in work.fates.items() if f.target_id or e == entity}

    def _again(self, repair: int, wanted: Homes) -> dict[tuple[str, str], Fate]:
        """Rows judged again as they are, entity by entity in the order of the plan."""
        work = _Work(repair, Request("", "", ""), {}, [], self._creator(repair))
        for judge in (j for step in self.plan.steps for j in step.judges):
            record = self.records[judge.entity.name]
            if not (keys := wanted.get(record.name, [])):
                continue
            meter = Meter(self.on_progress, "mend", record.name, len(keys))
            waiting: list[str] = []
            for part in _parts(keys):
                rows = self._unchanged(work, record, self.book.quarantined(record.id, part))
                waiting += self._take_in(work, record.name, self._mend(repair, record, [row.key for row in rows]))
                meter.add(len(part))
            self._rounds(work, record, waiting)
        return work.fates

    def _follow_down(self, repair: int, frontier: Homes) -> dict[tuple[str, str], Fate]:
        """The victims behind rows that came home, level by level; those that come home."""
        home: dict[tuple[str, str], Fate] = {}
        while frontier:
            pairs = [(entity, key) for entity, keys in frontier.items() for key in keys]
            wanted: Homes = {}
            for _, entity, key in self.book.rows(
                "victims_of", list(UNDECIDED), [e for e, _ in pairs], [k for _, k in pairs]
            ):
                wanted.setdefault(entity, []).append(key)
            found = {row: fate for row, fate in self._again(repair, wanted).items() if fate.target_id}
            home |= found
            frontier = _homes(found)
        return home

    # -- samples ----------------------------------------------------------------------------------------------------

    def _sample(
        self, work: _Work, use: Use, rows: Sequence[Quarantined], amendments: Sequence[Amendment], fates: Sequence[Fate]
    ) -> None:
        known, became = {row.key: row for row in rows}, {f.key: f for f in fates}
        for a in amendments[: SAMPLES - len(work.samples)]:
            fate = became.get(a.key)
            after = a.value if not a.is_parent else _parent(a)
            work.samples.append(
                Sample(
                    a.key if self._shown(use.entity.name) else mask(a.key), a.column, self._mask(use.seen(known[a.key])),
                    after if a.is_parent and self._shown(a.parent_entity or use.entity.name) else self._mask(after),
                    "home" if fate and fate.target_id else str(fate and fate.left_for),
                )
            )  # fmt: skip

    def _shown(self, entity: str) -> bool:
        return self.show_values or numbered(self.plan, entity)

    def _mask(self, text: str | None) -> str | None:
        return text if text is None or self.show_values else mask(text)


_VICTIM = Reason.PARENT_QUARANTINED.value


def _parent(a: Amendment) -> str | None:
    if a.parent_id is not None:
        return f"a new row of {a.parent_entity}"
    return f"{a.parent_entity} {a.parent_key}" if a.parent_key is not None else None


def _homes(fates: Mapping[tuple[str, str], Fate]) -> Homes:
    found: Homes = {}
    for (entity, key), fate in fates.items():
        if fate.target_id:
            found.setdefault(entity, []).append(key)
    return found


def _parts(keys: Sequence[str]) -> Iterable[list[str]]:
    return (list(keys[at : at + KEYS]) for at in range(0, len(keys), KEYS))
