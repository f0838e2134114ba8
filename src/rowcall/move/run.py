"""The run: every chunk that is not settled, step by step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from rowcall.errors import BudgetExceeded, ClusterFailed
from rowcall.ledger.book import ChunkRecord, EntityRecord, Ledger
from rowcall.mapping.model import Budget, Mapping
from rowcall.move.belt import Stop, Tables, chunk_ranges, outside, over_chunks
from rowcall.move.duplicates import book_duplicates
from rowcall.move.fates import load_from_ledger
from rowcall.move.group import GroupSettler, Refused
from rowcall.move.pools import Pool
from rowcall.move.prejudge import Prejudge
from rowcall.move.station import Station, Task, job_of
from rowcall.move.worker import Crew
from rowcall.plan.judge import Judge
from rowcall.plan.plan import Plan, Step
from rowcall.postgres.errors import DriverError
from rowcall.postgres.read import Reader
from rowcall.progress import Meter, OnProgress
from rowcall.rows import Counts
from rowcall.sql import qualified

LOST_WORKERS = 5  # of one chunk, each after the cluster's own tries


class Run:
    """Settles what is not settled. `snapshot` is the ledger's number of the crew's snapshot."""

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        crew: Crew,
        pool: Pool,
        target: Reader,
        tables: Tables,
        snapshot: int,
        stop: Stop,
        on_progress: OnProgress,
    ) -> None:
        self.plan, self.ledger, self.crew, self.pool, self.target = plan, ledger, crew, pool, target
        self.snapshot, self.stop, self.on_progress = snapshot, stop, on_progress
        self.tables = tables
        self.entities: dict[str, EntityRecord] = {e.name: e for e in ledger.entities()}
        self.budget = BudgetWatch(plan, ledger)
        self.job = job_of(plan, ledger, crew.servers.snapshot, snapshot)
        self.settle = pool.settle or Station(plan, self.entities, crew, snapshot).settle
        self.lost: Counter[int] = Counter()

    def __call__(self, only: frozenset[str] | None = None) -> None:
        """All steps, or those with one of the entities `only`."""
        self.plan_chunks()
        self.budget.add("", 0)
        try:
            for step in self.plan.steps:
                if only is None or only.intersection(step.group.entities):
                    self._step(step)
        finally:
            self.pool.over(self.job)

    def plan_chunks(self) -> None:
        """Key ranges for every entity, once and for all: a resumed run finds the same ones."""
        known = {c.entity for c in self.ledger.chunks()}
        number = max((c.id for c in self.ledger.chunks()), default=0) + 1
        for step in self.plan.steps:
            for judge in step.judges:
                name = judge.entity.name
                if name not in known:
                    total, bounds = chunk_ranges(judge, self.crew.workers[0].reader)
                    with self.ledger.session.transaction():
                        number = self.ledger.add_chunks(self.entities[name].id, number, bounds)
                        self.ledger.expect(name, total)
        self.ledger.claim()
        self.entities = {e.name: e for e in self.ledger.entities()}

    def _step(self, step: Step) -> None:
        chunks = [c for c in self.ledger.chunks() if c.entity in step.group.entities]
        todo = [c for c in chunks if c.state == "planned"]
        if not todo:
            return
        self.tables.load_hops(step)
        self.ledger.set_digests(self.snapshot, self.tables.digests)
        if step.prejudged or not self.away:
            self._load_parents(step)
        if step.group.cyclic:
            self._group(step, chunks, todo)
        else:
            self._chunks(step, chunks, todo)
        # Fresh statistics: without them the next reader of these tables may be given a nested loop.
        for table in ("rowcall.settlement", "rowcall.quarantined_row", *(j.entity.target for j in step.judges)):
            with suppress(DriverError):  # whoever holds a lock on it, or forbids it, need not stop the run
                self.ledger.session.execute(f"analyze (skip_locked) {qualified(table)}")

    def _chunks(self, step: Step, chunks: Sequence[ChunkRecord], todo: Sequence[ChunkRecord]) -> None:
        judge = step.judges[0]
        if step.prejudged:
            self._prejudge(step, chunks, {})
            if self.away:
                book_duplicates(self.ledger, self.crew.workers[0].duck, judge, self.entities[judge.entity.name].id)
        elif not self.away:
            self.tables.build_routes(step)
        meter = self._meter(judge, todo)
        tasks = [Task(self.job, c.entity, c.id, c.epoch) for c in todo]
        over_chunks(
            self.pool, self.stop, tasks, self.settle, lambda _, counts: self._done(judge, meter, counts), self._again
        )

    @property
    def away(self) -> bool:
        """Whether other machines settle the chunks."""
        return self.pool.settle is not None

    def _again(self, task: Task) -> Task:
        """The task of a lost worker, for another one. Under a new lease: the lost one may live on, unseen."""
        self.lost[task.chunk] += 1
        if self.lost[task.chunk] > LOST_WORKERS:
            raise ClusterFailed(
                f"chunk {task.chunk} of {task.entity} has lost its workers {LOST_WORKERS} times",
                hint="see the logs of the cluster's workers (out of memory?), then run again: every settled chunk is kept",
            )
        return replace(task, epoch=self.ledger.renew(task.chunk))

    def _done(self, judge: Judge, meter: Meter, counts: Counts) -> None:
        meter.add(counts.source)
        self.budget.add(judge.entity.name, counts.quarantined)

    def _group(self, step: Step, chunks: Sequence[ChunkRecord], todo: Sequence[ChunkRecord]) -> None:
        meters = {j.entity.name: self._meter(j, [c for c in todo if c.entity == j.entity.name]) for j in step.judges}
        settler = GroupSettler(
            step, self.plan, self.crew.workers[0], self.entities, self.snapshot,
            lambda refused: self._prejudge(step, chunks, refused),
        )  # fmt: skip
        settler.settle(
            todo, lambda chunk, counts: self._done(self.plan.judge(chunk.entity), meters[chunk.entity], counts)
        )

    def _prejudge(self, step: Step, chunks: Sequence[ChunkRecord], refused: Refused) -> None:
        """Over all chunks of the step, the settled ones too: uniqueness and cycles know no chunks."""
        Prejudge(step, self.plan, self.crew.workers[0], self.target, ledger=True).run(
            chunks, self.tables.build_routes, refused
        )

    def _load_parents(self, step: Step) -> None:
        for parent in outside(step, (p for j in step.judges for p in j.parents)):
            judge = self.plan.judge(parent)
            load_from_ledger(self.crew.workers[0].duck, judge, self.entities[parent].id, self.target)

    def _meter(self, judge: Judge, todo: Sequence[ChunkRecord]) -> Meter:
        name = judge.entity.name
        total = self.entities[name].rows_expected or 0
        done = next((s.rows_read for s in self.ledger.sums() if s.name == name), 0) if todo else 0
        return Meter(self.on_progress, "run", name, total, done)


class BudgetWatch:
    """Stops the run where more rows are quarantined than the mapping's error budgets allow."""

    def __init__(self, plan: Plan, ledger: Ledger) -> None:
        self.budgets: dict[str, Budget] = {e.name: e.budget for e in plan.mapping.entities if e.budget}
        self.total = plan.mapping.budget
        sums = ledger.sums()
        self.quarantined = {s.name: s.counts.quarantined for s in sums}
        self.ledger = ledger

    def add(self, entity: str, rows: int) -> None:
        """Counts rows of an entity as quarantined, and looks whether a budget is spent."""
        self.quarantined[entity] = self.quarantined.get(entity, 0) + rows
        if not (self.total or self.budgets) or not sum(self.quarantined.values()):
            return
        expected = {e.name: e.rows_expected or 0 for e in self.ledger.entities()}
        for name, budget in self.budgets.items():
            self._check(budget, self.quarantined.get(name, 0), expected[name], name)
        if self.total is not None:
            self._check(self.total, sum(self.quarantined.values()), sum(expected.values()), "the run")

    def _check(self, budget: Budget, rows: int, of: int, what: str) -> None:
        if rows > allowed(budget, of):
            raise BudgetExceeded(
                f"the error budget of {what} is spent: {rows} rows quarantined, {allowed(budget, of)} allowed",
                hint="see `rowcall explain`; raise `error_budget` in the mapping and run again to go on where it stopped",
            )


def allowed(budget: Budget, of: int) -> int:
    """How many rows a budget lets be quarantined, of so many source rows."""
    return budget.rows if budget.rows is not None else int((budget.share or 0) * of)


def over_budget(mapping: Mapping, counts: MappingOf[str, Counts]) -> bool:
    """Whether a run with these sums would be stopped."""
    total = sum(counts.values(), Counts())
    budgets = [(e.budget, counts[e.name]) for e in mapping.entities if e.budget] + [(mapping.budget, total)]
    return any(b is not None and c.quarantined > allowed(b, c.source) for b, c in budgets)
