"""Rows that no source row has: default parents and their like.

Each is made of a source row for which it is made, by the mapping's own language, judged and written as any row; the ledger
marks it as synthetic for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from rowcall.errors import UsageError
from rowcall.ledger.repairs import RepairBook
from rowcall.mapping.extra import read_derived
from rowcall.mapping.model import Entity
from rowcall.move.mend import Mender
from rowcall.plan.plan import Plan
from rowcall.postgres.catalog import ServerProbe
from rowcall.survey import literals_of, types_of


class Creator:
    """Of one repair. `created` counts its rows, `refused` those that could not be written, by code."""

    def __init__(self, repair: int, plan: Plan, mender: Mender, book: RepairBook, probe: ServerProbe) -> None:
        self.repair, self.plan, self.mender, self.book, self.probe = repair, plan, mender, book, probe
        self.created, self.refused, self.xids = 0, Counter[str](), set[int]()

    def create(
        self, child: Entity, column: str, parent: str, values: Mapping[str, Any], whom: Mapping[str, str]
    ) -> dict[str, UUID]:
        """key -> uuid of the row that was made for it; see Use.create."""
        home = self.plan.mapping.entity(parent)
        named = {key: f"{child.name}.{column} {text}" for key, text in whom.items()}
        ids = dict(self.book.rows("made_before", home.target, sorted(set(named.values()))))
        first: dict[str, str] = {}
        for key, text in named.items():
            if text not in ids:
                first.setdefault(text, key)
        if first:
            ids |= self._make(self._derived(child, column, home, values), child, parent, first)
        return {key: ids[text] for key, text in named.items() if text in ids}

    def _derived(self, child: Entity, column: str, home: Entity, values: Mapping[str, Any]) -> Entity:
        raw: dict[str, Any] = {"from": child.source, "to": home.target, "key": list(child.key), "id": home.id_column}
        raw |= {"identity": f"made.{child.identity}.{column}", "columns": {}, "references": {}}
        for name, value in values.items():
            if isinstance(value, dict) and ("path" in value or "paths" in value or "by_type" in value):
                raw["references"][name] = value
            else:
                raw["columns"][name] = value if isinstance(value, dict) else {"value": value}
        know = self.plan.knowledge
        found, wrong = read_derived(f"made_{home.name}", raw, self.plan.mapping, know.source, know.target, self.probe)
        if wrong or found is None:
            raise UsageError(
                f"it needs `values` for {home.target}: {'; '.join(wrong)}",
                hint="fill its columns by a setting, such as `--set values.name=Unknown`: docs/remedies/stub_parent.md",
            )
        return found

    def _make(self, derived: Entity, child: Entity, parent: str, first: Mapping[str, str]) -> dict[str, UUID]:
        know = self.plan.knowledge
        know = replace(
            know,
            types={**know.types, **types_of([derived], self.probe)},
            literals={**know.literals, **literals_of([derived], know.target, self.probe)},
        )
        made = self.mender.create(derived, know, list(first.values()))
        self.xids |= made.xids
        fates, ids = {f.key: f for f in made.fates}, dict[str, UUID]()
        for text, key in first.items():
            fate = fates.get(key)
            if fate is None or fate.target_id is None:
                self.refused[str(fate and fate.left_for)] += 1
                continue
            ids[text] = fate.target_id
            self.created += 1
            self.book.do(
                "add_synthetic", self.repair, parent, derived.target, derived.id_column, fate.target_id, child.name, key, text,
                fate.version,
            )  # fmt: skip
        return ids
