"""Losses that are more likely a mistake than a wish: before them a later run changes nothing, and says so."""

from __future__ import annotations

from rowcall.errors import UsageError
from rowcall.ledger.catch_ups import CatchUpBook
from rowcall.plan.judge import Judge

MANY = 1_000  # rows: fewer are let go, even if they were all


def need_rows(book: CatchUpBook, judge: Judge, number: int) -> None:
    """A source that lost most of an entity's rows."""
    ((lost, of),) = book.rows("lost", entity=number)
    if lost >= MANY and 2 * lost > of:
        raise UsageError(
            f"{lost:,} of {of:,} rows of {judge.entity.name} are gone at the source, and `deleted: delete` would remove them",
            hint="nothing was changed; if the source is right, `rowcall run --restart` begins anew on it",
        )
