"""Accept the loss of the row, with a reason."""

from __future__ import annotations

from rowcall.repair.remedy import Remedy, Setting
from rowcall.rows import Disposition, Reason


class Accept(Remedy):
    name = "accept"
    does = "accept the loss, with a reason"
    codes = frozenset(Reason)
    settings = (Setting("reason", "why the loss is accepted, for the audit", required=True),)
    disposition = Disposition.ACCEPTED
