"""SQLSTATE -> what it means for a run. Drivers' messages quote rows, so only the state, names and our own words go on.

Classes: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import psycopg

from rowcall.errors import ConnectionFailed, RowcallError, SourceUnreadable, TargetRefused

# The driver's error, for the rooms above, which do not know the driver.
DriverError = psycopg.Error

# A COPY refused with one of these is the fault of a row: data exceptions, integrity, WITH CHECK OPTION, RAISE in a trigger.
_ROW_CLASSES = frozenset({"22", "23", "44", "P0", "38", "39", "21"})
_STOP_CLASSES = frozenset(
    [
        "08",
        "0A",
        "25",
        "26",
        "28",
        "2D",
        "34",
        "3D",
        "3F",
        "40",
        "42",
        "53",
        "54",
        "55",
        "57",
        "58",
        "72",
        "F0",
        "HV",
        "XX",
        "01",
        "02",
        "03",
        "0B",
        "0L",
        "0P",
        "0Z",
        "24",
        "27",
        "2B",
    ]
)
_RETRY = frozenset({"40001", "40P01", "55P03"})  # serialization failure, deadlock, lock not available

_REASONS = {
    "28P01": ("the password is wrong", "put the right one into ~/.pgpass, PGPASSWORD or your service file"),
    "28000": ("the login was refused", "check user and pg_hba.conf"),
    "3D000": ("the database does not exist", "check dbname"),
    "42501": ("the right is missing", "grant it to rowcall's role, or use another role"),
    "53300": ("too many connections", "free some, or lower `workers`"),
    "57014": ("the statement was cancelled", "see whether a timeout or an operator did it, then run again"),
    "55P03": ("somebody holds or waits for an exclusive lock", "let it finish, then run again"),
    "57P01": ("the server was stopped", "start it, then run again"),
    "53100": ("the disk is full", "make room, then run again"),
    "25006": ("the server is read-only", "use the primary"),
}


def is_row_fault(sqlstate: str) -> bool:
    """Whether a refused COPY is the fault of a row; a state of no known class was raised by a trigger, so it is."""
    return sqlstate[:2] in _ROW_CLASSES or (sqlstate != "" and sqlstate[:2] not in _STOP_CLASSES)


def is_retryable(sqlstate: str) -> bool:
    return sqlstate in _RETRY


def reason(sqlstate: str) -> tuple[str, str]:
    """(what happened, what to do next) in our own words."""
    return _REASONS.get(
        sqlstate, (f"the server answered with SQLSTATE {sqlstate or 'unknown'}", "see the server's log")
    )


def stopped(error: psycopg.Error, side: str, table: str) -> RowcallError:
    """The typed error for a driver's error that is no row's fault."""
    state = error.sqlstate or ""
    what, then = reason(state)
    if not state or state[:2] in ("08", "57"):
        lost = ConnectionFailed(side, f"the connection was lost ({state or 'no answer'})", sqlstate=state)
        lost.hint = "see whether the server runs, then run again: every settled chunk is kept"
        return lost
    kind = SourceUnreadable if side == "source" else TargetRefused
    return kind(table, what, sqlstate=state, hint=then)
