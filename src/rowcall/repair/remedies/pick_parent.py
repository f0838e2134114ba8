"""Choose one of several parents that disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rowcall.errors import UsageError
from rowcall.ledger.repairs import Quarantined
from rowcall.repair.remedy import COLUMN, Remedy, Setting
from rowcall.repair.use import Use
from rowcall.rows import Amendment, Reason

BY = ("first", "latest", "majority")


class PickParent(Remedy):
    name = "pick_parent"
    does = "choose among the parents: the first, the latest, or the one that most ways lead to"
    codes = frozenset({Reason.AMBIGUOUS_REFERENCE})
    settings = (
        Setting(
            "by", "first (the lowest key), latest (the highest) or majority (what most rows on the way name)", "first"
        ),
        Setting(
            "order", "a column of the parent's source table by which first and latest are told, instead of its key"
        ),
        COLUMN,
    )

    def amend(self, use: Use, rows: Sequence[Quarantined]) -> Iterator[Amendment]:
        by = use.settings["by"]
        if by not in BY:
            raise UsageError(f"pick_parent has no way {by!r}", hint=f"write `--set by=` with one of {', '.join(BY)}")
        found = use.candidates([row.key for row in rows])
        order = use.ordered({parent for parents in found.values() for parent in parents}, use.settings.get("order"))
        for key, parents in found.items():
            if (chosen := _chosen(by, parents, order)) is not None:
                entity, parent = chosen
                yield Amendment(key, use.column, is_parent=True, parent_entity=entity, parent_key=parent)


def _chosen(by: str, parents: Counter[tuple[str, str]], order: dict[tuple[str, str], int]) -> tuple[str, str] | None:
    """One of the candidates; None where as many rows name one as another."""
    if by == "majority":
        best = parents.most_common(2)
        return best[0][0] if len(best) == 1 or best[0][1] > best[1][1] else None
    return (min if by == "first" else max)(parents, key=lambda parent: order[parent])
