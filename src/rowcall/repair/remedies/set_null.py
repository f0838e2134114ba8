"""Leave the column empty."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rowcall.errors import UsageError
from rowcall.ledger.repairs import Quarantined
from rowcall.repair.remedy import REFERENCES, VALUES, Place, Remedy
from rowcall.repair.use import Use
from rowcall.rows import Amendment


class SetNull(Remedy):
    name = "set_null"
    does = "leave the column empty"
    codes = REFERENCES | VALUES

    def fits(self, place: Place) -> bool:
        return super().fits(place) and place.column is not None and not place.column.not_null

    def amend(self, use: Use, rows: Sequence[Quarantined]) -> Iterator[Amendment]:
        if use.target.not_null:
            raise UsageError(
                f"{use.entity.target}.{use.column} is NOT NULL", hint="see `rowcall remedies` for what fits"
            )
        reference = any(r.column == use.column for r in use.entity.references)
        for row in rows:
            yield Amendment(row.key, use.column, is_parent=reference)
