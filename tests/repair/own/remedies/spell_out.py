"""A project's own remedy: a level that is told in another way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rowcall.ledger.repairs import Quarantined
from rowcall.repair.remedy import COLUMN, Remedy, Setting
from rowcall.repair.use import Use
from rowcall.rows import Amendment, Reason


class SpellOut(Remedy):
    name = "spell_out"
    does = "read the level by its first letter"
    codes = frozenset({Reason.NOT_IN_ENUM})
    settings = (Setting("letter", "the first letter of what means gold", required=True), COLUMN)

    def amend(self, use: Use, rows: Sequence[Quarantined]) -> Iterator[Amendment]:
        for row in rows:
            if (use.seen(row) or "").startswith(str(use.settings["letter"])):
                yield Amendment(row.key, use.column, "gold")
