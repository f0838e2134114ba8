"""The belt: steps in order, each step's chunks over the crew, whatever becomes of their rows (run or forecast)."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

import duckdb

from rowcall.errors import Interrupted
from rowcall.loading import load
from rowcall.mapping.model import QUERY, THERE
from rowcall.move.fates import load_hops
from rowcall.move.pools import Pool, WorkerLost
from rowcall.move.worker import Worker
from rowcall.plan.evidence import DELETIONS, deletions_sql
from rowcall.plan.judge import Judge
from rowcall.plan.paths import HopTable
from rowcall.plan.plan import Plan
from rowcall.plan.step import Step
from rowcall.sql import qualified
from rowcall.workspace import DuckError, is_interrupt

C = TypeVar("C")
T = TypeVar("T")
# A sum, for equal rows would cancel each other out of an XOR.
_CONTENT = "select count(*) || ':' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) as digest from (select * from {}) t"
COUNTED = " (its number of rows)"  # instead of a table's content
LOOKED_IN = " (looked into)"  # a table of which any column may count
LOOKED_UP = 250_000  # rows of the largest table with which a batch is joined without a hash table of its own
PATIENCE = 0.2  # seconds between looks at a Ctrl-C


class Stop:
    """Set once: every worker ends at its next batch."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __call__(self) -> bool:
        return self._event.is_set()

    def now(self) -> None:
        self._event.set()

    cancel = now


@contextmanager
def interruptible(
    stop: Stop, hint: str = "every settled chunk is kept: `rowcall run` goes on from here"
) -> Iterator[None]:
    """Ctrl-C ends the workers at their next batch and becomes Interrupted."""
    try:
        yield
    except (Interrupted, KeyboardInterrupt, RuntimeError, DuckError) as error:
        if not isinstance(error, Interrupted) and not is_interrupt(error):
            raise
        stop.now()
        known = error.hint if isinstance(error, Interrupted) else ""
        raise Interrupted("interrupted", hint=known or hint) from None


class Cancelled(Protocol):
    def cancel(self) -> None: ...


