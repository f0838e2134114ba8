"""One snapshot of the source that every reader joins, as pg_dump does it.

https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import psycopg

from rowcall.errors import SourceUnreadable
from rowcall.postgres.connect import Session, connect
from rowcall.postgres.errors import reason, stopped
from rowcall.sql import literal, qualified

BEGIN = "begin isolation level repeatable read read only"
LOCK_PATIENCE = "10s"


class SourceSnapshot:
    """Holds the exporting session: the snapshot dies with it.

    ACCESS SHARE on every table comes first, for a snapshot alone does not survive a concurrent TRUNCATE or rewrite.
    `lsn` is the write-ahead position at about that moment (text, None where unknown); `visible` is txid_current_snapshot().
    """

    def __init__(self, dsn: str, tables: Sequence[str], *, search_path: str = "public") -> None:
        self.tables = tuple(sorted(set(tables)))
        self.session: Session = connect(dsn, "source", search_path=search_path)
        self.session.execute(BEGIN)
        self.session.execute(f"set local lock_timeout = '{LOCK_PATIENCE}'")
        lock_tables(self.session, self.tables, wait=True)
        self.name: str
        self.lsn: str | None
        self.visible: str
        self.taken_at: datetime
        self.name, self.lsn, self.visible, self.taken_at = self.session.rows(
            """select pg_export_snapshot(),
                      case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end::text,
                      txid_current_snapshot()::text, clock_timestamp()"""
        )[0]

    def count(self, table: str) -> int:
        """A table's rows on the snapshot."""
        try:
            return int(self.session.value(f"select count(*) from {qualified(table)}"))
        except psycopg.Error as error:
            raise stopped(error, "source", table) from None

    def close(self) -> None:
        self.session.close()

    def __enter__(self) -> SourceSnapshot:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def joined(session: Session, name: str) -> None:
    """Puts a session into an exported snapshot. Raises SourceUnreadable where there is none of that name (any more)."""
    try:
        session.execute(f"set lock_timeout = '{LOCK_PATIENCE}'")
        session.execute(BEGIN)
        session.execute(f"set transaction snapshot {literal(name)}")
    except psycopg.Error as error:
        raise SourceUnreadable(
            "the source", "the run's snapshot is not there", sqlstate=error.sqlstate or "",
            hint="the source must be the same server and database for the run and all its workers; a standby has other snapshots",
        ) from None  # fmt: skip


def lock_tables(session: Session, tables: Sequence[str], *, wait: bool) -> None:
    """ACCESS SHARE, in a fixed order. A reader does not wait: whoever waits for an exclusive lock would make it wait for ever."""
    for table in tables:
        try:
            session.execute(f"lock table {qualified(table)} in access share mode" + ("" if wait else " nowait"))
        except psycopg.errors.LockNotAvailable:
            what, then = reason("55P03")
            raise SourceUnreadable(table, what, sqlstate="55P03", hint=then) from None
        except psycopg.Error as error:
            raise stopped(error, "source", table) from None
