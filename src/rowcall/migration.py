"""Migration: the object a user holds. It calls the rooms in order and has no logic of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from rowcall import explain, forecast
from rowcall.catching import catch_up
from rowcall.cluster import Cluster, reach
from rowcall.desk import Desk, open_desk, target_only
from rowcall.errors import NotConserved, UsageError
from rowcall.healing import Healing, actor
from rowcall.ledger import (
    Aside,
    CatchUpBook,
    CatchUpRecord,
    EntitySums,
    Ledger,
    ProofBook,
    RepairBook,
    Status,
    need_complete,
    need_ledger,
    read_status,
)
from rowcall.mapping import peek, without_endpoints
from rowcall.move.belt import Stop, Tables, attended, interruptible
from rowcall.move.budget import over_budget
from rowcall.move.forecast import Forecast
from rowcall.move.pools import LocalPool
from rowcall.move.recheck import Recheck
from rowcall.move.resume import Resume
from rowcall.move.run import Hands, Run
from rowcall.move.takeback import refuse_removal, take_back_all
from rowcall.move.worker import Worker
from rowcall.opening import open_ledger
from rowcall.plan.plan import Plan, foreseen_notes, needed
from rowcall.postgres.catalog import read_schema
from rowcall.postgres.errors import DriverError
from rowcall.postgres.places import Places
from rowcall.postgres.snapshot import SourceSnapshot
from rowcall.progress import OnProgress, silent
from rowcall.rejected import create_rejected
from rowcall.repair import RETRY, Effect, Retried, undo_all
from rowcall.report import Report, build_report
from rowcall.rows import Counts
from rowcall.sample import Samples, sample
from rowcall.survey import estimate, filled_shares
from rowcall.verify import Glances, Verification, check_accounts, verify

FILE = "rowcall.yaml"
BUILDERS = 2  # sessions that put a step's keys back
Notify = Callable[[str], None]


def _unheard(_: str) -> None:
    pass


@dataclass(frozen=True)
class RunResult:
    """How a run ended: sums per entity from the ledger, rows still open, whether the forecast held (None: none made), and how
    many proofs were asked and do not hold."""

    entities: tuple[EntitySums, ...]
    complete: bool
    forecast_matched: bool | None
    seconds: float
    unproven: int = 0
    repairs: tuple[Effect, ...] = ()  # those of the project file that were applied now
    retried: Retried | None = None
    caught_up: CatchUpRecord | None = None  # None: nothing ran at the source since
    kept: tuple[Aside, ...] = ()  # rows of the target that are not as the source has them

    @property
    def totals(self) -> Counts:
        return sum((e.counts for e in self.entities), Counts())

    @property
    def open(self) -> int:
        return sum(e.open for e in self.entities)

    @property
    def exit_code(self) -> int:
        return 5 if self.unproven else 3 if self.open else 0


class Migration:
    """One project: `Migration.open("rowcall.yaml")`, then check(), run(), verify(), report(), ..."""

    def __init__(self, file: Path, notify: Notify = _unheard) -> None:
        self.file, self.folder, self.notify = file, file.resolve().parent, notify
        endpoints = peek(file)
        self.endpoints = {"source": endpoints.source, "target": endpoints.target}
        self.places = Places(self.folder, self.endpoints, notify)
        self.healing = Healing(file, self.places, self.endpoints, notify)

    @classmethod
    def open(cls, path: str | Path = FILE, notify: Notify = _unheard) -> Migration:
        """A project by its file, or by the folder that holds a rowcall.yaml. Raises MappingError or UsageError."""
        file = Path(path)
        return cls(file / FILE if file.is_dir() else file, notify)

    def _desk(self, *, lock: bool = False) -> AbstractContextManager[Desk]:
        return open_desk(self.file, self.places, self.notify, lock=lock)

    # -- before -----------------------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        """Order, references and the compiled judges. Raises MappingError with every fault of the file."""
        with self._desk() as desk:
            return replace(desk.plan, filled=filled_shares(desk.source, desk.plan))

    def sample(self, entity: str, *, show_values: bool = False) -> Samples:
        """Ten of an entity's rows before and after; nothing is written. Raises UsageError where there is no such entity."""
        with self._desk() as desk:
            return sample(desk.plan, desk.crew(desk.snapshot(), Stop(), 1).workers[0], entity, show_values=show_values)

    def check(self, on_progress: OnProgress = silent) -> forecast.ForecastDocument:
        """The forecast: every verdict of the run; the target stays as it is. Also saved in the project folder."""
        with self._desk() as desk:
            started, stop = time.monotonic(), Stop()
            crew = desk.crew(desk.snapshot(), stop)
            create_rejected(desk.workspace.duck)
            judged = Forecast(desk.plan, crew, desk.reader("target"), desk.ledger.exists(), stop, on_progress)
            judged.rejected = {} if self.healing.planned(desk.mapping) else None
            with interruptible(stop, "the target is as it was; `rowcall check` begins anew"):
                judged()
                rehearsed = self.healing.rehearse(desk, crew.workers[0], judged.rejected or {})
            document = forecast.ForecastDocument(
                desk.mapping.fingerprint,
                datetime.now(UTC).isoformat(timespec="seconds"),
                judged.counts,
                judged.excluded,
                explain.find_causes(desk.workspace.duck),
                forecast.digest(desk.workspace.duck),
                estimate(
                    desk.source, desk.plan, sum(c.source for c in judged.counts.values()), time.monotonic() - started
                ),
                foreseen_notes(desk.plan),
                bool(over_budget(desk.mapping, judged.counts)),
                rehearsed.as_json(),
                rehearsed.decided,
            )
            document.save(self.folder)
            return document

    # -- the run ----------------------------------------------------------------------------------------------------

    def run(
        self,
        on_progress: OnProgress = silent,
        *,
        entities: Sequence[str] = (),
        restart: bool = False,
        retry: bool = False,
        overwrite: bool = False,
        executor: str = "local",
        scheduler: str | None = None,
    ) -> RunResult:
        """Does the migration, continues an interrupted one, or takes up what changed at the source since a complete one; ends only
        through the conservation gate.

        `entities` limits it to these and the parents that they need. `executor` "dask" has the chunks settled by the cluster
        whose `scheduler` is given by its address. `retry` reads the quarantined rows of a complete run anew from the source.
        `overwrite`: of rows that the source and somebody in the target changed since, the source's win.
        Raises NotConserved, BudgetExceeded, Interrupted, ClusterFailed.
        """
        if retry and (restart or entities):
            raise UsageError("--retry goes with neither --restart nor --entity", hint="choose one of them")
        if overwrite and (restart or retry):
            raise UsageError("--overwrite goes with neither --restart nor --retry", hint="choose one of them")
        with reach(executor, scheduler, self.notify) as cluster:
            if restart:
                self._undo_sound(on_progress)
            retried = self.healing.retry(on_progress) if retry else None
            return replace(self._run(cluster, on_progress, entities, retry, overwrite), retried=retried)

    def _run(
        self, cluster: Cluster | None, on_progress: OnProgress, entities: Sequence[str], looked: bool, overwrite: bool
    ) -> RunResult:
        with self._desk(lock=True) as desk:
            started, stop = time.monotonic(), Stop()
            only = needed(desk.plan, entities)
            self.healing.planned(desk.mapping)  # what is wrong with it is told before anything is moved
            done = open_ledger(desk, self.folder)
            with interruptible(stop):
                snapshot = desk.snapshot()
                if done:
                    if looked:  # what was answered of the rows as they were says nothing of what was read anew
                        explain.note_proofs(desk.plan, desk.ledger)
                    caught = None if looked else catch_up(desk, snapshot, stop, on_progress, self.notify, overwrite)
                    repairs = self.healing.replay(desk, stop, on_progress)
                    result = self._result(desk, only, started, repairs=repairs)
                    return replace(result, caught_up=caught)
                with _interrupted_unless_done(desk.ledger):
                    if cluster:
                        desk.ledger.set_mapping(without_endpoints(self.file))
                    lead, builders = desk.crew(snapshot, stop, 1), desk.crew(snapshot, stop, BUILDERS)
                    crew = lead if cluster else desk.crew(snapshot, stop)
                    pool = cluster or desk.stack.enter_context(LocalPool(len(crew.workers)))
                    hands = Hands(lead.workers[0], builders, crew, pool)
                    glances = Glances(desk.mapping, desk.plan.knowledge.source)
                    self._settle(desk, snapshot, hands, stop, on_progress, only, glances)
                    known = self._gate(desk, snapshot, hands.lead, only, glances)
                explain.note_proofs(desk.plan, desk.ledger)
                if desk.ledger.run().state != "complete":
                    return self._result(desk, only, started, known)
                repairs = self.healing.replay(desk, stop, on_progress)
                return self._result(desk, only, started, {} if repairs else known, repairs)

    def _settle(
        self,
        desk: Desk,
        snapshot: SourceSnapshot,
        hands: Hands,
        stop: Stop,
        on_progress: OnProgress,
        only: frozenset[str] | None,
        glances: Glances,
    ) -> None:
        target = desk.reader("target")
        tables = Tables(desk.plan, hands.lead)
        desk.ledger.claim()  # nobody of an earlier run settles any more, not even a worker on another machine
        resume = Resume(desk.plan, desk.ledger, hands.lead.reader, target, tables)
        number = desk.ledger.add_snapshot(snapshot.taken_at, snapshot.lsn, snapshot.visible)
        if moved := resume.moved():
            told = f"{moved.told()}: {len(moved.chunks)} settled chunks are judged again"
            self.notify(told)
            desk.ledger.note_snapshot(number, told)
            resume.take_back(moved)
        Run(desk.plan, desk.ledger, hands, target, tables, number, stop, on_progress, snapshot.count, glances.look)(
            only
        )

    def _gate(
        self, desk: Desk, snapshot: SourceSnapshot, lead: Worker, only: frozenset[str] | None, glances: Glances
    ) -> dict[str, Counts]:
        """The sums must close, key by key on the run's snapshot, or the run is not complete. Each entity's counts."""
        # By a reader that has its locks already: a new one could not get past somebody who waits for an exclusive lock.
        accounts = check_accounts(desk.scope(snapshot, only, lead.reader), target_ids=False, sound=glances.sound)
        if wrong := [a for a in accounts if not a.ok]:
            told = "; ".join(
                f"{a.entity}: {a.missing_lines} keys without a line, {a.surplus_lines} lines without a key, "
                f"{a.duplicates} twice"
                for a in wrong
            )
            raise NotConserved(f"the sums do not close: {told}", hint="see `rowcall verify`; the run is not complete")
        for a in accounts:  # the source may have moved since its rows were counted first
            desk.ledger.expect(a.entity, a.source)
        complete = desk.ledger.settled()
        desk.ledger.set_state("complete" if complete else "interrupted")
        return {a.entity: Counts(a.source, a.migrated, a.quarantined, a.excluded) for a in accounts}

    def _result(
        self,
        desk: Desk,
        only: frozenset[str] | None,
        started: float,
        known: Mapping[str, Counts] = MappingProxyType({}),
        repairs: tuple[Effect, ...] = (),
    ) -> RunResult:
        sums, complete = desk.ledger.sums(known), desk.ledger.run().state == "complete"
        if (matched := self._matched(desk, sums)) is not None:
            desk.ledger.note_matched(matched)
        shown = tuple(s for s in sums if only is None or s.name in only)
        unproven = ProofBook(desk.target).unproven()
        kept = CatchUpBook(desk.target).kept()
        return RunResult(shown, complete, matched, time.monotonic() - started, unproven, repairs, kept=kept)

    def _matched(self, desk: Desk, sums: Sequence[EntitySums]) -> bool | None:
        """Whether the run ended as its forecast said, before anything was repaired; None where none was made. Once rows were read
        anew from a source that was fixed it is what it was."""
        run, book = desk.ledger.run(), RepairBook(desk.target)
        if (foreseen := run.forecast) is None or run.state != "complete":
            return None
        repairs = book.repairs()
        if any(r.remedy == RETRY for r in repairs) or CatchUpBook(desk.target).records():
            return foreseen.get("matched")
        explain.read_rejected(desk.reader("target"), desk.workspace.duck, repaired=True)
        home, merged = book.repaired(), book.merged()
        counts = {s.name: s.counts.unrepaired(home.get(s.name, 0), merged.get(s.name, 0)) for s in sums}
        matched = forecast.matched(foreseen, counts, forecast.digest(desk.workspace.duck))
        return matched and forecast.repairs_matched(foreseen, repairs)

    def _undo_sound(self, on_progress: OnProgress) -> None:
        """Undo for a new beginning: not before the mapping was found sound, and only where there is something to undo."""
        with self._desk() as desk:
            begun = desk.ledger.exists()
        if begun:
            self.undo(on_progress)

    def undo(self, on_progress: OnProgress = silent) -> dict[str, int]:
        """Removes what the run created, and only that: entity -> rows. Needs the target alone. Refuses where somebody
        changed such a row since, or where rows of others would go with it."""
        with target_only(self.places) as target:
            ledger = Ledger(target)
            need_ledger(ledger)
            ledger.lock(self.notify)
            need_ledger(ledger)
            ledger.claim()  # what a worker elsewhere still has under way is not to come in behind
            schema = read_schema(target, self.endpoints["target"].schema)
            with target.transaction():  # refused as a whole: then the repairs stand, too
                if undo_all(target, schema, actor(), "the whole run is undone"):
                    refuse_removal(ledger, schema)
            return take_back_all(ledger, schema, on_progress)

    # -- after ------------------------------------------------------------------------------------------------------

    def verify(self, on_progress: OnProgress = silent) -> Verification:
        """The target against the source, by ways of its own; also kept in the ledger for the report."""
        with self._desk() as desk:
            need_ledger(desk.ledger)
            if (state := desk.ledger.run().state) != "complete":
                self.notify(f"the run is not complete ({state}): what is not settled yet counts as missing")
            visible = desk.ledger.snapshots()[-1].visible if desk.ledger.snapshots() else None
            result = verify(desk.scope(desk.snapshot()), visible=visible, on_progress=on_progress)
            desk.ledger.set_verification(result.as_json())
            return result

    def status(self) -> Status:
        """Where the run stands, counted from the ledger's lines."""
        with target_only(self.places) as target:
            return read_status(Ledger(target))

    def causes(self, entity: str | None = None) -> tuple[explain.Cause, ...]:
        """Why rows are quarantined, root first; of all entities or one."""
        with self._desk() as desk:
            need_ledger(desk.ledger)
            needed(desk.plan, [entity] if entity else [])
            fits = self.healing.fits(desk.plan)
            found = explain.analyse(desk.plan, desk.ledger, desk.reader("target"), desk.workspace.duck, fits)
            if (state := desk.ledger.run().state) != "complete":
                self.notify(f"the run is {state}: these are the causes of the rows that are settled so far")
            return tuple(c for c in found if entity in (None, c.entity))

    def prove(self, on_progress: OnProgress = silent, entity: str | None = None) -> tuple[explain.Cause, ...]:
        """The causes (of one entity or all), each proof asked of the source anew; the ledger keeps the answers."""
        with self._desk(lock=True) as desk:
            need_ledger(desk.ledger)
            need_complete(desk.ledger, desk.mapping.fingerprint)
            needed(desk.plan, [entity] if entity else [])
            stop, snapshot = Stop(), desk.snapshot()
            target, duck = desk.reader("target"), desk.workspace.duck
            source = desk.reader("source", snapshot=snapshot.name, tables=snapshot.tables)
            checks = Recheck(desk.plan, desk.ledger, lambda: desk.crew(snapshot, stop), target, stop)
            prover = explain.Prover(desk.plan, desk.ledger, source, target, duck, checks, self.healing.fits(desk.plan))
            with interruptible(stop, "what was asked is not kept: `rowcall explain --prove` begins anew"):
                asked = attended(lambda: prover.prove(on_progress, entity), [source, target, checks, stop])
            explain.keep_proofs(desk.ledger, asked)
            if not all(c.proof and c.proof.held for c in asked) and desk.ledger.read_until() != snapshot.visible:
                self.notify("transactions ran at the source since the run: what does not hold may be their changes")
            return tuple(c for c in asked if entity in (None, c.entity))

    def explain(self, entity: str, key: str) -> explain.Story:
        """One row's story: its path hop by hop, with the values seen, and its fate."""
        with self._desk() as desk:
            need_ledger(desk.ledger)
            know = desk.plan.knowledge
            return explain.Teller(desk.mapping, know.source, know.content_types, desk.source, desk.ledger).tell(
                entity, key
            )

    def report(self, *, show_values: bool = False) -> Report:
        """The failure analysis: figures that a query on the ledger yields, and no others. Values of rows are masked in it, unless
        they are to be shown."""
        with self._desk() as desk:
            need_ledger(desk.ledger)
            matched, fits = self._matched(desk, desk.ledger.sums()), self.healing.fits(desk.plan)
            found = explain.analyse(desk.plan, desk.ledger, desk.reader("target"), desk.workspace.duck, fits)
            causes = explain.with_samples(desk.plan, desk.ledger, found, show_values)
            related = explain.relations(desk.workspace.duck)
            return build_report(
                desk.ledger, causes, desk.plan, matched, related, explain.drifts(desk.plan, desk.source)
            )

    def cleaning_list(self, write: Callable[[str], object], *, show_values: bool = False) -> None:
        """Every quarantined row as a line of CSV, in the order of the entities, handed to `write` as it comes."""
        with self._desk() as desk:
            need_ledger(desk.ledger)
            fits = self.healing.fits(desk.plan)
            explain.write_cleaning_list(desk.plan, desk.reader("target"), write, show_values, fits)


@contextmanager
def _interrupted_unless_done(ledger: Ledger) -> Iterator[None]:
    """Whatever ends a run early, its state says so (a killed one cannot; there the ledger's free lock tells)."""
    try:
        yield
    except BaseException:
        with suppress(DriverError):
            ledger.set_state("interrupted")
        raise
