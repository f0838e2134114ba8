"""Rows of the source as Arrow, over ADBC, inside the one exported snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from threading import Lock
from weakref import WeakValueDictionary

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa

from rowcall.errors import RowcallError, SourceUnreadable
from rowcall.postgres.connect import lively, settings
from rowcall.postgres.errors import is_row_fault, reason
from rowcall.postgres.snapshot import BEGIN
from rowcall.sql import literal, qualified

BATCH_BYTES = 14 << 20  # planning the judge costs as much as 10,000 rows: smaller batches are dear

STATEMENT_FAULTS = (
    "0A",
    "42",
    "54",
)  # not supported, a mistake of syntax or rights, beyond a limit: the session lives on

# Where no expression of the mapping is to blame, the command ends with these words.
_FAULT = ("a row cannot be computed", "see the view, or the expression of the mapping, that is read")
_NO_TEXT = ("a text is not valid in the database's encoding", "mend that row's text, then run again")
_FAULTS = {"22021": _NO_TEXT, "22P05": _NO_TEXT}  # character not in repertoire, untranslatable character


_OPEN: WeakValueDictionary[str, Reader] = WeakValueDictionary()  # by DSN, the last one that was opened
_OPENING = Lock()


class ComputationFailed(RowcallError):
    """A query failed because of one of its rows: on an expression of the mapping, as a rule."""

    def __init__(self, side: str, sqlstate: str) -> None:
        self.sqlstate = sqlstate
        what, then = _FAULTS.get(sqlstate, _FAULT)
        super().__init__(f"{side}: {what} (SQLSTATE {sqlstate})", hint=then)


class Reader:
    """One ADBC connection. With a snapshot it joins it and holds its own ACCESS SHARE on the tables, so that nobody who
    queues up for an exclusive lock can come between two of its reads."""

    def __init__(
        self,
        dsn: str,
        side: str = "source",
        *,
        snapshot: str | None = None,
        tables: Sequence[str] = (),
        schema: str = "public",
        lock_patience: str = "",
    ) -> None:
        self.side, self.in_snapshot, self._dsn = side, False, dsn
        try:
            self._connect()
        except adbc_driver_manager.Error as error:
            raise self._stopped(error) from None
        self._run(settings(side, schema))
        if lock_patience:
            self._run(f"set lock_timeout = {literal(lock_patience)}")
        if snapshot:
            self._run(BEGIN, f"set transaction snapshot {literal(snapshot)}")
            self._run(*(f"lock table {qualified(t)} in access share mode nowait" for t in tables))
            # An expression that fails must not take the snapshot with it.
            self._run("savepoint rowcall")
        self.in_snapshot = bool(snapshot)

    def _connect(self) -> None:
        """Beside a reader of the same database that is open, the driver need not ask for all its types once more."""
        with _OPENING:
            if other := _OPEN.get(self._dsn):
                self.connection: adbc.Connection = other.connection.adbc_clone()
                self.connection.adbc_connection.set_autocommit(True)
            else:
                self.connection = adbc.connect(lively(self._dsn), autocommit=True)
            _OPEN[self._dsn] = self

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """The result, batch by batch; at least one (perhaps empty) batch, so that the schema is known."""
        seen = False
        try:
            with self.connection.cursor() as cursor:
                cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)})
                cursor.execute(sql)
                reader = cursor.fetch_record_batch()
                for batch in reader:
                    seen = seen or batch.num_rows > 0
                    yield batch
                    del batch  # here and all along the belt: no batch is held while the next one comes
                if not seen:
                    yield pa.RecordBatch.from_pylist([], reader.schema)
        except (adbc_driver_manager.Error, pa.ArrowException, OSError) as error:
            raise (self._stopped(error) if _state(error) else self._broken_off(sql, error)) from None

    def table(self, sql: str) -> pa.Table:
        """The whole result; for keys and small tables."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetch_arrow_table()
        except (adbc_driver_manager.Error, pa.ArrowException, OSError) as error:
            raise self._stopped(error) from None

    def cancel(self) -> None:
        """Ends the query that another thread has under way, if there is one."""
        with suppress(adbc_driver_manager.Error):
            self.connection.adbc_cancel()

    def close(self) -> None:
        with _OPENING:
            if _OPEN.get(self._dsn) is self:
                del _OPEN[self._dsn]
        self.connection.close()

    def _run(self, *statements: str) -> None:
        try:
            with self.connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        except adbc_driver_manager.Error as error:
            raise self._stopped(error) from None

    def _broken_off(self, sql: str, error: Exception) -> RowcallError:
        """Why a result broke off. While it streams the driver hands no SQLSTATE on, so the server computes it once more."""
        self._go_back()
        try:
            self.table(f"select count(t) from ({sql}) t")
        except RowcallError as told:
            return told
        return self._stopped(error)

    def _go_back(self) -> None:
        """A statement that failed leaves the snapshot's transaction usable again."""
        if self.in_snapshot:
            self._run("rollback to savepoint rowcall")

    def _stopped(self, error: Exception) -> RowcallError:
        state = _state(error)
        if is_row_fault(state) or state[:2] in STATEMENT_FAULTS:
            self._go_back()
        if is_row_fault(state):
            return ComputationFailed(self.side, state)
        what, then = reason(state)
        if state == "42501":
            what = "row level security would hide rows, or the right to read is missing"
            then = "read as the table's owner or a role with BYPASSRLS, or grant SELECT"
        return SourceUnreadable(self.side, what, sqlstate=state, hint=then)


def _state(error: Exception) -> str:
    """The SQLSTATE, "" where the driver knows none; some errors have it only inside the message: `... SQLSTATE: 22012`."""
    _, marker, told = str(error).rpartition("SQLSTATE: ")
    return str(getattr(error, "sqlstate", None) or (told[:5] if marker else ""))
