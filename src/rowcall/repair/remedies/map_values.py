"""Map what was seen to what the target knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rowcall.errors import UsageError
from rowcall.ledger.repairs import Quarantined
from rowcall.mapping.tree import as_text
from rowcall.repair.remedy import COLUMN, Remedy, Setting
from rowcall.repair.use import Use
from rowcall.rows import Amendment, Reason


class MapValues(Remedy):
    name = "map_values"
    does = "map what was seen to what the target knows"
    codes = frozenset({Reason.NOT_IN_ENUM, Reason.NOT_CONVERTIBLE})
    settings = (
        Setting("map", "what was seen -> what it becomes, such as `--set map.ACTIVE=active`", required=True),
        COLUMN,
    )

    def amend(self, use: Use, rows: Sequence[Quarantined]) -> Iterator[Amendment]:
        if not isinstance(use.settings["map"], dict):
            raise UsageError("`map` is no map", hint="write it as `--set map.SEEN=VALUE`, once for each value")
        known = {as_text(seen): as_text(value) for seen, value in use.settings["map"].items()}
        for row in rows:
            seen = use.seen(row)
            if seen in known:
                yield Amendment(row.key, use.column, known[seen])
