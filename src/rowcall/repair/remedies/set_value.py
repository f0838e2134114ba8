"""Put a fixed value there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rowcall.errors import UsageError
from rowcall.ledger.repairs import Quarantined
from rowcall.mapping.tree import as_text
from rowcall.repair.remedy import COLUMN, VALUES, Place, Remedy, Setting
from rowcall.repair.use import Use
from rowcall.rows import Amendment, Reason


class SetValue(Remedy):
    name = "set_value"
    does = "put a fixed value there"
    codes = VALUES | {Reason.NULL_IN_REQUIRED}
    settings = (Setting("value", "the value, as the target reads it", required=True), COLUMN)

    def fits(self, place: Place) -> bool:
        return super().fits(place) and not place.reference

    def amend(self, use: Use, rows: Sequence[Quarantined]) -> Iterator[Amendment]:
        if any(r.column == use.column for r in use.entity.references):
            raise UsageError(
                f"{use.entity.target}.{use.column} is a reference, which takes no fixed value",
                hint="link_parent links to another parent, set_null to none",
            )
        value = as_text(use.settings["value"])
        for row in rows:
            yield Amendment(row.key, use.column, value)
