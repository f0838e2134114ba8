"""A process of a cluster, at work for one run: connections and plan of its own, by its own secrets.

What it needs beside its task it takes from the ledger: the mapping, what became of parents, which rows are duplicates.
It ends when the run does, for an open snapshot keeps the source from vacuuming.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rowcall.errors import ClusterFailed, Interrupted, LedgerConflict, RowcallError, UsageError
from rowcall.ledger import Ledger
from rowcall.mapping.model import VARIABLES, Endpoint
from rowcall.move.belt import Stop, Tables, outside
from rowcall.move.duplicates import load_duplicates
from rowcall.move.fates import load_from_ledger
from rowcall.move.station import Job, Station, Task
from rowcall.move.worker import Crew, Servers, Worker
from rowcall.plan.plan import Plan, make_plan
from rowcall.plan.step import Step
from rowcall.postgres.connect import Session, connect
from rowcall.postgres.errors import DriverError, stopped
from rowcall.postgres.places import Dsns, Places
from rowcall.postgres.read import Reader
from rowcall.postgres.snapshot import joined
from rowcall.rows import Counts
from rowcall.survey import survey
from rowcall.version import __version__
from rowcall.workspace import Workspace

WATCH = 2.0  # seconds between looks whether the run still goes on

_outposts: dict[Job, Outpost] = {}
_lock = threading.Lock()


def settle(task: Task) -> Counts:
    """What a cluster runs: one task, in this process. Only typed errors leave it, for whatever leaves is logged."""
    outcome = _outcome(task)
    if isinstance(outcome, RowcallError):
        raise outcome
    return outcome


def _outcome(task: Task) -> Counts | RowcallError:
    error: RowcallError
    try:
        with _at(task.job) as outpost:
            return outpost.settle(task)
    except Interrupted:  # not by who waits for the answer
        error = LedgerConflict("a worker found the run at its end, or its ledger gone", hint="see `rowcall status`")
    except RowcallError as typed:
        error = typed
    except DriverError as refused:
        error = stopped(refused, "target", "a statement of rowcall")
    except Exception as unforeseen:
        error = _unforeseen(unforeseen)
    # Alone: Dask pickles what an error came from, too, and a driver's message quotes the row.
    error.__cause__ = error.__context__ = error.__traceback__ = None
    return error


def leave(job: Job) -> None:
    """The run needs this process no more. Returns at once."""
    if outpost := _outposts.get(job):
        outpost.end()


@contextmanager
def _at(job: Job) -> Iterator[Outpost]:
    with _lock:
        outpost = _outposts.get(job)
        if outpost is None or outpost.ended:
            for other in [o for j, o in _outposts.items() if j.run == job.run]:
                other.end()  # an earlier command's
            outpost = _outposts[job] = Outpost(job)
        outpost.guests += 1
    try:
        yield outpost
    finally:
        with _lock:
            outpost.guests -= 1


class Outpost:
    """Opens everything in its constructor; a thread of its own closes it."""

    def __init__(self, job: Job) -> None:
        _need_version(job)
        self.job, self.guests, self.stop = job, 0, Stop()
        self._over, self._loading = threading.Event(), threading.Lock()
        self._loaded: set[str] = set()
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rowcall-", dir=_scratch())))
            self.dsns = stack.enter_context(_places(job, folder).use())
            target = stack.enter_context(connect(self.dsns.target, "target", search_path=job.target.schema))
            self.ledger = _ledger(target, job)
            self.plan = _plan(job, self.dsns, target, self.ledger, folder)
            self.entities = {e.name: e for e in self.ledger.entities()}
            workspace = stack.enter_context(Workspace(folder))
            self.crew = stack.enter_context(Crew(0, self._servers(), workspace, self.stop))
            self.station = Station(self.plan, self.entities, self.crew, job.number)
            self._stack = stack.pop_all()
        threading.Thread(target=self._watch, name="rowcall-watch", daemon=True).start()

    def _servers(self) -> Servers:
        return Servers(
            self.dsns.source, self.dsns.target, self.job.snapshot, self.plan.locked_tables,
            self.job.source.schema, self.job.target.schema,
        )  # fmt: skip

    # -- work -------------------------------------------------------------------------------------------------------

    def settle(self, task: Task) -> Counts:
        step = next(s for s in self.plan.steps if task.entity in s.group.entities)
        with self._loading:  # whoever comes while it is loaded waits for it
            self._prepare(step)
        return self.station.settle(task)

    def _prepare(self, step: Step) -> None:
        """Loads what the judges of a step need, once."""
        name = f"step {step.number}"
        if name in self._loaded:
            return
        try:
            with self.crew.lent() as worker:
                self._load_step(step, worker)
        except BaseException:
            self.end()  # nobody knows what is loaded now
            raise
        self._loaded.add(name)

    def _load_step(self, step: Step, worker: Worker) -> None:
        tables, known = Tables(self.plan, worker), self.ledger.digests(self.job.number)
        target = Reader(self.dsns.target, "target", schema=self.job.target.schema)
        try:
            for judge in step.judges:
                for table in self._new(judge.hop_tables):
                    if known.get(table, digest := tables.digest(table)) != digest:  # one of the target's
                        raise LedgerConflict(
                            f"{table} changed while the run went on",
                            hint="`rowcall run` goes on, and judges anew what was judged by the old rows",
                        )
                for parent in self._new(outside(step, judge.parents)):
                    load_from_ledger(worker.duck, self.plan.judge(parent), self.entities[parent].id, target)
                if step.prejudged:
                    load_duplicates(worker.duck, judge, self.entities[judge.entity.name].id, target)
        finally:
            target.close()
        tables.build_routes(step)

    def _new(self, names: Iterable[str]) -> Iterator[str]:
        """Those that are not loaded yet; other steps' judges read the rest."""
        for name in names:
            if name not in self._loaded:
                yield name
                self._loaded.add(name)

    # -- the end ----------------------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        return self._over.is_set()

    def end(self) -> None:
        self._over.set()
        self.stop.now()

    def _watch(self) -> None:
        """Closes everything when the run does not go on any more, once the last task has ended."""
        while not self._over.wait(WATCH) and self._goes_on():
            pass
        self.end()
        while not self._deserted():
            time.sleep(WATCH / 10)
        self._stack.close()

    def _goes_on(self) -> bool:
        try:
            run = self.ledger.run()
        except (DriverError, IndexError):
            return False
        return (run.id, run.state) == (self.job.run, "running")

    def _deserted(self) -> bool:
        with _lock:
            if self.guests:
                return False
            if _outposts.get(self.job) is self:
                del _outposts[self.job]
            return True


