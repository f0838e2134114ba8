"""Which rows a repair or a decision is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rowcall.errors import NothingWaits, UsageError
from rowcall.ledger.book import EntityRecord
from rowcall.ledger.repairs import UNDECIDED, RepairBook
from rowcall.repair.effect import Request


def record_of(records: Mapping[str, EntityRecord], entity: str) -> EntityRecord:
    """Raises UsageError where the run has no such entity."""
    if entity not in records:
        raise UsageError(f"the run has no entity {entity!r}", hint=f"it has {', '.join(records)}")
    return records[entity]


def _some(keys: set[str]) -> str:
    """Some of them, where they are numbers: a text may be a person's name."""
    numbers = sorted((key for key in keys if key.isdigit()), key=int)[:5]
    return ", ".join([*numbers, *([f"{len(keys) - len(numbers)} more"] if len(keys) > len(numbers) else [])])


def choose(
    book: RepairBook,
    request: Request,
    record: EntityRecord,
    *,
    cause_only: bool = False,
    among: Sequence[str] = UNDECIDED,
) -> list[str]:
    """Keys of rows with this defect that wait for a decision; `cause_only`: whose first defect it is. Raises UsageError where
    there are none, or where keys that were asked for are none of them."""
    keys = book.choose(record.id, request.code, cause_only=cause_only, among=among)
    if request.keys is not None:
        if strange := set(request.keys) - set(keys):
            raise UsageError(
                f"keys that are no rows of {request.cause} which wait for a decision: {_some(strange)}",
                hint="`rowcall report --format csv` lists the rows of a cause; nothing was changed",
            )
        wanted = set(request.keys)
        keys = [key for key in keys if key in wanted]
    if not keys:
        raise NothingWaits(
            f"no row of {request.cause} waits for a decision", hint="`rowcall remedies` lists the causes that do"
        )
    return keys
