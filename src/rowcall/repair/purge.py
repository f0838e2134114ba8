"""Purge: after sign-off the quarantine forgets what rows held. Keys, causes and an audit line stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rowcall.errors import UsageError
from rowcall.ledger.repairs import RepairBook


@dataclass(frozen=True)
class Purged:
    """`rows` whose payload is gone; `repairs` that can no longer be undone."""

    rows: int
    repairs: int

    def as_json(self) -> dict[str, Any]:
        return dict(vars(self))


def purge(book: RepairBook, actor: str, reason: str) -> Purged:
    """Removes payloads, values seen and values given, in one transaction. Raises UsageError while rows are open."""
    with book.session.transaction():
        ((still_open,),) = book.rows("open")
        if still_open:
            raise UsageError(
                f"{still_open:,} rows are open in quarantine, and a purge is for good",
                hint="decide about them first, by `rowcall repair` or `rowcall dispose`",
            )
        rows = book.do("purge_rows")
        values = book.do("purge_values") + book.do("purge_nulled")
        repairs = book.do("purge_repairs")
        if rows or values:
            book.do("note_purge", actor, reason, rows)
    return Purged(rows, repairs)
