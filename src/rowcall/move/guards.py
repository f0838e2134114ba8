"""Losses that are more likely a mistake than a wish: before them a later run changes nothing, and says so."""

from __future__ import annotations

from collections.abc import Sequence

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


def lookups(judge: Judge) -> frozenset[str]:
    """The columns of an entity whose parents are rows that are in the target already."""
    return frozenset(r.column for r in judge.entity.references if any(route.there for route in r.routes))


def need_parents(book: CatchUpBook, judge: Judge, number: int, keys: Sequence[str]) -> None:
    """Rows of the target that most of an entity's rows find no more: these `keys` are of rows that fail there, or get NULL."""
    ((lost, of),) = book.rows("unled", list(keys), entity=number) if keys else [(0, 0)]
    if lost >= MANY and 2 * lost > of:
        raise UsageError(
            f"{lost:,} of {of:,} rows of {judge.entity.name} do not find their rows of the target any more "
            f"({', '.join(sorted(lookups(judge)))})",
            hint="nothing was changed; see what became of the column by which they are found, or let the source win: "
            "`rowcall run --overwrite`",
        )
