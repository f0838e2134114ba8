"""The run: every chunk that is not settled, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as MappingOf

from rowcall.errors import BudgetExceeded
from rowcall.ledger.book import ChunkRecord, EntityRecord, Ledger
from rowcall.ledger.keys import KeyBook
from rowcall.mapping.model import Budget, Mapping
from rowcall.move.assignment import assign
from rowcall.move.belt import Stop, Tables, chunk_ranges, outside, over_chunks
from rowcall.move.bulk import take_away
from rowcall.move.fates import load_from_ledger
from rowcall.move.finish import Finish
from rowcall.move.group import GroupSettler, Refused
from rowcall.move.prejudge import Prejudge
from rowcall.move.worker import Crew, Worker
from rowcall.plan.judge import Judge
from rowcall.plan.plan import Plan, Step
from rowcall.postgres.read import Reader
from rowcall.progress import Meter, OnProgress
from rowcall.rows import Counts


class Run:
    """Settles what is not settled. `snapshot` is the ledger's number of the crew's snapshot."""

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        crew: Crew,
        target: Reader,
        tables: Tables,
        snapshot: int,
        stop: Stop,
        on_progress: OnProgress,
    ) -> None:
        self.plan, self.ledger, self.crew, self.target = plan, ledger, crew, target
        self.snapshot, self.stop, self.on_progress = snapshot, stop, on_progress
        self.tables = tables
        self.entities: dict[str, EntityRecord] = {e.name: e for e in ledger.entities()}
        self.budget = BudgetWatch(plan, ledger)
        self.keys = KeyBook(ledger.session)

    def __call__(self, only: frozenset[str] | None = None) -> None:
        """All steps, or those with one of the entities `only`."""
        self.plan_chunks()
        self.budget.add("", 0)
        steps = [s for s in self.plan.steps if only is None or only.intersection(s.group.entities)]
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
        if todo:
            self._settle_chunks(step, chunks, todo)
        self._finish([self.entities[name] for name in step.group.entities])

    def _settle_chunks(self, step: Step, chunks: Sequence[ChunkRecord], todo: Sequence[ChunkRecord]) -> None:
        self.tables.load_hops(step)
        self.ledger.set_digests(self.snapshot, self.tables.digests)
        self._load_parents(step)
        if step.group.cyclic:
            self._group(step, chunks, todo)
        else:
            self._chunks(step, chunks, todo)

    def _chunks(self, step: Step, chunks: Sequence[ChunkRecord], todo: Sequence[ChunkRecord]) -> None:
        if step.prejudged:
            self._prejudge(step, chunks, {})
        else:
            self.tables.build_routes(step)
        judge = step.judges[0]
        meter = self._meter(judge, todo)
        over_chunks(self.crew, self.stop, todo, self._settle(judge), lambda _, counts: self._done(judge, meter, counts))

    def _settle(self, judge: Judge) -> Callable[[Worker, ChunkRecord], Counts]:
        work = assign(self.plan, self.entities[judge.entity.name])
        return lambda worker, chunk: worker.settle(work, chunk, self.snapshot)

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
        done = self.ledger.rows_read(name) if todo else 0
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
