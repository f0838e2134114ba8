"""Decide later: the row is no longer open, and the report lists it first."""

from __future__ import annotations

from rowcall.repair.remedy import Place, Remedy, Setting
from rowcall.rows import Disposition, Reason


class Defer(Remedy):
    name = "defer"
    does = "decide later; the report lists it first"
    codes = frozenset(Reason)
    settings = (Setting("reason", "why it has to wait, for the audit", required=True),)
    disposition = Disposition.DEFERRED

    def fits(self, _place: Place) -> bool:
        """It is always possible, and no way to heal anything: it is not offered."""
        return False
