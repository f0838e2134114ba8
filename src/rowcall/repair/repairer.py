"""Preview and apply: the same work in one transaction, which a preview takes back.

A repair chooses quarantined rows of a cause, notes in the ledger what its remedy puts into them, and sends them through the
belt again (rowcall.move.mend). Rows that come home get their lines, sums and disposition in the same transaction as their
target rows, so that a kill at any moment leaves all of it or nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from rowcall.errors import UsageError
from rowcall.explain.samples import SHOWN, mask, numbered
from rowcall.ledger.book import NULLED_REFERENCE, EntityRecord, Ledger
from rowcall.ledger.repairs import Fate, Quarantined, RepairBook
from rowcall.move.circle import together
from rowcall.move.gathered import Mended
from rowcall.move.mend import KEYS, Mender
from rowcall.move.worker import Worker
from rowcall.plan.plan import Plan
from rowcall.plan.step import Step
from rowcall.postgres.copy import copy_in
from rowcall.postgres.errors import DriverError, stopped
from rowcall.postgres.read import Reader
from rowcall.progress import Meter, OnProgress, silent
from rowcall.repair.choice import choose, record_of
from rowcall.repair.creation import Creator
from rowcall.repair.decide import decide
from rowcall.repair.effect import Effect, Request, Sample, by_code
from rowcall.repair.kin import Homes, Kin, homes
from rowcall.repair.meant import amendments, meant_column
from rowcall.repair.remedy import Remedy
from rowcall.repair.use import Use
from rowcall.repair.ways import Ways
from rowcall.rows import Amendment, Disposition, Reason

SAMPLES, AHEAD = 5, 12  # rows, and characters before a difference


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
    apart: Counter[str] = field(default_factory=Counter)  # rows that stay as they were, by what keeps them back
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
        self._reason = ""  # of the repair under way
        self.book, self.records = self._books()
        self.mender = self._mender(target)
        self.kin = Kin(self.book, self.records, {e for s in plan.steps if s.group.cyclic for e in s.group.entities})

    def _books(self) -> tuple[RepairBook, dict[str, EntityRecord]]:
        return RepairBook(self.session), {record.name: record for record in Ledger(self.session).entities()}

    def _mender(self, target: Reader) -> Mender:
        return Mender(self.plan, self.worker, target, self.records)

    # -- the face ---------------------------------------------------------------------------------------------------

    def apply(self, request: Request) -> Effect:
        """Does it. Raises UsageError where nothing can be repaired so."""
        try:
            with self.transaction():
                return self._do(request)
        except DriverError as error:
            raise stopped(error, "target", self.records[request.entity].target_table) from None
        finally:
            self.mender.forget()

    def preview(self, request: Request) -> Effect:
        """What apply would do, by doing it and taking it back; `victims` counts the rows that could follow then."""
        found: list[Effect] = []
        try:
            with suppress(_TakenBack), self.transaction():
                effect = self._do(request)
                followed = {} if request.follow else self._follow_down(effect.repair or 0, homes(effect.fates))
                victims = Counter(entity for (entity, _), fate in followed.items() if fate.is_home)
                found.append(replace(effect, repair=None, victims=dict(victims)))
                raise _TakenBack
        except DriverError as error:
            raise stopped(error, "target", self.records[request.entity].target_table) from None
        finally:
            self.mender.forget()
        return found[0]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. A deferred check would fail at COMMIT, where no row can be named any more."""
        with self.session.transaction():
            self.session.execute("set constraints all immediate")
            yield

    # -- the work ---------------------------------------------------------------------------------------------------

    def _do(self, request: Request) -> Effect:
        remedy = self._remedy(request)
        if remedy.disposition is not None:
            return self._decide(request, remedy)
        settings = remedy.settled(request.settings)
        record = record_of(self.records, request.entity)
        keys = choose(self.book, request, record)
        repair = self._begin(request, settings, record)
        work = _Work(repair, request, {}, [], self._creator(repair))
        if remedy.follows:
            self._follow_up(work, request.entity, keys)
        else:
            self._amend(work, remedy, settings, record, keys)
        if request.follow:
            work.fates |= self._follow_down(repair, homes(work.fates))
        return self._end(work, settings)

    def _decide(self, request: Request, remedy: Remedy) -> Effect:
        """A decision; what it keeps elsewhere is made of the rows."""
        effect = decide(self.book, self.records, self.plan.mapping.fingerprint, request, remedy, self.actor)
        creator = self._creator(effect.repair or 0)
        record = self.records[request.entity]
        for part in _parts(effect.keys):
            remedy.keep(
                self.plan.mapping.entity(record.name), effect.settings, self.book.quarantined(record.id, part), creator
            )
        if creator.created:
            self.book.sums(effect.repair or 0, effect.chosen, effect.decided, effect.decided, creator.created)
            self.book.add_xids(effect.repair or 0, creator.xids)
        return replace(effect, created=creator.created, refused=dict(creator.refused))

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
        repair, self._reason = self.book.next_id(), request.reason
        reason = request.reason or str(settings.get("reason") or "")
        self.book.add(
            repair, record.id, request.code, request.remedy, settings, request.origin, self.actor, reason,
            self.plan.mapping.fingerprint, self.source_read,
        )  # fmt: skip
        return repair

    def _end(self, work: _Work, settings: Mapping[str, Any]) -> Effect:
        home = Counter(entity for (entity, _), fate in work.fates.items() if fate.is_home)
        rows = sum(home.values())
        created = work.creator.created
        self.book.sums(work.id, work.chosen, work.amended, rows, created)
        self.book.add_xids(work.id, work.creator.xids)
        left = by_code(work.fates) | dict(work.apart)
        if not (rows or created or work.amended) or (not rows and self.remedies[work.request.remedy].follows):
            self.book.forget(work.id)  # nothing that could be taken back
            work.id = 0
        return Effect(
            work.request, work.id or None, settings, work.chosen, work.amended, dict(home), {}, left, 0,
            work.changed, created, work.creator.idle({row for row, fate in work.fates.items() if fate.is_home}),
            dict(work.creator.refused), tuple(work.samples), fates=work.fates,
        )  # fmt: skip

    def _creator(self, repair: int) -> Creator:
        return Creator(repair, self.plan, self.mender, self.book, self.ways.probe)

    # -- amending ---------------------------------------------------------------------------------------------------

    def _amend(
        self, work: _Work, remedy: Remedy, settings: Mapping[str, Any], record: EntityRecord, keys: Sequence[str]
    ) -> None:
        use = self._use(work, remedy, settings, record, keys)
        meter = Meter(self.on_progress, "mend", record.name, len(keys))
        for part in self._parts(record, keys):
            meant = [row for row in self.book.quarantined(record.id, part) if use.means(row)]
            work.chosen += len(meant)
            rows = self._unchanged(work, record, meant)
            use = replace(use, given=self._given(record, use.column, part))
            given = amendments(use, remedy, rows)
            self.book.amend(work.id, record.id, given)
            amended = list(dict.fromkeys(a.key for a in given))
            work.amended += len(amended)
            fates = self._mend(work, record, amended)
            if remedy.extends(use):
                fates = self._extend(work, remedy, use, record, fates)
            self._sample(work, use, rows, given, fates)
            work.fates |= {(record.name, f.key): f for f in fates}
            meter.add(len(part))
        left = [f for (entity, _), f in work.fates.items() if entity == record.name and f.left_for]
        self.book.note(work.id, record.id, left)
        meter.end()

    def _extend(self, work: _Work, remedy: Remedy, use: Use, record: EntityRecord, fates: Sequence[Fate]) -> list[Fate]:
        """Makes what belongs beside rows that came home. It is made as they come home, so one that stays is left as it was."""
        home, stays = [f for f in fates if f.target_id], [f for f in fates if not f.target_id]
        remedy.extend(use, [fate.key for fate in home])
        self.book.take_back_amendments(work.id, record.id, [fate.key for fate in stays])
        work.amended -= len(stays)
        work.apart.update(str(fate.left_for) for fate in stays)
        return home

    def _parts(self, record: EntityRecord, keys: Sequence[str]) -> Iterable[list[str]]:
        """Rows that are mended one part after another; those of a cyclic group may need each other."""
        return [list(keys)] if self.mender.step(record.name).group.cyclic else _parts(keys)

    def _use(
        self, work: _Work, remedy: Remedy, settings: Mapping[str, Any], record: EntityRecord, keys: Sequence[str]
    ) -> Use:
        entity = self.plan.mapping.entity(record.name)
        columns = self.book.columns(record.id, keys, work.request.code)
        meant = meant_column(self.plan, entity, remedy, work.request, settings, columns)
        return Use(
            self.plan, entity, Reason(work.request.code), meant, settings, self.worker.reader, self.ways, work.creator
        )

    def _given(self, record: EntityRecord, column: str, keys: Sequence[str]) -> dict[str, Amendment]:
        """What earlier repairs put into a column of these rows."""
        return {a.key: a for a in self.book.amendments(record.id, keys) if a.column == column}

    def _unchanged(self, work: _Work, record: EntityRecord, rows: Sequence[Quarantined]) -> list[Quarantined]:
        """These rows, without those that the source has no longer as they were."""
        changed = self.mender.changed(record.name, {row.key: row.payload for row in rows})
        work.changed += len(changed)
        return [row for row in rows if row.key not in changed]

    def _mend(self, work: _Work, record: EntityRecord, keys: Sequence[str]) -> list[Fate]:
        """Sends rows through the belt; those that come home are settled, and in a cyclic group those that these need, too."""
        if not keys:
            return []
        step = self.mender.step(record.name)
        if step.group.cyclic:
            return self._together(work, step, {record.name: list(keys)})[record.name]
        mended = self.mender.mend(record.name, keys, self.book.amendments(record.id, keys))
        self.settle(work.id, record, mended, work.request.reason or None)
        return mended.fates

    def _together(self, work: _Work, step: Step, asked: Homes) -> dict[str, list[Fate]]:
        """Rows of a cyclic group, with those of it that keep them back."""
        rows = self.kin.keepers(asked, step.group.entities)
        for entity, keys in rows.items():
            known = {row.key: row.payload for row in self.book.quarantined(self.records[entity].id, keys)}
            changed = self.mender.changed(entity, known) - set(asked.get(entity, ()))  # those were looked at
            rows[entity] = [key for key in keys if key not in changed]
        amendments = {entity: self.book.amendments(self.records[entity].id, keys) for entity, keys in rows.items()}
        found = together(self.mender, step, rows, asked, amendments)
        for entity, mended in found.items():
            self.settle(work.id, self.records[entity], mended, work.request.reason or None)
            along = [f for f in mended.home if f.key not in set(asked.get(entity, ()))]
            work.fates |= {(entity, f.key): f for f in along}
        return {
            entity: [f for f in mended.fates if f.key in set(asked.get(entity, ()))] for entity, mended in found.items()
        }

    def settle(self, repair: int, record: EntityRecord, mended: Mended, reason: str | None = None) -> None:
        if home := mended.home:
            self.book.note(repair, record.id, home)
            self.book.settle_home(record.id, home)
            self.book.dispose(record.id, [f.key for f in home], Disposition.REPAIRED.value, self.actor, reason)
        if merged := [f for f in mended.fates if f.merged]:
            self.book.note(repair, record.id, merged)
            self.book.settle_merged(record.id, mended.merged)
            self.book.dispose(record.id, [f.key for f in merged], Disposition.REPAIRED.value, self.actor, reason)
        if mended.nulled:
            copy_in(self.session, "rowcall.nulled_reference", NULLED_REFERENCE, mended.nulled)
        self.book.add_xids(repair, mended.xids)

    # -- victims ----------------------------------------------------------------------------------------------------

    def _follow_up(self, work: _Work, entity: str, keys: Sequence[str]) -> None:
        """These victims, and those in quarantine that keep them back, parents first."""
        wanted = self.kin.keepers({entity: list(keys)}, self.records)
        work.chosen = work.amended = len(keys)
        again, changed = self._again(work.id, wanted)
        work.changed, work.amended = changed, work.amended - min(changed, work.amended)
        work.fates |= again
        work.fates = {(e, k): f for (e, k), f in work.fates.items() if f.is_home or e == entity}

    def _again(self, repair: int, wanted: Homes) -> tuple[dict[tuple[str, str], Fate], int]:
        """Rows judged again as they are, step by step; and how many changed at the source."""
        work = _Work(repair, Request("", "", "", reason=self._reason), {}, [], self._creator(repair))
        for step in self.plan.steps:
            asked: Homes = {}
            for record in (self.records[name] for name in step.group.entities if wanted.get(name)):
                keys = wanted[record.name]
                meter = Meter(self.on_progress, "mend", record.name, len(keys))
                for part in _parts(keys):
                    same = [r.key for r in self._unchanged(work, record, self.book.quarantined(record.id, part))]
                    if step.group.cyclic:
                        asked.setdefault(record.name, []).extend(same)
                    else:
                        work.fates |= {(record.name, f.key): f for f in self._mend(work, record, same)}
                    meter.add(len(part))
            if asked:
                for name, fates in self._together(work, step, asked).items():
                    work.fates |= {(name, f.key): f for f in fates}
        return work.fates, work.changed

    def _follow_down(self, repair: int, frontier: Homes) -> dict[tuple[str, str], Fate]:
        """The victims behind rows that came home, level by level; those that come home."""
        home: dict[tuple[str, str], Fate] = {}
        while frontier:
            wanted = self.kin.victims(frontier)
            found = {row: fate for row, fate in self._again(repair, wanted)[0].items() if fate.is_home}
            home |= found
            frontier = homes(found)
        return home

    # -- samples ----------------------------------------------------------------------------------------------------

    def _sample(
        self, work: _Work, use: Use, rows: Sequence[Quarantined], given: Sequence[Amendment], fates: Sequence[Fate]
    ) -> None:
        known, became = {row.key: row for row in rows}, {f.key: f for f in fates}
        for a in given[: SAMPLES - len(work.samples)]:
            work.samples.append(self._sampled(use, known[a.key], a, became.get(a.key)))

    def _sampled(self, use: Use, row: Quarantined, a: Amendment, fate: Fate | None) -> Sample:
        then = "home" if fate and fate.is_home else str(fate and fate.left_for)
        key = a.key if self._shown(use.entity.name) else mask(a.key)
        before, after = use.seen(row), _parent(a) if a.is_parent else a.value
        if a.is_parent:
            shown = after if self._shown(a.parent_entity or use.entity.name) else self._mask(after)
            return Sample(key, a.column, self._mask(before), shown, then)
        before, after = _where_they_part(before, after)
        return Sample(key, a.column, self._mask(before), self._mask(after), then)

    def _shown(self, entity: str) -> bool:
        return self.show_values or numbered(self.plan, entity)

    def _mask(self, text: str | None) -> str | None:
        return text if text is None or self.show_values else mask(text)


def _where_they_part(before: str | None, after: str | None) -> tuple[str | None, str | None]:
    """Two texts; long ones from shortly before their first difference."""
    if before is None or after is None or max(len(before), len(after)) <= SHOWN:
        return before, after
    at = next((n for n, (x, y) in enumerate(zip(before, after, strict=False)) if x != y), min(len(before), len(after)))
    start = at - AHEAD
    return (before, after) if start <= 0 else ("…" + before[start:], "…" + after[start:])


def _parent(a: Amendment) -> str | None:
    if a.parent_id is not None:
        return f"a new row of {a.parent_entity}"
    return f"{a.parent_entity} {a.parent_key}" if a.parent_key is not None else None


def _parts(keys: Sequence[str]) -> Iterable[list[str]]:
    return (list(keys[at : at + KEYS]) for at in range(0, len(keys), KEYS))
