"""Decisions about quarantined rows that leave them where they are: archived, accepted, deferred. They need the target alone."""

from __future__ import annotations

from collections.abc import Mapping

from rowcall.errors import UsageError
from rowcall.ledger.book import EntityRecord, Ledger
from rowcall.ledger.repairs import Fate, RepairBook
from rowcall.repair.choice import choose, record_of
from rowcall.repair.effect import Effect, Request
from rowcall.repair.remedy import Remedy
from rowcall.rows import Disposition


def decide(ledger: Ledger, request: Request, remedy: Remedy, actor: str) -> Effect:
    """Decides about the open rows of a cause, in the caller's transaction. Raises UsageError where there are none."""
    book = RepairBook(ledger.session)
    settings = remedy.settled({**request.settings, **({"reason": request.reason} if request.reason else {})})
    record = record_of(ledger, request.entity)
    keys = choose(book, request, record, cause_only=True)
    repair, reason = book.next_id(), str(settings.get("reason") or "")
    book.add(
        repair, record.id, request.code, request.remedy, settings, request.origin, actor, reason,
        ledger.run().mapping_fingerprint, None,
    )  # fmt: skip
    decided = _decide(book, repair, remedy, record, keys, actor, reason)
    book.do("sums", len(keys), decided, decided, 0, repair)
    return Effect(request, repair, settings, len(keys), decided, decided=decided)


def _decide(
    book: RepairBook, repair: int, remedy: Remedy, record: EntityRecord, keys: list[str], actor: str, reason: str
) -> int:
    assert remedy.disposition is not None
    book.note(repair, record.id, [Fate(key) for key in keys])
    if remedy.disposition is Disposition.ARCHIVED:
        book.do("add_archive", repair, reason, record.id, keys)
    return book.dispose(record.id, keys, remedy.disposition.value, actor, reason)


def named(remedies: Mapping[str, Remedy], disposition: str) -> str:
    """The name of the remedy that decides so. Raises UsageError where none does."""
    known = {remedy.disposition.value: name for name, remedy in remedies.items() if remedy.disposition}
    if disposition not in known:
        raise UsageError(f"{disposition!r} is no decision", hint=f"write one of {', '.join(known)}")
    return known[disposition]