def _need_version(job: Job) -> None:
    if job.version != __version__:
        raise UsageError(
            f"a worker of the cluster has rowcall {__version__}, the run has {job.version}",
            hint="install the same version on every worker",
        )


def _scratch() -> str | None:
    """Where this process may spill: the cluster's folder, which the cluster clears after a killed worker."""
    try:
        from distributed import get_worker

        return str(get_worker().local_directory)
    except (ImportError, ValueError):
        return None


def _places(job: Job, folder: Path) -> Places:
    endpoints = {"source": job.source, "target": job.target}
    for side, endpoint in endpoints.items():
        _need_secret(side, endpoint)
    return Places(folder, endpoints, lambda _: None)


def _need_secret(side: str, endpoint: Endpoint) -> None:
    variable = VARIABLES[side]
    if endpoint.kind in ("dsn", "embedded") and not os.environ.get(variable):
        raise UsageError(
            f"a worker of the cluster does not know where the {side} is: {variable} is not set there",
            hint=f"start every worker with {variable} in its environment; no dsn travels to it",
        )


def _ledger(target: Session, job: Job) -> Ledger:
    """The run's ledger. Raises UsageError or LedgerConflict where the worker's target has another one, or the run is over."""
    ledger = Ledger(target)
    if not ledger.exists() or (run := ledger.run()).id != job.run:
        raise UsageError(
            "a worker of the cluster has another target: this run is not in its ledger",
            hint=f"set {VARIABLES['target']} on every worker to the same database as here",
        )
    if run.state != "running":
        raise LedgerConflict(f"the run is {run.state}", hint="`rowcall run` goes on with it")
    return ledger


def _plan(job: Job, dsns: Dsns, target: Session, ledger: Ledger, folder: Path) -> Plan:
    """Compiled from the ledger's mapping, inside the run's snapshot: the same in every process, whenever it begins."""
    file = folder / "rowcall.yaml"
    file.write_text(ledger.mapping() or "", encoding="utf-8")
    with connect(dsns.source, "source", search_path=job.source.schema) as source, target.transaction():
        joined(source, job.snapshot)
        # What the run takes away from the target and what it put back already must be read at one moment.
        target.execute("set transaction isolation level repeatable read")
        mapping, knowledge = survey(file, source, target, (job.source.schema, job.target.schema), ledger)
    if mapping.fingerprint != job.fingerprint:
        raise UsageError(
            "a worker of the cluster reads another mapping than this run's",
            hint="install the same version of rowcall on every worker",
        )
    return make_plan(mapping, knowledge)


def _unforeseen(error: Exception) -> ClusterFailed:
    """A fault of rowcall itself: its kind and place, but not its message, which could quote a row."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "rowcall" in f.filename]
    places = " <- ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames[-4:]))
    return ClusterFailed(f"internal error on a worker: {type(error).__name__} at {places}", hint="report this line")
