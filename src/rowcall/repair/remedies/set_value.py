"""Put a fixed value there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rowcall.ledger.repairs import Quarantined
from rowcall.mapping.tree import as_text
from rowcall.repair.remedy import COLUMN, VALUES, Remedy, Setting
from rowcall.repair.use import Use
from rowcall.rows import Amendment, Reason


class SetValue(Remedy):
    name = "set_value"
    does = "put a fixed value there"
    codes = VALUES | {Reason.NULL_IN_REQUIRED}
    settings = (Setting("value", "the value, as the target reads it", required=True), COLUMN)

    def amend(self, use: Use, rows: Sequence[Quarantined]) -> Iterator[Amendment]:
        value = as_text(use.settings["value"])
        for row in rows:
            yield Amendment(row.key, use.column, value)
