"""What stops a run. A bad row is data (see rows.Rejection); an exception here ends the command.

Every error carries typed fields, an exit code of the contract and a hint that tells the operator what to do next.
No error ever holds a row's values: drivers' messages quote whole rows, so their text is never passed on. Errors cross
a cluster whole: pickled, they keep their type and all their fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


class RowcallError(Exception):
    """The base of everything that stops a command."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own way would call the class with its message alone, which few of these take.
        return _again, (type(self), dict(vars(self)))


def _again(kind: type[RowcallError], fields: dict[str, Any]) -> RowcallError:
    """An error as it was before it was pickled."""
    error = kind.__new__(kind, fields["message"])
    vars(error).update(fields)
    return error


class UsageError(RowcallError):
    """The command or the project is used wrongly."""

    exit_code = 2


class NothingWaits(UsageError):
    """No row of a cause waits for a decision."""


@dataclass(frozen=True, order=True)
class Fault:
    """One mistake in a project file: `file:line:column: what, and what to write instead`. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class MappingError(UsageError):
    """The project file has mistakes; all of them are told at once."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(map(str, self.faults)))


class ConnectionFailed(RowcallError):
    """A server cannot be reached or refuses the login. Fields: side ("source" or "target"), sqlstate."""

    def __init__(self, side: str, reason: str, *, sqlstate: str = "", hint: str = "") -> None:
        self.side, self.sqlstate = side, sqlstate
        super().__init__(f"cannot connect to the {side}: {reason}", hint=hint)


class SourceUnreadable(RowcallError):
    """A source table cannot be read whole: no right, a row level policy, or a lock that somebody waits for."""

    def __init__(self, table: str, reason: str, *, sqlstate: str = "", hint: str = "") -> None:
        self.table, self.sqlstate = table, sqlstate
        super().__init__(f"{table}: {reason}", hint=hint)


class TargetRefused(RowcallError):
    """The target refuses a statement for a reason that is no row's fault. Fields: table, sqlstate."""

    def __init__(self, table: str, reason: str, *, sqlstate: str = "", hint: str = "") -> None:
        self.table, self.sqlstate = table, sqlstate
        super().__init__(f"{table}: {reason}" + (f" (SQLSTATE {sqlstate})" if sqlstate else ""), hint=hint)


class LedgerConflict(RowcallError):
    """The ledger in the target does not belong to this run, or another command holds it."""


class RepairRefused(RowcallError):
    """A repair cannot be undone: its rows were changed since, or something rests on them. Fields: repair."""

    def __init__(self, repair: int, reason: str, *, hint: str = "") -> None:
        self.repair = repair
        super().__init__(f"repair {repair} cannot be undone: {reason}", hint=hint)


class ClusterFailed(RowcallError):
    """The cluster cannot be reached, has no workers, or its workers do not do their part."""


class BudgetExceeded(RowcallError):
    """More rows were quarantined than the error budget allows. Nothing is lost; the run can be resumed."""

    exit_code = 4


class NotConserved(RowcallError):
    """The sums of a run do not close, or a check of the target found differences."""

    exit_code = 5


class Interrupted(RowcallError):
    """The operator pressed Ctrl-C; every settled chunk is kept."""

    exit_code = 130


class ServerError(RowcallError):
    """An embedded server cannot be made, started or stopped."""


@dataclass
class Faults:
    """Collects mistakes so that all are told at once."""

    file: str
    found: list[Fault] = field(default_factory=list)

    def add(self, line: int, column: int, message: str) -> None:
        self.found.append(Fault(self.file, line, column, message))

    def raise_if_any(self) -> None:
        if self.found:
            raise MappingError(self.found)
