"""The end of a step: its lines get their indexes, its tables their keys back, and fresh statistics."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress

from rowcall.ledger.book import EntityRecord, Ledger, partition
from rowcall.ledger.keys import TakenKey
from rowcall.move.assignment import assign
from rowcall.move.bulk import SORT_MEMORY, put_back
from rowcall.move.late import Latecomers
from rowcall.move.settle import key_twice
from rowcall.plan.plan import Plan
from rowcall.postgres.connect import Session
from rowcall.postgres.copy import Refusal
from rowcall.postgres.errors import DriverError
from rowcall.postgres.read import Reader
from rowcall.schema import TableKey
from rowcall.sql import qualified


class Finish:
    """Finishes entities whose rows are all in; `late` counts the rows of each that a key did not take."""

    def __init__(
        self, plan: Plan, reader: Reader, sessions: Sequence[Session], records: Sequence[EntityRecord]
    ) -> None:
        self.plan, self.reader, self.sessions, self.records = plan, reader, sessions, records
        self.tables = {r.target_table: r for r in records}
        self.late = dict.fromkeys((r.name for r in records), 0)
        self._closed: Future[None] = Future()

    def __call__(self, missing: Sequence[TakenKey]) -> dict[str, int]:
        """Puts back what is missing of keys on these entities' tables."""
        put_back(self.sessions, [t for t in missing if t.key.table in self.tables], self._heal, self._close)
        for table in (*self.tables, *(f"rowcall.{partition(r.id)}" for r in self.records), "rowcall.quarantined_row"):
            # Without statistics the next reader may be given a nested loop; whoever holds a lock need not stop the run.
            with suppress(DriverError):
                self.sessions[0].execute(f"analyze (skip_locked) {qualified(table)}")
        return self.late

    def _close(self, session: Session) -> None:
        """The indexes of the ledger's lines. Raises SourceUnreadable where a source key came twice."""
        try:
            for record in self.records:
                self._close_one(session, record)
        except BaseException as error:
            self._closed.set_exception(error)
            raise
        self._closed.set_result(None)

    def _close_one(self, session: Session, record: EntityRecord) -> None:
        try:
            with session.transaction():
                session.execute(f"set local maintenance_work_mem = '{SORT_MEMORY}'")
                Ledger(session).close(record.id)
        except DriverError as error:
            if error.sqlstate == "23505":
                raise key_twice(record.source_table) from None
            raise

    def _heal(self, session: Session, key: TableKey, refusal: Refusal) -> int:
        self._closed.result()  # a source key that came twice is no matter of the target's keys
        record = self.tables[key.table]
        rows = Latecomers(session, self.reader, assign(self.plan, record), record).quarantine(key, refusal)
        self.late[record.name] += rows
        return rows
