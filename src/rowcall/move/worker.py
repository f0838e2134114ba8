"""A worker: its own connections and DuckDB cursor, all inside the one snapshot; it settles whole chunks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from rowcall.errors import Interrupted, TargetRefused
from rowcall.ledger.book import ChunkRecord, Ledger
from rowcall.move.assignment import Assignment
from rowcall.move.judging import judge_batches
from rowcall.move.reading import careful_batches, chunk_batches
from rowcall.move.savepoints import note_savepoints
from rowcall.move.settle import REKEYED, Chapter, all_arrived, place_carefully, stream
from rowcall.move.verdicts import Verdicts
from rowcall.plan.judge import Judge
from rowcall.postgres.ask import Answered, ask
from rowcall.postgres.connect import Session, connect
from rowcall.postgres.copy import RowsRefused
from rowcall.postgres.errors import DriverError, is_retryable, stopped
from rowcall.postgres.read import ComputationFailed, Reader
from rowcall.rows import Counts
from rowcall.schema import Type
from rowcall.workspace import Workspace

LOCK_PATIENCE = "10s"  # for locks of the target's users: whoever waits longer holds up those behind
LIVE_STATEMENT = "15min"  # the longest that a COPY of a chunk may hold its locks in a table that is in use
TRIES = 4  # of a chunk that met a deadlock, a serialization failure or a lock of others
Done = TypeVar("Done")


def persistently(attempt: Callable[[], Done]) -> Done:
    """Makes an attempt; again where a deadlock, a serialization failure or a lock of others ended it."""
    for number in range(1, TRIES):
        try:
            return attempt()
        except TargetRefused as error:
            if not is_retryable(error.sqlstate):
                raise
            time.sleep(0.05 * 2**number)
    return attempt()


@dataclass(frozen=True)
class Servers:
    """Where a worker connects, and the snapshot that it joins."""

    source: str
    target: str
    snapshot: str
    tables: tuple[str, ...]
    source_schema: str = "public"
    target_schema: str = "public"


class Worker:
    """Used by one thread at a time."""

    def __init__(self, servers: Servers, workspace: Workspace, stopping: Callable[[], bool]) -> None:
        self.servers, self.stopping = servers, stopping
        self.duck = workspace.cursor()
        self.reader = Reader(
            servers.source, snapshot=servers.snapshot, tables=servers.tables, schema=servers.source_schema
        )
        self.session: Session = connect(servers.target, "target", search_path=servers.target_schema)
        self.session.execute(f"set lock_timeout = '{LOCK_PATIENCE}'")
        self._questions: Session | None = None
        self._seen: Reader | None = None

    @property
    def questions(self) -> Session:
        """A second session on the target, to ask while the first one writes; many mappings need none."""
        if self._questions is None:
            self._questions = connect(self.servers.target, "target", search_path=self.servers.target_schema)
        return self._questions

    @property
    def seen(self) -> Reader:
        """Rows of the target, in which references find theirs; few mappings have such."""
        if self._seen is None:
            self._seen = Reader(
                self.servers.target, "target", schema=self.servers.target_schema, lock_patience=LOCK_PATIENCE
            )
        return self._seen

    def cancel(self) -> None:
        """Ends what another thread has it do, if it has begun: to be repeated until that thread has seen it."""
        for reader in filter(None, (self.reader, self._seen)):
            reader.cancel()
        with suppress(DriverError):  # a server that is gone needs none
            self.session.cancel()

    def close(self) -> None:
        for part in (self.reader, self._seen, self.session, self._questions, self.duck):
            if part is not None:
                part.close()

    # -- judging ----------------------------------------------------------------------------------------------------

    def ask(self, type_: Type, texts: Sequence[str], json: bool) -> list[Answered]:
        return ask(self.questions, type_, texts, json=json)

    def judged(self, judge: Judge, chunk: ChunkRecord, *, carefully: bool = False) -> Iterator[Verdicts]:
        """The verdicts of a chunk, batch by batch."""
        return self.judged_where(judge, chunk.span.within(judge.key), carefully=carefully)

    def judged_where(self, judge: Judge, condition: str, *, carefully: bool = False) -> Iterator[Verdicts]:
        """The verdicts of the rows that meet a condition (Postgres SQL over the bare source table)."""
        read = careful_batches if carefully else chunk_batches
        batches = self._heeding(read(self.reader, judge, condition))
        return judge_batches(judge, batches, self.duck, self.ask)

    def judged_whole(self, judge: Judge, condition: str) -> list[Verdicts]:
        """The same of few rows, whether an expression of the mapping fails on one of them or not."""
        try:
            return list(self.judged_where(judge, condition))
        except ComputationFailed:
            return list(self.judged_where(judge, condition, carefully=True))

    def judged_among(self, judge: Judge, keys: Sequence[str], at_once: int) -> Iterator[Verdicts]:
        """The same of the rows with these keys, so many at a time."""
        for at in range(0, len(keys), at_once):
            yield from self.judged_whole(judge, judge.key.among(keys[at : at + at_once]))

    def _heeding(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The batches, until the run is to stop."""
        for batch in batches:
            if self.stopping():
                raise Interrupted("interrupted")
            yield batch
            del batch

    # -- settling ---------------------------------------------------------------------------------------------------

    def settle(self, work: Assignment, chunk: ChunkRecord, snapshot: int) -> Counts:
        """Reads, judges, writes and books one chunk; its sums. Tries again after a deadlock."""
        whole = Ledger(self.session).whole(chunk)
        return persistently(lambda: self._settle(work, whole, snapshot))

    def _settle(self, work: Assignment, chunk: ChunkRecord, snapshot: int) -> Counts:
        try:
            return self._in_one(work, chunk, snapshot, self._streamed)
        except ComputationFailed:
            how = self._careful_read
        except RowsRefused:
            how = self._placed
        try:
            return self._in_one(work, chunk, snapshot, how)
        except (RowsRefused, ComputationFailed):
            pass
        try:
            return self._in_one(work, chunk, snapshot, self._most_careful)
        except RowsRefused as error:
            raise TargetRefused(
                work.table.qualified, f"refuses the rows of a chunk ({error.refusal.evidence}), none of them alone",
                sqlstate=error.refusal.sqlstate, hint="see its triggers: one changes or removes rows that came before",
            ) from None  # fmt: skip

    def _in_one(self, work: Assignment, chunk: ChunkRecord, snapshot: int, write: Callable[[Chapter], None]) -> Counts:
        started, chapter = time.monotonic(), Chapter(work, chunk)
        try:
            with self.session.transaction():
                # A deferred check would fail at COMMIT, where no row can be named any more.
                self.session.execute("set constraints all immediate")
                if work.live:
                    self.session.execute(f"set local statement_timeout = '{LIVE_STATEMENT}'")
                write(chapter)
                chapter.write(self.session, self.reader)
                if work.table.triggers and not all_arrived(self.session, work, chunk.id):
                    raise RowsRefused(REKEYED)
                if work.table.triggers or chapter.savepoints:
                    note_savepoints(self.session, work, chunk.id)
                Ledger(self.session).settle(chunk, snapshot, chapter.counts, time.monotonic() - started)
        except DriverError as error:
            raise stopped(error, "target", work.table.qualified) from None
        return chapter.counts

    def _streamed(self, chapter: Chapter) -> None:
        stream(self.session, self.judged(chapter.work.judge, chapter.chunk), chapter)

    def _careful_read(self, chapter: Chapter) -> None:
        stream(self.session, self.judged(chapter.work.judge, chapter.chunk, carefully=True), chapter)

    def _placed(self, chapter: Chapter) -> None:
        for verdicts in self.judged(chapter.work.judge, chapter.chunk):
            place_carefully(self.session, verdicts, chapter)

    def _most_careful(self, chapter: Chapter) -> None:
        for verdicts in self.judged(chapter.work.judge, chapter.chunk, carefully=True):
            place_carefully(self.session, verdicts, chapter)


