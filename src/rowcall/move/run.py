"""The run: every chunk that is not settled. Steps that do not need each other may be under way at the same time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from rowcall.errors import ClusterFailed
from rowcall.ledger.book import ChunkRecord, EntityRecord, Ledger
from rowcall.ledger.keys import KeyBook
from rowcall.move.belt import Flow, Stop, Tables, outside
from rowcall.move.budget import BudgetWatch
from rowcall.move.bulk import Undisturbed, take_away
from rowcall.move.chunking import chunk_ranges, unbooked
from rowcall.move.duplicates import book_duplicates
from rowcall.move.fates import load_from_ledger
from rowcall.move.finish import Finisher, Look
from rowcall.move.group import GroupSettler
from rowcall.move.pools import Pool
from rowcall.move.prejudge import Prejudge
from rowcall.move.replan import Remains, plan_anew
from rowcall.move.stage import Refused
from rowcall.move.station import Station, Task, job_of
from rowcall.move.worker import Crew, Worker
from rowcall.plan.bulk import BULK
from rowcall.plan.judge import Judge
from rowcall.plan.plan import Plan, needs
from rowcall.plan.step import Step
from rowcall.postgres.read import Reader
from rowcall.progress import Meter, OnProgress
from rowcall.rows import Counts

OPEN = 4  # steps under way at a time, however many could be: each has tables in the workspace
LOST_WORKERS = 5  # of one chunk, each after the cluster's own tries


@dataclass
class Opened:
    """A step whose chunks are with the pool: how many are not settled yet."""

    step: Step
    left: int
    meters: dict[str, Meter]


@dataclass(frozen=True)
class Hands:
    """Who works: `lead` prepares steps and settles cyclic groups, `builders` finish steps, `crew` settles chunks at home."""

    lead: Worker
    builders: Crew
    crew: Crew
    pool: Pool


class Run:
    """Settles what is not settled. `snapshot` is the ledger's number of the crew's snapshot; `count` counts a source table's
    rows on it, over a session that no worker uses; `look` is told of each entity whose lines are all there."""

    def __init__(
        self, plan: Plan, ledger: Ledger, hands: Hands, target: Reader, tables: Tables, snapshot: int, stop: Stop,
        on_progress: OnProgress, count: Callable[[str], int], look: Look,
    ) -> None:  # fmt: skip
        self.plan, self.ledger, self.hands, self.target = plan, ledger, hands, target
        self.lead, self.pool = hands.lead, hands.pool
        self.snapshot, self.stop, self.on_progress, self.look = snapshot, stop, on_progress, look
        self.tables = tables
        self.entities: dict[str, EntityRecord] = {e.name: e for e in ledger.entities()}
        self.budget = BudgetWatch(plan, ledger, count)
        self.keys = KeyBook(ledger.session)
        self.job = job_of(plan, ledger, self.lead.servers.snapshot, snapshot)
        self.settle = self.pool.settle or Station(plan, self.entities, hands.crew, snapshot).settle
        self.lost: Counter[int] = Counter()
        self.opened: dict[str, Opened] = {}  # entity ->
        self.needs = {step.number: needs(plan, step) for step in plan.steps}
        self.undisturbed = Undisturbed(hands.lead.session)
        self.bulk = {load.table for load in plan.loads() if load.mode == BULK}
        self.dependents = Counter(number for wanted in self.needs.values() for number in wanted)

    def __call__(self, only: frozenset[str] | None = None) -> None:
        """All steps, or those with one of the entities `only`."""
        self.plan_chunks()
        self.budget.add("", 0)
        steps = [s for s in self.plan.steps if only is None or only.intersection(s.group.entities)]
        self._take_keys(steps)
        try:
            with (
                Flow(self.pool, self.stop, self.settle, self._settled, self._again) as flow,
                Finisher(self.plan, self.hands.builders, self.look) as finisher,
            ):
                self._steps(steps, flow, finisher)
                self._finish_others(finisher)
        finally:
            self.pool.over(self.job)

    # -- the keys of the target -------------------------------------------------------------------------------------

    def _take_keys(self, steps: Sequence[Step]) -> None:
        """Takes the keys of the tables away that are loaded in bulk, unless their load has begun."""
        begun = {self.plan.judge(c.entity).entity.target for c in self.ledger.chunks() if c.state == "settled"}
        away = {(t.key.table, t.key.name) for t in self.keys.missing()}
        chosen = [k for load in self.plan.loads(steps) if load.table not in begun for k in load.taken]
        take_away(self.ledger.session, [k for k in chosen if (k.table, k.name) not in away])

    def _finish_others(self, finisher: Finisher) -> None:
        """Puts back what an earlier command took away for steps that this one has no part in."""
        missing = self.keys.missing()
        tables = {t.key.table for t in missing}
        if left := [record for record in self.entities.values() if record.target_table in tables]:
            finisher.finish(left, missing)
            self._budget(finisher.wait())

    def _budget(self, late: dict[str, int]) -> None:
        for entity, rows in late.items():
            self.budget.add(entity, rows)

    # -- chunks -----------------------------------------------------------------------------------------------------

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
        self.entities.update({e.name: e for e in self.ledger.entities()})

    def _plan(self, judge: Judge, number: int) -> int:
        chunking = chunk_ranges(judge, self.lead.reader)
        with self.ledger.session.transaction():
            self.ledger.expect(judge.entity.name, chunking.rows, counted=chunking.counted)
            return self.ledger.add_chunks(self.entities[judge.entity.name].id, number, chunking.spans)

    def _plan_anew(self, judge: Judge, number: int) -> int:
        record = self.entities[judge.entity.name]
        with closing(Remains(judge, record.id, self.lead.reader, self.target, self.lead.duck)) as remains:
            return plan_anew(record, self.ledger, remains, number)

    # -- steps ------------------------------------------------------------------------------------------------------

    def _steps(self, steps: Sequence[Step], flow: Flow[Task, Counts], finisher: Finisher) -> None:
        """Opens a step when those that it needs are finished and the pool has room; finishes it when its chunks are settled,
        while others go on."""
        todo, unfinished = list(steps), {step.number for step in steps}
        while todo or flow or finisher:
            ready = [step for step in todo if not unfinished & self.needs[step.number]]
            chosen = max(ready, key=lambda step: self.dependents[step.number], default=None)
            if chosen and (flow.hungry or (self.dependents[chosen.number] and len(self.opened) < OPEN)):
                todo.remove(chosen)
                self._open(chosen, flow)
            else:
                flow.turn(finisher.futures)
            for name in [name for name, opened in self.opened.items() if not opened.left]:
                self._close(self.opened.pop(name), finisher)
            for step, late in finisher.finished():
                self._budget(late)
                unfinished.remove(step.number)

    def _open(self, step: Step, flow: Flow[Task, Counts]) -> None:
        """Prepares the workspace for a step and gives its chunks to the pool; a cyclic group is settled here and now."""
        chunks = [c for c in self.ledger.chunks() if c.entity in step.group.entities]
        todo = [c for c in chunks if c.state == "planned"]
        judge = step.judges[0]
        meters = {j.entity.name: self._meter(j, [c for c in todo if c.entity == j.entity.name]) for j in step.judges}
        self.opened[judge.entity.name] = Opened(step, 0, meters)
        if not todo:
            return
        self.tables.digest_all(step)
        self.ledger.set_digests(self.snapshot, self.tables.digests)
        if step.prejudged or not self.away:
            self._load_parents(step)
        if step.group.cyclic:
            self._group(step, chunks, todo, meters)
            return
        if step.prejudged:
            self._prejudge(step, chunks, {})
            if self.away:
                book_duplicates(self.ledger, self.lead.duck, judge, self.entities[judge.entity.name].id)
        elif not self.away:
            self.tables.build_routes(step)
        self.opened[judge.entity.name].left = len(todo)
        self._guard()
        tasks = [Task(self.job, c.entity, c.id, c.epoch) for c in todo]
        if self.dependents[step.number]:  # ahead of what nobody waits for
            flow.waiting.extendleft(reversed(tasks))
        else:
            flow.waiting.extend(tasks)

    def _guard(self) -> None:
        """Whose rows come is left in peace; anew after each chunk, so that whoever waits for a stronger lock gets it."""
        coming = {self.plan.judge(name).entity.target for name, opened in self.opened.items() if opened.left}
        self.undisturbed.keep(coming & self.bulk)

    def _close(self, opened: Opened, finisher: Finisher) -> None:
        self._guard()
        for name, meter in opened.meters.items():
            meter.end()
            self.ledger.expect_read(name)
        self.budget.add("", 0)
        records = [self.entities[name] for name in opened.step.group.entities]
        finisher.finish(records, self.keys.missing(), opened.step)

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

    def _settled(self, task: Task, counts: Counts) -> None:
        opened = self.opened[task.entity]
        opened.left -= 1
        self._count(task.entity, opened.meters, counts)
        self._guard()

    def _count(self, entity: str, meters: Mapping[str, Meter], counts: Counts) -> None:
        meters[entity].add(counts.source)
        self.budget.add(entity, counts.quarantined)

    def _group(
        self, step: Step, chunks: Sequence[ChunkRecord], todo: Sequence[ChunkRecord], meters: Mapping[str, Meter]
    ) -> None:
        self.undisturbed.keep(())  # the session is the settler's now
        settler = GroupSettler(
            step, self.plan, self.lead, self.entities, self.snapshot,
            lambda refused: self._prejudge(step, chunks, refused),
        )  # fmt: skip
        settler.settle(todo, lambda chunk, counts: self._count(chunk.entity, meters, counts))
        self._guard()

    def _prejudge(self, step: Step, chunks: Sequence[ChunkRecord], refused: Refused) -> None:
        """Over all chunks of the step, the settled ones too: uniqueness and cycles know no chunks."""
        Prejudge(step, self.plan, self.lead, self.target, ledger=True).run(
            self._all_rows(step, chunks), self.tables.build_routes, refused
        )

    def _all_rows(self, step: Step, chunks: Sequence[ChunkRecord]) -> list[ChunkRecord]:
        """Chunks that hold all rows of a step on this snapshot: the pages of settled ones may be those of an earlier one."""
        stale = {c.entity for c in chunks if c.span.by_pages and c.snapshot not in (None, self.snapshot)}
        found = [c for c in chunks if c.entity not in stale]
        for judge in (j for j in step.judges if j.entity.name in stale):
            found += unbooked(judge, chunk_ranges(judge, self.lead.reader))
        return found

    def _load_parents(self, step: Step) -> None:
        for parent in outside(step, step.parents):
            judge = self.plan.judge(parent)
            load_from_ledger(self.lead.duck, judge, self.entities[parent].id, self.target)

    def _meter(self, judge: Judge, todo: Sequence[ChunkRecord]) -> Meter:
        name = judge.entity.name
        record = self.entities[name]
        done = self.ledger.rows_read(name) if todo else 0
        return Meter(self.on_progress, "run", name, record.rows_expected or 0, done, counted=record.rows_counted)
