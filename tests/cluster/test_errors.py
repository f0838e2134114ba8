"""Errors cross a cluster whole: the same type, words and fields on the other side."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from rowcall import errors
from rowcall.errors import Fault, RowcallError
from rowcall.postgres.read import ComputationFailed

MADE = {
    "RowcallError": RowcallError("m", hint="h"),
    "UsageError": errors.UsageError("m", hint="h"),
    "NothingWaits": errors.NothingWaits("m", hint="h"),
    "RepairRefused": errors.RepairRefused(7, "r", hint="h"),
    "MappingError": errors.MappingError([Fault("f", 2, 3, "b"), Fault("f", 1, 2, "a")]),
    "ConnectionFailed": errors.ConnectionFailed("source", "r", sqlstate="28P01", hint="h"),
    "SourceUnreadable": errors.SourceUnreadable("t", "r", sqlstate="42501", hint="h"),
    "TargetRefused": errors.TargetRefused("t", "r", sqlstate="40P01", hint="h"),
    "LedgerConflict": errors.LedgerConflict("m", hint="h"),
    "ClusterFailed": errors.ClusterFailed("m", hint="h"),
    "BudgetExceeded": errors.BudgetExceeded("m", hint="h"),
    "NotConserved": errors.NotConserved("m", hint="h"),
    "Interrupted": errors.Interrupted("m", hint="h"),
    "ServerError": errors.ServerError("m", hint="h"),
    "ComputationFailed": ComputationFailed("source", "22012"),
}


def kinds(kind: type[RowcallError]) -> Iterator[type[RowcallError]]:
    yield kind
    for more in kind.__subclasses__():
        yield from kinds(more)


def test_every_error_is_tried() -> None:
    assert {kind.__name__ for kind in kinds(RowcallError) if kind.__module__.startswith("rowcall")} == set(MADE)


@pytest.mark.parametrize("name", MADE)
def test_an_error_survives_pickling(name: str) -> None:
    before = MADE[name]
    after = pickle.loads(pickle.dumps(before))
    assert type(after) is type(before)
    assert vars(after) == vars(before)
    assert (str(after), after.args, after.exit_code) == (str(before), before.args, before.exit_code)
