"""Choose one of several parents that disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rowcall.errors import UsageError
from rowcall.ledger.repairs import Quarantined
from rowcall.repair.remedy import COLUMN, Remedy, Setting
from rowcall.repair.use import Use
from rowcall.rows import Amendment, Reason

BY = ("first", "latest", "majority", "each")


class PickParent(Remedy):
    name = "pick_parent"
    does = "choose among the parents: the first, the latest, that which most ways lead to, or one row for each"
    codes = frozenset({Reason.AMBIGUOUS_REFERENCE})
    finds_parents = True
    settings = (
        Setting(
            "by", "first (the lowest key), latest (the highest) or majority (what most rows on the way name)", "first"
        ),
        Setting(
            "order", "a column of the parent's source table by which first and latest are told, instead of its key"
        ),
        Setting(
            "values", "by each: columns that must differ in the further rows, such as a unique number of the old row"
        ),
        COLUMN,
    )

    def amend(self, use: Use, rows: Sequence[Quarantined]) -> Iterator[Amendment]:
        by = use.settings["by"]
        if by not in BY:
            raise UsageError(f"pick_parent has no way {by!r}", hint=f"write `--set by=` with one of {', '.join(BY)}")
        found, order = _ordered(use, [row.key for row in rows])
        for key, parents in found.items():
            if (chosen := _chosen(by, parents, order)) is not None:
                entity, parent = chosen
                yield Amendment(key, use.column, is_parent=True, parent_entity=entity, parent_key=parent)

    def extends(self, use: Use) -> bool:
        return bool(use.settings["by"] == "each")

    def extend(self, use: Use, home: Sequence[str]) -> None:
        """By each: the row itself has the first parent, and one more row is made for every other."""
        if not home:
            return
        found, order = _ordered(use, home)
        ways = {key: sorted(parents, key=lambda parent: order[parent]) for key, parents in found.items()}
        for number in range(2, max(map(len, ways.values()), default=0) + 1):
            parents = {key: way[number - 1] for key, way in ways.items() if len(way) >= number}
            if use.another(number, parents, use.settings.get("values") or {}) < len(parents):
                raise UsageError(
                    f"the target does not take a second row for some of these ({', '.join(use.creator.refused)})",
                    hint="let a unique column differ, such as `--set values.legacy_id=null`; nothing was changed",
                )


def _ordered(use: Use, keys: Sequence[str]) -> tuple[dict[str, Counter[tuple[str, str]]], dict[tuple[str, str], int]]:
    """The candidates of each row, and the place of every candidate."""
    found = use.candidates(keys)
    return found, use.ordered({p for parents in found.values() for p in parents}, use.settings.get("order"))


def _chosen(by: str, parents: Counter[tuple[str, str]], order: dict[tuple[str, str], int]) -> tuple[str, str] | None:
    """One of the candidates; None where as many rows name one as another."""
    if by == "majority":
        best = parents.most_common(2)
        return best[0][0] if len(best) == 1 or best[0][1] > best[1][1] else None
    return (max if by == "latest" else min)(parents, key=lambda parent: order[parent])