class Crew:
    """Workers to lend, one for each thread that settles. Those of a run at home are all opened before the first one reads:
    nobody who queues up for a lock can part them."""

    def __init__(self, size: int, servers: Servers, workspace: Workspace, stopping: Callable[[], bool]) -> None:
        self.servers, self.workspace, self.stopping = servers, workspace, stopping
        self.workers: list[Worker] = []
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        try:
            with ThreadPoolExecutor(max(size, 1)) as pool:
                for opened in [pool.submit(self._open) for _ in range(size)]:
                    self._idle.put(opened.result())
        except BaseException:
            self.close()
            raise

    def _open(self) -> Worker:
        worker = Worker(self.servers, self.workspace, self.stopping)
        self.workers.append(worker)
        return worker

    @contextmanager
    def lent(self) -> Iterator[Worker]:
        """A worker to oneself; one more where all are at work. After a failure it goes: nobody knows what its sessions hold."""
        try:
            worker = self._idle.get_nowait()
        except Empty:
            worker = self._open()
        try:
            yield worker
        except BaseException:
            self.workers.remove(worker)
            worker.close()
            raise
        self._idle.put(worker)

    def cancel(self) -> None:
        for worker in self.workers:
            worker.cancel()

    def close(self) -> None:
        for worker in self.workers:
            worker.close()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
