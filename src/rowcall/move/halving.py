"""Doing the same to many rows: in one statement, by halving where the target refuses some, down to these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from rowcall.move.settle import SWALLOWED
from rowcall.postgres.connect import Session
from rowcall.postgres.copy import Refusal, RowsRefused

T = TypeVar("T")


def by_halves(session: Session, rows: Sequence[T], attempt: Callable[[list[T]], int]) -> dict[T, Refusal]:
    """The rows that are refused, each with why. `attempt` does it to some and says to how many; it may raise RowsRefused."""
    if not rows:
        return {}
    try:
        with session.transaction():
            if attempt(list(rows)) != len(rows):
                raise RowsRefused(SWALLOWED)
            return {}
    except RowsRefused as error:
        if len(rows) == 1:
            return {rows[0]: error.refusal}
    middle = len(rows) // 2
    return by_halves(session, rows[:middle], attempt) | by_halves(session, rows[middle:], attempt)
