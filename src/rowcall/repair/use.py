"""One use of a remedy, as the remedy sees it: the cause, the settings, and what it may ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from rowcall.errors import UsageError
from rowcall.ledger.repairs import Quarantined
from rowcall.mapping.model import ColumnRule, Entity, Reference
from rowcall.plan.keys import entity_key, need_column
from rowcall.plan.plan import Plan
from rowcall.postgres.read import Reader
from rowcall.repair.creation import Creator
from rowcall.repair.ways import Ways
from rowcall.rows import Amendment, Reason
from rowcall.schema import Column


@dataclass(frozen=True)
class Use:
    """`column` is the name of the target column that is meant; "" where the cause names none."""

    plan: Plan
    entity: Entity
    code: Reason
    column: str
    settings: Mapping[str, Any]
    source: Reader
    ways: Ways
    creator: Creator
    given: Mapping[str, Amendment] = field(default_factory=dict)  # key -> what an earlier repair put into this column

    @cached_property
    def target(self) -> Column:
        """The target column that is meant."""
        return need_column(self.plan.knowledge.target.tables[self.entity.target], self.column)

    @cached_property
    def reference(self) -> Reference:
        """The reference that is meant. Raises UsageError where the column is none."""
        found = next((r for r in self.entity.references if r.column == self.column), None)
        if found is None:
            raise UsageError(
                f"{self.entity.target}.{self.column} is no reference of {self.entity.name}",
                hint="see `rowcall remedies`",
            )
        return found

    @property
    def parent(self) -> str:
        """The one entity to which the reference leads. Raises UsageError where there are several: `to` names one then."""
        told = self.settings.get("to")
        found = list(dict.fromkeys(route.to for route in self.reference.routes))
        if told is None and len(found) > 1:
            raise UsageError(f"{self.column} leads to {' or '.join(found)}", hint="say which: `--set to=...`")
        if told is not None and told not in found:
            raise UsageError(f"{self.column} does not lead to {told!r}", hint=f"write one of {', '.join(found)}")
        return str(told or found[0])

    @property
    def rule(self) -> ColumnRule | None:
        return next((r for r in self.entity.columns if r.column == self.column), None)

    def rejection(self, row: Quarantined) -> dict[str, Any] | None:
        """The row's rejection that is meant: at this column, or at none that it names."""
        for told in row.rejections:
            if told["code"] == self.code.value and (told["reference"] or told["column"] or self.column) == self.column:
                return told
        return None

    def means(self, row: Quarantined) -> bool:
        """Whether the row has this defect at the column that is meant. A row that an earlier repair left for it has none yet."""
        return self.rejection(row) is not None or all(told["code"] != self.code.value for told in row.rejections)

    def seen(self, row: Quarantined) -> str | None:
        """The text that the column was to be made of: as it was read, or as an earlier repair amended it."""
        if (earlier := self.given.get(row.key)) is not None and earlier.value is not None:
            return earlier.value
        told = self.rejection(row)
        if told is not None and told["value"] is not None:
            return str(told["value"])
        source = self.rule.source if self.rule else None
        return row.payload.get(source) if row.payload and source else None

    def computed(self, expression: str, keys: Sequence[str]) -> dict[str, str | None]:
        """Key -> an SQL expression over the source's row, as text. Raises UsageError where the source does not take it."""
        self.ways.expression(self.entity, expression)
        key = entity_key(self.entity, self.plan.knowledge.source)
        found = self.source.table(
            f"select ({key.sql})::text as k, (({expression}\n))::text as v from {self.entity.relation()} "
            f"where {key.among(keys)}"
        )
        return dict(zip(found["k"].to_pylist(), found["v"].to_pylist(), strict=True))

    def parents(self, path: Any, keys: Sequence[str]) -> dict[str, list[str]]:
        """Key -> the keys of the parent's rows to which a path of the mapping's language leads, in their order."""
        return self.ways.walked(self.entity, self.parent, path, self.reference.sentinels, keys)

    def create(self, values: Mapping[str, Any], whom: Mapping[str, str]) -> dict[str, UUID]:
        """Creates rows of the parent's kind, one for each different text in `whom` (key -> for whom), or finds those that were
        made for the same before: key -> uuid. `values`: target column -> what it is filled with, from the first row that it
        is made for. Keys are missing where the target does not take the row."""
        return self.creator.create(self.entity, self.column, self.parent, values, whom)

    def another(self, number: int, parents: Mapping[str, tuple[str, str]], values: Mapping[str, Any]) -> int:
        """Makes one more row of the entity itself, marked as synthetic, for each of these: key -> its parent (entity, key); how
        many. `number` (from 2) tells rows of one source row apart, `values` fills columns that must differ."""
        return self.creator.another(self.entity, self.column, number, parents, values)

    def candidates(self, keys: Sequence[str]) -> dict[str, Counter[tuple[str, str]]]:
        """Key -> each parent (entity, key) that a way of the reference leads to, with how many rows on the way name it."""
        found: dict[str, Counter[tuple[str, str]]] = {}
        for route in self.reference.routes:
            for key, parents in self.ways.named(self.entity, self.reference, route, keys).items():
                found.setdefault(key, Counter()).update({(route.to, parent): n for parent, n in parents.items()})
        return found

    def ordered(self, parents: Collection[tuple[str, str]], column: str | None) -> dict[tuple[str, str], int]:
        """Parent -> its place: by its key, or by a column of its source table."""
        by_entity: dict[str, list[str]] = {}
        for entity, key in sorted(parents):
            by_entity.setdefault(entity, []).append(key)
        places: dict[tuple[str, str], int] = {}
        for entity, keys in by_entity.items():
            for key in self.ways.in_order(self.plan.mapping.entity(entity), keys, column):
                places[entity, key] = len(places)
        return places
