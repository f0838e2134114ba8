"""The belt: steps in order, each step's chunks over the crew, whatever becomes of their rows (run or forecast)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from typing import TypeVar

from rowcall.errors import Interrupted
from rowcall.ledger.book import ChunkRecord
from rowcall.move.fates import load_hops
from rowcall.move.worker import Crew, Worker
from rowcall.plan.judge import Judge
from rowcall.plan.plan import Plan, Step
from rowcall.sql import qualified

T = TypeVar("T")
COUNTED = " (its number of rows)"  # instead of a table's content
PATIENCE = 0.2  # seconds between looks at a Ctrl-C


class Stop:
    """Set once: every worker ends at its next batch."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __call__(self) -> bool:
        return self._event.is_set()

    def now(self) -> None:
        self._event.set()


def over_chunks(
    crew: Crew,
    stop: Stop,
    chunks: Sequence[ChunkRecord],
    work: Callable[[Worker, ChunkRecord], T],
    done: Callable[[ChunkRecord, T], None],
) -> None:
    """Every chunk over the crew; `done` is called in this thread. The first failure, or Ctrl-C, ends all of them promptly:
    a worker does its chunk from end to end by itself, so nobody waits on anybody's queue."""
    idle: SimpleQueue[Worker] = SimpleQueue()
    for worker in crew.workers:
        idle.put(worker)

    def task(chunk: ChunkRecord) -> T:
        if stop():
            raise Interrupted("interrupted")
        worker = idle.get_nowait()  # as many workers as threads: there is always one
        try:
            return work(worker, chunk)
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(len(crew.workers)) as pool:
        pending = {pool.submit(task, chunk): chunk for chunk in chunks}
        try:
            _collect(pending, done)
        except BaseException:
            stop.now()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _collect(pending: dict[Future[T], ChunkRecord], done: Callable[[ChunkRecord, T], None]) -> None:
    while pending:
        finished, _ = wait(pending, timeout=PATIENCE, return_when=FIRST_COMPLETED)
        for future in finished:
            done(pending.pop(future), future.result())


class Tables:
    """What the judges of a step need in the workspace: hop tables (once for all), then their route tables."""

    def __init__(self, plan: Plan, worker: Worker) -> None:
        self.plan, self.worker = plan, worker
        self.digests: dict[str, str] = {}

    def load_hops(self, step: Step) -> None:
        for judge in step.judges:
            for table in self.walked_by(judge):
                self.digest(table)

    def walked_by(self, judge: Judge) -> tuple[str, ...]:
        """The tables, besides its own, whose content decides an entity's verdicts; where these hang together across chunks,
        the number of its own rows, too."""
        typed = any(r.type_column for r in judge.entity.references)
        counted = any(s.prejudged for s in self.plan.steps if judge in s.judges)
        types = (self.plan.mapping.content_types.table,) if typed else ()
        return judge.hop_tables + types + ((judge.entity.source + COUNTED,) if counted else ())

    def digest(self, table: str) -> str:
        """Loads a hop table where that was not done yet; the digest of its content."""
        if table.endswith(COUNTED) and table not in self.digests:
            counted = self.worker.reader.table(f"select count(*) as n from {qualified(table.removesuffix(COUNTED))}")
            self.digests[table] = str(counted["n"][0])
        if table not in self.digests:
            hop = self.plan.hop_tables.get(table)
            types = ";".join(f"{k}={v}" for k, v in sorted(self.plan.knowledge.content_types.items()))
            self.digests[table] = load_hops(self.worker.duck, hop, self.worker.reader) if hop else types
        return self.digests[table]

    def build_routes(self, step: Step) -> None:
        for judge in step.judges:
            for statement in judge.prepare:
                self.worker.duck.execute(statement)


def outside(step: Step, parents: Iterable[str]) -> list[str]:
    """The parents of a step that are not of its own group."""
    return [p for p in dict.fromkeys(parents) if p not in step.group.entities]
