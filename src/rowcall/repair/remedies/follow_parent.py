"""Let victims come home after their roots: nothing is put into them, they are only judged again."""

from __future__ import annotations

from rowcall.repair.remedy import Remedy
from rowcall.rows import Reason


class FollowParent(Remedy):
    name = "follow_parent"
    does = "let the row come home after its root, and the victims between them, too"
    codes = frozenset({Reason.PARENT_QUARANTINED})
    settings = ()
    follows = True
