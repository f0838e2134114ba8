"""Shorten the text to what the column holds; the original stays in the quarantine's payload."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rowcall.errors import UsageError
from rowcall.ledger.repairs import Quarantined
from rowcall.plan.keys import bare
from rowcall.repair.remedy import COLUMN, Remedy, Setting
from rowcall.repair.use import Use
from rowcall.rows import Amendment, Reason


class ClipText(Remedy):
    name = "clip_text"
    does = "shorten the text, and keep the original"
    codes = frozenset({Reason.TOO_LONG})
    settings = (Setting("mark", "what a shortened text ends with, such as an ellipsis; nothing by default", ""), COLUMN)

    def amend(self, use: Use, rows: Sequence[Quarantined]) -> Iterator[Amendment]:
        room, mark = bare(use.target.type).max_length, str(use.settings["mark"])
        if room is None or len(mark) >= room:
            raise UsageError(
                f"{use.entity.target}.{use.column} does not hold {'a mark of this length' if room else 'texts of a length'}",
                hint="see `rowcall remedies`",
            )
        for row in rows:
            if (seen := use.seen(row)) is not None and len(seen) > room:
                yield Amendment(row.key, use.column, seen[: room - len(mark)] + mark)
