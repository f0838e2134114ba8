"""Create a default parent where there is none, marked as such for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rowcall.errors import UsageError
from rowcall.ledger.repairs import Quarantined
from rowcall.plan.keys import bare
from rowcall.repair.remedy import COLUMN, PARENTLESS, Remedy, Setting
from rowcall.repair.use import Use
from rowcall.rows import Amendment

PER = ("row", "parent", "all")
UNKNOWN = "(unknown)"


class StubParent(Remedy):
    name = "stub_parent"
    does = "create a marked default parent, one per row, per missing parent, or one for all"
    codes = PARENTLESS
    finds_parents = True
    settings = (
        Setting(
            "per",
            "row (one for each row), parent (one for each parent that is not there) or all (one for all)",
            "parent",
        ),
        Setting("values", f"how its columns are filled; required texts that are not named here are {UNKNOWN}"),
        Setting("to", "the parent's entity, where the reference may lead to several"),
        COLUMN,
    )

    def amend(self, use: Use, rows: Sequence[Quarantined]) -> Iterator[Amendment]:
        per = use.settings["per"]
        if per not in PER:
            raise UsageError(f"stub_parent does not create parents per {per!r}", hint=f"write one of {', '.join(PER)}")
        whom = {row.key: _whom(per, row.key, use.rejection(row)) for row in rows}
        for key, uid in use.create(filled(use, use.settings.get("values") or {}), whom).items():
            yield Amendment(key, use.column, is_parent=True, parent_entity=use.parent, parent_id=uid)


def _whom(per: str, key: str, told: Mapping[str, Any] | None) -> str:
    if per == "all":
        return "all"
    if per == "parent" and told is not None and told["value"] is not None:
        return f"parent {told['hop']}:{told['value']}"
    return f"row {key}"


def filled(use: Use, values: Any) -> dict[str, Any]:
    """These values, and a text for each required text column that nothing else fills. Raises UsageError where they are no map."""
    if not isinstance(values, dict):
        raise UsageError(
            f"{values!r} does not say how columns are filled",
            hint="write it as a map, such as `--set values.name=Unknown`",
        )
    home = use.plan.mapping.entity(use.parent)
    table = use.plan.knowledge.target.tables[home.target]
    given = {home.id_column, *values}
    open_texts = (
        c.name
        for c in table.columns
        if c.not_null and not c.has_default and c.name not in given and bare(c.type).is_text
    )
    return dict.fromkeys(open_texts, UNKNOWN) | dict(values)
