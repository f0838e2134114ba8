"""The end of a step: its lines get their indexes, its tables their keys back, and fresh statistics."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Lock

from rowcall.ledger.book import EntityRecord, Ledger, partition
from rowcall.ledger.keys import TakenKey
from rowcall.move.assignment import assign
from rowcall.move.bulk import PATIENCE, limit_helpers, prepare_to_sort, put_back
from rowcall.move.late import Latecomers
from rowcall.move.settle import key_twice
from rowcall.move.worker import Crew
from rowcall.plan.plan import Plan
from rowcall.plan.step import Step
from rowcall.postgres.connect import Session
from rowcall.postgres.copy import Refusal
from rowcall.postgres.errors import DriverError
from rowcall.postgres.read import Reader
from rowcall.schema import TableKey
from rowcall.sql import qualified

# Looks at an entity whose lines are all there: its record, the source's reader, a session on the target.
Look = Callable[[EntityRecord, Reader, Session], None]


class Finisher:
    """Finishes steps in a thread of its own, one at a time, with builders of its own."""

    def __init__(self, plan: Plan, builders: Crew, look: Look) -> None:
        self.plan, self.builders, self.look = plan, builders, look
        limit_helpers([worker.session for worker in builders.workers], plan.workers.number)
        self.thread = ThreadPoolExecutor(1)
        self._under_way: dict[Future[dict[str, int]], Step | None] = {}

    def finish(self, records: Sequence[EntityRecord], missing: Sequence[TakenKey], step: Step | None = None) -> None:
        work = Finish(self.plan, self.builders, records, self.look if step else None)
        self._under_way[self.thread.submit(work, missing)] = step

    def __bool__(self) -> bool:
        return bool(self._under_way)

    @property
    def futures(self) -> list[Future[dict[str, int]]]:
        return list(self._under_way)

    def finished(self) -> Iterator[tuple[Step, dict[str, int]]]:
        """Steps that are finished since the last look: entity -> rows that a key did not take. Raises what ended one."""
        for future in [f for f in self._under_way if f.done()]:
            step, late = self._under_way.pop(future), future.result()
            if step is not None:
                yield step, late

    def wait(self) -> dict[str, int]:
        """Waits for all that is under way."""
        late = Counter[str]()
        for future in self.futures:
            late.update(future.result())
            del self._under_way[future]
        return dict(late)

    def __enter__(self) -> Finisher:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """A failure elsewhere, or Ctrl-C, does not wait for an index to be built: not for this one, nor for the next."""
        self.thread.shutdown(wait=False, cancel_futures=True)
        while kind is not None and not all(future.done() for future in self._under_way):
            self.builders.cancel()
            time.sleep(PATIENCE)
        self.thread.shutdown(wait=True)


class Finish:
    """Finishes entities whose rows are all in; `late` counts the rows of each that a key did not take."""

    def __init__(self, plan: Plan, builders: Crew, records: Sequence[EntityRecord], look: Look | None) -> None:
        self.plan, self.records, self.look = plan, records, look
        self.reader, self.sessions = builders.workers[0].reader, [w.session for w in builders.workers]
        self.cancel = builders.cancel
        self.tables = {r.target_table: r for r in records}
        self.late = dict.fromkeys((r.name for r in records), 0)
        self._unclosed, self._closing = list(records), Lock()

    def __call__(self, missing: Sequence[TakenKey]) -> dict[str, int]:
        """Puts back what is missing of keys on these entities' tables."""
        own = [t for t in missing if t.key.table in self.tables]
        put_back(
            self.sessions, own, self._heal, lambda session: _analyze(session, *self.tables), self._close, self.cancel
        )
        for record in (r for r in self.records if self.late[r.name]):
            self._look(record, self.sessions[0])
        return self.late

    def _close(self, session: Session) -> None:
        """The indexes of the ledger's lines, and a look at them, once. Raises SourceUnreadable where a source key came twice."""
        with self._closing:
            while self._unclosed:
                self._close_one(session, self._unclosed[-1])
                self._look(self._unclosed.pop(), session)

    def _look(self, record: EntityRecord, session: Session) -> None:
        if self.look:
            self.look(record, self.reader, session)

    def _close_one(self, session: Session, record: EntityRecord) -> None:
        try:
            with session.transaction():
                prepare_to_sort(session, f"rowcall.{partition(record.id)}")
                Ledger(session).close(record.id)
            # An entity's lines are much alike: a small sample says as much, and is read in a tenth of the time.
            session.execute("set default_statistics_target = 10")
            _analyze(session, f"rowcall.{partition(record.id)}", "rowcall.quarantined_row")
            session.execute("reset default_statistics_target")
        except DriverError as error:
            if error.sqlstate == "23505":
                raise key_twice(record.source_table) from None
            raise

    def _heal(self, session: Session, key: TableKey, refusal: Refusal) -> int:
        self._close(session)  # a source key that came twice is no matter of the target's keys
        record = self.tables[key.table]
        with self._closing:  # one reader serves all
            rows = Latecomers(session, self.reader, assign(self.plan, record), record).quarantine(key, refusal)
            self.late[record.name] += rows
            return self.late[record.name]  # another key may have found the same rows


def _analyze(session: Session, *tables: str) -> None:
    """Without statistics the next reader may be given a nested loop; whoever holds a lock need not stop the run."""
    for table in tables:
        with suppress(DriverError):
            session.execute(f"analyze (skip_locked) {qualified(table)}")
