"""COPY ... FROM STDIN (FORMAT binary): blocks of ready-made rows into a table.

Format: https://www.postgresql.org/docs/current/sql-copy.html (Binary Format).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from rowcall.errors import TargetRefused
from rowcall.postgres.connect import Session
from rowcall.postgres.errors import is_row_fault, stopped
from rowcall.sql import ident, qualified

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
_LINE = re.compile(r"COPY .*, line (\d+)")


@dataclass(frozen=True)
class Refusal:
    """Why the target refused rows: never the driver's text, which quotes them. `line` counts from 1 where it is known."""

    sqlstate: str
    constraint: str = ""
    column: str = ""
    line: int | None = None

    @property
    def evidence(self) -> str:
        return " ".join(part for part in (self.sqlstate, self.constraint) if part)


class RowsRefused(Exception):
    """The target refused a COPY or INSERT because of one of its rows."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.evidence)


def copy_in(session: Session, table: str, columns: Sequence[str], blocks: Iterable[memoryview | bytes]) -> int:
    """Sends the blocks; the number of rows that arrived (a BEFORE trigger may have swallowed some).

    `table` is "schema.table" (or a bare name for a temporary one). Raises RowsRefused for a row's fault.
    """
    target = qualified(table) if "." in table else ident(table)
    names = ", ".join(map(ident, columns))
    try:
        with session.connection.cursor() as cursor:
            with cursor.copy(f"copy {target} ({names}) from stdin (format binary)".encode()) as sink:
                sink.write(HEADER)
                for block in blocks:
                    sink.write(block)
                    del block
                sink.write(TRAILER)
            return cursor.rowcount
    except psycopg.Error as error:
        raise refused(error, table) from None


def insert(session: Session, sql: str, table: str, params: Sequence[Any] | None = None) -> int:
    """Runs a writing statement with the same reading of its errors."""
    try:
        return session.execute(sql, params)
    except psycopg.Error as error:
        raise refused(error, table) from None


def refused(error: psycopg.Error, table: str) -> Exception:
    state = error.sqlstate or ""
    if state and is_row_fault(state):
        return RowsRefused(refusal_of(error))
    if state == "42501" and "row-level security" in (error.diag.message_primary or ""):
        return TargetRefused(
            table, "row level security refuses the rows", sqlstate=state, hint="write as the owner or with BYPASSRLS"
        )
    return stopped(error, "target", table)


def refusal_of(error: psycopg.Error) -> Refusal:
    line = _LINE.search(error.diag.context or "")
    return Refusal(
        error.sqlstate or "",
        error.diag.constraint_name or "",
        error.diag.column_name or "",
        int(line.group(1)) if line else None,
    )
