"""Keep payload and rejections in the ledger's archive, and leave the row out of the target."""

from __future__ import annotations

from rowcall.repair.remedy import Remedy, Setting
from rowcall.rows import Disposition, Reason


class Archive(Remedy):
    name = "archive"
    does = "keep payload and rejections in an archive"
    codes = frozenset(Reason)
    settings = (Setting("reason", "why, for the audit"),)
    disposition = Disposition.ARCHIVED
