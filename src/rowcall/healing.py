"""Healing: what a user does with quarantined rows. It calls the rooms in order and has no logic of its own."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Mapping as MappingOf
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rowcall.desk import Desk, open_desk, target_only
from rowcall.errors import NothingWaits, UsageError
from rowcall.ledger import Ledger, need_complete, need_ledger
from rowcall.ledger.records import entity_records
from rowcall.ledger.repairs import RepairBook, RepairRecord
from rowcall.mapping.load import load
from rowcall.mapping.model import Endpoint, Mapping
from rowcall.move.belt import Stop, attended, interruptible
from rowcall.move.worker import Worker
from rowcall.plan.plan import Plan
from rowcall.postgres.catalog import ServerProbe, read_schema
from rowcall.postgres.connect import Session
from rowcall.postgres.places import Places
from rowcall.progress import OnProgress, silent
from rowcall.repair import (
    Effect,
    Offer,
    Purged,
    Rehearsal,
    Rehearsed,
    Repairer,
    Request,
    Retried,
    Undone,
    Ways,
    decide,
    failed,
    find_remedies,
    fitting,
    named,
    offers,
    planned,
    purge,
    retry,
    undo_repair,
    with_defaults,
)
from rowcall.rows import Reason

Notify = Callable[[str], None]
LATER = "the run is complete, this repair and those behind it were not applied: mend it, and `rowcall run` goes on with them"
AS_IT_WAS = "nothing was changed: a repair is one transaction"


class Healing:
    """Of one project: `Migration.healing`."""

    def __init__(self, file: Path, places: Places, endpoints: MappingOf[str, Endpoint], notify: Notify) -> None:
        self.file, self.folder, self.places, self.endpoints, self.notify = (
            file,
            places.folder,
            places,
            endpoints,
            notify,
        )

    def preview(self, request: Request, on_progress: OnProgress = silent, *, show_values: bool = False) -> Effect:
        """What a repair would do: done, and taken back. Raises UsageError where nothing can be repaired so."""
        with self._repairer(on_progress, show_values) as repairer:
            return attended(lambda: repairer.preview(_whole(request, repairer)), [repairer.worker])

    def apply(self, request: Request, on_progress: OnProgress = silent) -> Effect:
        """Does it, in one transaction. Raises UsageError where nothing can be repaired so."""
        with self._repairer(on_progress) as repairer:
            return attended(lambda: repairer.apply(_whole(request, repairer)), [repairer.worker], lasting=True)

    def offers(
        self, entity: str | None = None, code: str | None = None, on_progress: OnProgress = silent
    ) -> tuple[Offer, ...]:
        """The remedies that fit each cause (of one entity or cause, or of all), with what each would bring home."""
        with self._repairer(on_progress) as repairer:
            return attended(lambda: tuple(offers(repairer, entity, code)), [repairer.worker])

    def dispose(
        self, entity: str, code: str, disposition: str, reason: str, keys: tuple[str, ...] | None = None
    ) -> Effect:
        """Decides about the open rows of a cause. Needs the target alone, unless the project file has settings for such a decision
        about them. Raises UsageError where there are none."""
        if not reason.strip():
            raise UsageError("a decision needs a reason", hint="write `--reason TEXT`, for the audit")
        remedies = find_remedies(self.folder)
        name = named(remedies, disposition)
        if (load(self.file).document.remedies or {}).get(f"{entity}/{code}", {}).get(name):
            return self.apply(Request(entity, code, name, {}, reason, keys=keys))
        with self._target() as (target, ledger), target.transaction():
            records = {record.name: record for record in ledger.entities()}
            request = Request(entity, code, name, {}, reason, keys=keys)
            fingerprint = ledger.run().mapping_fingerprint
            return decide(RepairBook(target), records, fingerprint, request, remedies[name], actor())

    def purge(self, reason: str = "") -> Purged:
        """Removes what rows held from the quarantine, once nothing is open; keys, causes and an audit line stay."""
        with self._target() as (target, _):
            return purge(RepairBook(target), actor(), reason)

    def retry(self, on_progress: OnProgress = silent) -> Retried:
        """Reads the undecided rows anew from the source, and sends them through the belt again."""
        with self._repairer(on_progress) as repairer:
            return attended(lambda: retry(repairer), [repairer.worker], lasting=True)

    def planned(self, mapping: Mapping) -> tuple[Request, ...]:
        """The project file's repairs. Raises MappingError where one cannot be."""
        return planned(mapping, find_remedies(self.folder))

    def rehearse(self, desk: Desk, worker: Worker, rejected: MappingOf[str, list[Any]]) -> Rehearsed:
        """What the project file's repairs would do with the rows that a forecast found."""
        ways = Ways(desk.mapping, desk.plan.knowledge, ServerProbe(desk.source, desk.target), worker.reader)
        records = {record.name: record for record in entity_records(desk.plan)}
        found = find_remedies(self.folder)
        rehearsal = Rehearsal(desk.plan, worker, desk.reader("target"), found, ways, records, rejected)
        return rehearsal.rehearse(planned(desk.mapping, found))

    def replay(self, desk: Desk, stop: Stop, on_progress: OnProgress = silent) -> tuple[Effect, ...]:
        """Applies the project file's repairs that were not applied yet, in their order. Of an undone one nothing is done again."""
        book, remedies = RepairBook(desk.target), find_remedies(self.folder)
        purged = {(r.entity, r.code, r.remedy) for r in book.repairs() if r.origin == "project" and r.purged_at}
        known = {told(r.entity, r.code, r.remedy, r.settings) for r in book.repairs() if r.origin == "project"}
        todo = [
            r
            for r in self.planned(desk.mapping)
            if (r.entity, r.code, r.remedy) not in purged  # their settings are gone
            and told(r.entity, r.code, r.remedy, remedies[r.remedy].settled(r.settings)) not in known
        ]
        if not todo:
            return ()
        repairer, done = self.repairer(desk, stop, on_progress), []
        for request in todo:
            try:
                done.append(attended(partial(repairer.apply, request), [repairer.worker], lasting=True))
            except NothingWaits as error:
                self.notify(f"repair of the project file, {request.remedy} for {request.cause}: {error.message}")
            except UsageError as error:
                raise failed(request, error, LATER) from None
        return tuple(done)

    def undo(self, repair: int, reason: str = "") -> Undone:
        """Takes a repair back. Raises RepairRefused where somebody changed its rows, or something rests on them."""
        with self._target() as (target, _):
            return undo_repair(target, read_schema(target, self.endpoints["target"].schema), repair, actor(), reason)

    def repairs(self) -> list[RepairRecord]:
        """Every repair and decision so far, those that were undone, too."""
        with target_only(self.places) as target:
            need_ledger(Ledger(target))
            return RepairBook(target).repairs()

    def fits(self, plan: Plan) -> Callable[[str, str, Iterable[str | None]], tuple[str, ...]]:
        """(entity, code, target columns) -> the names of the remedies that fit, the most telling first."""
        return partial(fitting, find_remedies(self.folder), plan)

    @contextmanager
    def _target(self) -> Iterator[tuple[Session, Ledger]]:
        """The target alone, with a complete run, for who writes to its ledger."""
        with target_only(self.places) as target:
            ledger = Ledger(target)
            need_ledger(ledger)
            ledger.lock(self.notify)
            need_complete(ledger)
            yield target, ledger

    @contextmanager
    def _repairer(self, on_progress: OnProgress, show_values: bool = False) -> Iterator[Repairer]:
        with open_desk(self.file, self.places, self.notify, lock=True) as desk:
            need_ledger(desk.ledger)
            need_complete(desk.ledger, desk.mapping.fingerprint)
            stop = Stop()
            with interruptible(stop, AS_IT_WAS):
                yield self.repairer(desk, stop, on_progress, show_values)

    def repairer(self, desk: Desk, stop: Stop, on_progress: OnProgress, show_values: bool = False) -> Repairer:
        snapshot = desk.snapshot()
        source = desk.reader("source", snapshot=snapshot.name, tables=snapshot.tables)
        ways = Ways(desk.mapping, desk.plan.knowledge, ServerProbe(desk.source, desk.target), source)
        return Repairer(
            desk.plan, desk.crew(snapshot, stop, 1).workers[0], desk.reader("target"), find_remedies(self.folder), ways, actor(),
            snapshot.visible, on_progress, show_values,
        )  # fmt: skip


def actor() -> str:
    """Who asks, for the audit: whom ROWCALL_ACTOR names, else the user of the operating system."""
    if named := os.environ.get("ROWCALL_ACTOR", "").strip():
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _whole(request: Request, repairer: Repairer) -> Request:
    """With the settings that the project file has for the remedy of this cause."""
    settings = with_defaults(repairer.plan.mapping, request.cause, request.remedy, request.settings)
    return replace(request, settings=settings)


def told(entity: str, code: str, remedy: str, settings: MappingOf[str, object]) -> str:
    """A repair as the book has it, with the defaults of its settings: what makes two of them the same."""
    written = json.loads(json.dumps(dict(settings), default=str))
    return json.dumps([entity, code, remedy, written], sort_keys=True)


def cause_of(text: str) -> tuple[str, str]:
    """ENTITY/CODE. Raises UsageError for anything else."""
    entity, _, code = text.partition("/")
    if not entity or code not in {reason.value for reason in Reason}:
        raise UsageError(f"{text!r} is no cause", hint="write it as ENTITY/CODE, such as orders/dangling_reference")
    return entity, code