def attended(work: Callable[[], T], under_way: Sequence[Cancelled], *, lasting: bool = False) -> T:
    """Does the work in a thread of its own, so that Ctrl-C is heard while a server computes: what is under way is cancelled then,
    again and again until the thread has ended, and KeyboardInterrupt raised. `lasting`: unless the work was done all the same:
    what it committed stays, and nobody may be told that it was not."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            while not wait([future], PATIENCE).done:
                pass
        except KeyboardInterrupt:
            while not wait([future], PATIENCE).done:
                for one in under_way:
                    one.cancel()
            if not lasting or future.exception() is not None:
                raise
        return future.result()


class Flow(Generic[C, T]):
    """Work on chunks (or tasks of them) over a pool, never more in flight than it has room for; `done` is called in the
    thread that takes turns. Each chunk is done from end to end by one worker, so nobody waits on anybody's queue. `again`
    says what to submit in place of a task whose worker was lost."""

    def __init__(
        self, pool: Pool, stop: Stop, work: Callable[[C], T], done: Callable[[C, T], None],
        again: Callable[[C], C] = lambda chunk: chunk,
    ) -> None:  # fmt: skip
        self.pool, self.stop, self.work, self.done, self.again = pool, stop, work, done, again
        self.waiting: deque[C] = deque()
        self.pending: dict[Future[T], C] = {}

    def __enter__(self) -> Flow[C, T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """The first failure, or Ctrl-C, ends all promptly."""
        if kind is not None:
            self.stop.now()
            self.pool.give_up()

    def __bool__(self) -> bool:
        return bool(self.waiting or self.pending)

    @property
    def hungry(self) -> bool:
        """Whether the pool has room for more than what waits."""
        return len(self.waiting) + len(self.pending) < self.pool.room

    def turn(self, others: Iterable[Future[Any]] = ()) -> None:
        """Submits what there is room for, and takes in what is done; waits a moment for that, or for one of the others."""
        self.pool.look()
        while self.waiting and len(self.pending) < self.pool.room:
            chunk = self.waiting.popleft()
            self.pending[self.pool.submit(self.work, chunk)] = chunk
        for future in wait([*self.pending, *others], PATIENCE, FIRST_COMPLETED).done:
            if future in self.pending:
                self._take_in(future)

    def _take_in(self, future: Future[T]) -> None:
        chunk = self.pending.pop(future)
        try:
            result = self.pool.result(future)
        except WorkerLost:
            self.waiting.appendleft(self.again(chunk))
        else:
            self.done(chunk, result)


def over_chunks(
    pool: Pool, stop: Stop, chunks: Sequence[C], work: Callable[[C], T], done: Callable[[C, T], None]
) -> None:
    """The work on every chunk over the pool."""
    with Flow(pool, stop, work, done) as flow:
        flow.waiting.extend(chunks)
        while flow:
            flow.turn()


class Tables:
    """What the judges of a step need in the workspace: hop tables (once for all), then their route tables."""

    def __init__(self, plan: Plan, worker: Worker) -> None:
        self.plan, self.worker = plan, worker
        self.digests: dict[str, str] = {}
        self._deletions = False

    def load_hops(self, step: Step) -> None:
        """The tables on which the paths of a step walk."""
        for judge in step.judges:
            for table in judge.hop_tables:
                self.digest(table)

    def digest_all(self, step: Step) -> None:
        """What a run remembers, by which it is told later whether the source moved."""
        for judge in step.judges:
            for table in self.walked_by(judge):
                self.digest(table)

    def walked_by(self, judge: Judge) -> tuple[str, ...]:
        """The tables, besides its own, whose content decides an entity's verdicts; where these hang together across chunks,
        the number of its own rows, too."""
        typed = any(r.type_column for r in judge.entity.references)
        counted = any(s.prejudged for s in self.plan.steps if judge in s.judges)
        types = (self.plan.mapping.content_types.table,) if typed else ()
        own = (judge.entity.source,) if judge.entity.query is not None else ()
        looked = tuple(dict.fromkeys(t + LOOKED_IN for rule in judge.entity.columns for t in rule.looks_in))
        return judge.hop_tables + types + own + looked + ((judge.entity.base + COUNTED,) if counted else ())

    def digest(self, table: str) -> str:
        """Loads a hop table where that was not done yet; the digest of its content."""
        if table.endswith(COUNTED) and table not in self.digests:
            counted = self.worker.reader.table(f"select count(*) as n from {qualified(table.removesuffix(COUNTED))}")
            self.digests[table] = str(counted["n"][0])
        if (table.startswith(QUERY) or table.endswith(LOOKED_IN)) and table not in self.digests:
            relation = qualified(table.removesuffix(LOOKED_IN))
            if table.startswith(QUERY):
                relation = self.plan.mapping.entity(table.removeprefix(QUERY)).relation()
            self.digests[table] = str(self.worker.reader.table(_CONTENT.format(relation))["digest"][0])
        if table not in self.digests:
            hop = self.plan.hop_tables.get(table)
            types = ";".join(f"{k}={v}" for k, v in sorted(self.plan.knowledge.content_types.items()))
            self.digests[table] = self.load(hop) if hop else types
        return self.digests[table]

    def load(self, hop: HopTable) -> str:
        """Loads a hop table, from the side where it is; the digest of its content."""
        return load_hops(self.worker.duck, hop, self.worker.seen if hop.table.startswith(THERE) else self.worker.reader)

    def build_routes(self, step: Step) -> None:
        self.build(step.judges)

    def build(self, judges: Sequence[Judge]) -> None:
        """The route tables of these judges; their hop tables and fates are there."""
        if any(DELETIONS in judge.sql for judge in judges):
            self._load_deletions()
        for judge in judges:
            for statement in judge.prepare:
                self.worker.duck.execute(statement)
        look_up(self.worker.duck)

    def _load_deletions(self) -> None:
        """What the admin log knows of rows that are gone: once for all."""
        sql = deletions_sql(self.plan.knowledge)
        if sql is None or self._deletions:
            return
        self.worker.duck.execute(
            f"create or replace table {DELETIONS} (place varchar, id varchar, deleted_at varchar, actor varchar)"
        )
        load(self.worker.duck, DELETIONS, self.worker.reader.batches(sql))
        self._deletions = True


def look_up(duck: duckdb.DuckDBPyConnection) -> None:
    """How batches are joined with the workspace's tables: as long as all are small they are looked up row by row, which keeps
    a batch's order and copies nothing of it. A batch has no statistics, and would be taken for the smaller side."""
    found = duck.sql(
        "select coalesce(max(estimated_size), 0), current_setting('disabled_optimizers') from duckdb_tables()"
    )
    rows, now = found.fetchone() or (0, "")
    wanted = "" if rows > LOOKED_UP else "build_side_probe_side"
    if now != wanted:  # it is the setting of all threads
        duck.execute(f"set disabled_optimizers = '{wanted}'")


def outside(step: Step, parents: Iterable[str]) -> list[str]:
    """The parents of a step that are not of its own group."""
    return [p for p in dict.fromkeys(parents) if p not in step.group.entities]
