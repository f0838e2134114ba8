"""Decisions about quarantined rows that leave them where they are: archived, accepted, deferred. They need the target alone."""

from __future__ import annotations

from collections.abc import Mapping

from rowcall.errors import UsageError
from rowcall.ledger.book import EntityRecord
from rowcall.ledger.repairs import UNDECIDED, Fate, RepairBook
from rowcall.repair.choice import choose, record_of
from rowcall.repair.effect import Effect, Request
from rowcall.repair.remedy import Remedy
from rowcall.rows import Disposition


def decide(
    book: RepairBook, records: Mapping[str, EntityRecord], mapping: str, request: Request, remedy: Remedy, actor: str
) -> Effect:
    """Decides about the open rows of a cause, in the caller's transaction; `mapping` is the run's fingerprint. Raises UsageError
    where there are none."""
    settings = remedy.settled({**request.settings, **({"reason": request.reason} if request.reason else {})})
    record = record_of(records, request.entity)
    among = [d for d in UNDECIDED if remedy.disposition is None or d != remedy.disposition.value]
    keys = choose(book, request, record, cause_only=True, among=among)
    repair, reason = book.next_id(), str(settings.get("reason") or "")
    book.add(
        repair, record.id, request.code, request.remedy, settings, request.origin, actor, reason,
        mapping, None,
    )  # fmt: skip
    decided = _decide(book, repair, remedy, record, keys, actor, reason)
    book.sums(repair, len(keys), decided, decided, 0)
    return Effect(request, repair, settings, len(keys), decided, decided=decided, keys=tuple(keys))


def _decide(
    book: RepairBook, repair: int, remedy: Remedy, record: EntityRecord, keys: list[str], actor: str, reason: str
) -> int:
    assert remedy.disposition is not None
    book.note(repair, record.id, [Fate(key) for key in keys])
    if remedy.disposition is Disposition.ARCHIVED:
        if purged := book.purged_among(record.id, keys):
            raise UsageError(
                f"what {purged:,} of these rows held was purged: nothing is left to archive", hint="accept them"
            )
        book.archive(repair, record.id, keys, reason)
    return book.dispose(record.id, keys, remedy.disposition.value, actor, reason)


def named(remedies: Mapping[str, Remedy], disposition: str) -> str:
    """The name of the remedy that decides so. Raises UsageError where none does."""
    known = {remedy.disposition.value: name for name, remedy in remedies.items() if remedy.disposition}
    if disposition not in known:
        raise UsageError(f"{disposition!r} is no decision", hint=f"write one of {', '.join(known)}")
    return known[disposition]
