"""The run: every chunk that is not settled, step by step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Mapping as MappingOf
from contextlib import closing
from dataclasses import replace

from rowcall.errors import BudgetExceeded, ClusterFailed
from rowcall.ledger.book import ChunkRecord, EntityRecord, Ledger
from rowcall.ledger.keys import KeyBook
from rowcall.mapping.model import Budget, Mapping
from rowcall.move.belt import Stop, Tables, outside, over_chunks
from rowcall.move.bulk import take_away
from rowcall.move.chunking import chunk_ranges, unbooked
from rowcall.move.duplicates import book_duplicates
from rowcall.move.fates import load_from_ledger
from rowcall.move.finish import Finish
from rowcall.move.group import GroupSettler, Refused
from rowcall.move.pools import Pool
from rowcall.move.prejudge import Prejudge
from rowcall.move.replan import Remains, plan_anew
from rowcall.move.station import Station, Task, job_of
from rowcall.move.worker import Crew
from rowcall.plan.judge import Judge
from rowcall.plan.plan import Plan, Step
from rowcall.postgres.read import Reader
from rowcall.progress import Meter, OnProgress
from rowcall.rows import Counts

LOST_WORKERS = 5  # of one chunk, each after the cluster's own tries


class Run:
    """Settles what is not settled. `snapshot` is the ledger's number of the crew's snapshot; `count` counts a source table's
    rows on it, over a session that no worker uses."""

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
        count: Callable[[str], int],
    ) -> None:
        self.plan, self.ledger, self.crew, self.pool, self.target = plan, ledger, crew, pool, target
        self.snapshot, self.stop, self.on_progress = snapshot, stop, on_progress
        self.tables = tables
        self.entities: dict[str, EntityRecord] = {e.name: e for e in ledger.entities()}
        self.budget = BudgetWatch(plan, ledger, count)
        self.keys = KeyBook(ledger.session)
        self.job = job_of(plan, ledger, crew.servers.snapshot, snapshot)
        self.settle = pool.settle or Station(plan, self.entities, crew, snapshot).settle
        self.lost: Counter[int] = Counter()

    def __call__(self, only: frozenset[str] | None = None) -> None:
        """All steps, or those with one of the entities `only`."""
        self.plan_chunks()
        self.budget.add("", 0)
        try:
            self._steps([s for s in self.plan.steps if only is None or only.intersection(s.group.entities)])
        finally:
            self.pool.over(self.job)

    def _steps(self, steps: Sequence[Step]) -> None:
        self._take_keys(steps)
        for step in steps:
            self._step(step)
        self._finish_others()

    def _take_keys(self, steps: Sequence[Step]) -> None:
        """Takes the keys of the tables away that are loaded in bulk, unless their load has begun."""
        begun = {self.plan.judge(c.entity).entity.target for c in self.ledger.chunks() if c.state == "settled"}
        away = {(t.key.table, t.key.name) for t in self.keys.missing()}
        chosen = [k for load in self.plan.loads(steps) if load.table not in begun for k in load.taken]
        take_away(self.ledger.session, [k for k in chosen if (k.table, k.name) not in away])

    def _finish_others(self) -> None:
        """Puts back what an earlier command took away for steps that this one has no part in."""
        tables = {t.key.table for t in self.keys.missing()}
        if left := [record for record in self.entities.values() if record.target_table in tables]:
            self._finish(left)

    def _finish(self, records: Sequence[EntityRecord]) -> None:
        sessions = [worker.session for worker in self.crew.workers]
        late = Finish(self.plan, self.crew.workers[0].reader, sessions, records)(self.keys.missing())
        for entity, rows in late.items():
            self.budget.add(entity, rows)

    def plan_chunks(self) -> None:
        """Chunks for every entity. A resumed run finds its ranges of keys again; what is left of ranges of pages is planned
        anew."""
        chunks = self.ledger.chunks()
        known = {c.entity: False for c in chunks} | {c.entity: True for c in chunks if c.span.by_pages}
        number = max((c.id for c in chunks), default=0) + 1
        for judge in (j for step in self.plan.steps for j in step.judges):
            if judge.entity.name not in known:
                number = self._plan(judge, number)
            elif known[judge.entity.name]:
                number = self._plan_anew(judge, number)
        self.ledger.claim()
        self.entities = {e.name: e for e in self.ledger.entities()}

    def _plan(self, judge: Judge, number: int) -> int:
        chunking = chunk_ranges(judge, self.crew.workers[0].reader)
        with self.ledger.session.transaction():
            self.ledger.expect(judge.entity.name, chunking.rows, counted=chunking.counted)
            return self.ledger.add_chunks(self.entities[judge.entity.name].id, number, chunking.spans)

    def _plan_anew(self, judge: Judge, number: int) -> int:
        worker, record = self.crew.workers[0], self.entities[judge.entity.name]
        with closing(Remains(judge, record.id, worker.reader, self.target, worker.duck)) as remains:
            return plan_anew(record, self.ledger, remains, number)

    def _step(self, step: Step) -> None:
        chunks = [c for c in self.ledger.chunks() if c.entity in step.group.entities]
        todo = [c for c in chunks if c.state == "planned"]
        if todo:
            self._settle_chunks(step, chunks, todo)
        self._finish([self.entities[name] for name in step.group.entities])

    def _settle_chunks(self, step: Step, chunks: Sequence[ChunkRecord], todo: Sequence[ChunkRecord]) -> None:
        self.tables.load_hops(step)
        self.ledger.set_digests(self.snapshot, self.tables.digests)
        if step.prejudged or not self.away:
            self._load_parents(step)
        if step.group.cyclic:
            self._group(step, chunks, todo)
        else:
            self._chunks(step, chunks, todo)
        for judge in step.judges:
            self.ledger.expect_read(judge.entity.name)
        self.budget.add("", 0)

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
        meter.end()

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
        for meter in meters.values():
            meter.end()

    def _prejudge(self, step: Step, chunks: Sequence[ChunkRecord], refused: Refused) -> None:
        """Over all chunks of the step, the settled ones too: uniqueness and cycles know no chunks."""
        Prejudge(step, self.plan, self.crew.workers[0], self.target, ledger=True).run(
            self._all_rows(step, chunks), self.tables.build_routes, refused
        )

    def _all_rows(self, step: Step, chunks: Sequence[ChunkRecord]) -> list[ChunkRecord]:
        """Chunks that hold all rows of a step on this snapshot: the pages of settled ones may be those of an earlier one."""
        stale = {c.entity for c in chunks if c.span.by_pages and c.snapshot not in (None, self.snapshot)}
        found = [c for c in chunks if c.entity not in stale]
        for judge in (j for j in step.judges if j.entity.name in stale):
            found += unbooked(judge, chunk_ranges(judge, self.crew.workers[0].reader))
        return found

    def _load_parents(self, step: Step) -> None:
        for parent in outside(step, (p for j in step.judges for p in j.parents)):
            judge = self.plan.judge(parent)
            load_from_ledger(self.crew.workers[0].duck, judge, self.entities[parent].id, self.target)

    def _meter(self, judge: Judge, todo: Sequence[ChunkRecord]) -> Meter:
        name = judge.entity.name
        record = self.entities[name]
        done = self.ledger.rows_read(name) if todo else 0
        return Meter(self.on_progress, "run", name, record.rows_expected or 0, done, counted=record.rows_counted)


class BudgetWatch:
    """Stops the run where more rows are quarantined than the mapping's error budgets allow. A share is one of all rows: where
    their number is an estimate, they are counted before the run is stopped, and looked at again once they are all read."""

    def __init__(self, plan: Plan, ledger: Ledger, count: Callable[[str], int]) -> None:
        self.budgets: dict[str, Budget] = {e.name: e.budget for e in plan.mapping.entities if e.budget}
        self.total = plan.mapping.budget
        sums = ledger.sums()
        self.quarantined = {s.name: s.counts.quarantined for s in sums}
        self.ledger, self.count = ledger, count

    def add(self, entity: str, rows: int) -> None:
        """Counts rows of an entity as quarantined, and looks whether a budget is spent."""
        self.quarantined[entity] = self.quarantined.get(entity, 0) + rows
        if not (self.total or self.budgets) or not sum(self.quarantined.values()):
            return
        records = self.ledger.entities()
        if self._spent(records) and self._count(records):
            records = self.ledger.entities()
        if spent := self._spent(records):
            raise BudgetExceeded(
                spent,
                hint="see `rowcall explain`; raise `error_budget` in the mapping and run again to go on where it stopped",
            )

    def _spent(self, records: Sequence[EntityRecord]) -> str:
        """Which budget is spent, "" if none is."""
        expected = {e.name: e.rows_expected or 0 for e in records}
        cases = [(b, self.quarantined.get(name, 0), expected[name], name) for name, b in self.budgets.items()]
        if self.total is not None:
            cases.append((self.total, sum(self.quarantined.values()), sum(expected.values()), "the run"))
        for budget, rows, of, what in cases:
            if rows > allowed(budget, of):
                return f"the error budget of {what} is spent: {rows} rows quarantined, {allowed(budget, of)} allowed"
        return ""

    def _count(self, records: Sequence[EntityRecord]) -> bool:
        """Counts what was estimated; whether there was any."""
        budgets = [*self.budgets.values(), *([self.total] if self.total else [])]
        estimated = [e for e in records if not e.rows_counted and any(b.share is not None for b in budgets)]
        for record in estimated:
            self.ledger.expect(record.name, self.count(record.source_table))
        return bool(estimated)


def allowed(budget: Budget, of: int) -> int:
    """How many rows a budget lets be quarantined, of so many source rows."""
    return budget.rows if budget.rows is not None else int((budget.share or 0) * of)


def over_budget(mapping: Mapping, counts: MappingOf[str, Counts]) -> bool:
    """Whether a run with these sums would be stopped."""
    total = sum(counts.values(), Counts())
    budgets = [(e.budget, counts[e.name]) for e in mapping.entities if e.budget] + [(mapping.budget, total)]
    return any(b is not None and c.quarantined > allowed(b, c.source) for b, c in budgets)
