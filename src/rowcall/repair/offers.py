"""Which remedies fit the causes of a run, and how many rows each would bring home: by trying it, and taking it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rowcall.errors import UsageError
from rowcall.ledger.repairs import without_values
from rowcall.repair.choice import record_of
from rowcall.repair.effect import Effect, Request
from rowcall.repair.fitting import fitting
from rowcall.repair.planned import with_defaults
from rowcall.repair.repairer import Repairer


@dataclass(frozen=True)
class Offer:
    """A remedy for the rows of a cause that fail at one column (None: at none). `effect` is that of its trial, None where it was
    not tried: `needs` says what is missing then. A decision brings nothing home and is not tried."""

    entity: str
    code: str
    column: str | None
    rows: int
    remedy: str
    settings: Mapping[str, Any]
    effect: Effect | None
    needs: str = ""
    decides: bool = False

    @property
    def brings_home(self) -> int | None:
        """Rows, the victims that can follow included."""
        if self.decides:
            return 0
        return self.effect.rows + sum(self.effect.victims.values()) if self.effect else None

    def as_json(self) -> dict[str, Any]:
        return {
            "entity": self.entity,
            "code": self.code,
            "column": self.column,
            "rows": self.rows,
            "remedy": self.remedy,
            "settings": without_values(self.settings),
            "brings_home": self.brings_home,
            "of_the_cause": self.effect.home.get(self.entity, 0) if self.effect else None,
            "home": dict(self.effect.home) if self.effect else None,
            "victims": dict(self.effect.victims) if self.effect else None,
            "left": dict(self.effect.left) if self.effect else None,
            "needs": self.needs or None,
            "decides": self.decides,
        }


def offers(repairer: Repairer, entity: str | None = None, code: str | None = None) -> Iterator[Offer]:
    """Cause by cause in the order of the plan, the most telling remedy first; of one entity or cause, or of all."""
    if entity is not None:
        record_of(repairer.records, entity)
    for name, reason, rows, columns in repairer.book.rows("causes"):
        if entity in (None, name) and code in (None, reason):
            for column in columns:
                yield from _of(repairer, name, reason, rows, column, alone=len(columns) == 1)


def _of(repairer: Repairer, entity: str, code: str, rows: int, column: str | None, *, alone: bool) -> Iterator[Offer]:
    plan, cause = repairer.plan, f"{entity}/{code}"
    for name in fitting(repairer.remedies, plan, entity, code, [column]):
        remedy = repairer.remedies[name]
        settings = with_defaults(plan.mapping, cause, name, {})
        if not alone and any(s.name == "column" for s in remedy.settings):
            settings["column"] = column
        if remedy.disposition is not None:
            yield Offer(entity, code, column, rows, name, settings, None, decides=True)
            continue
        effect: Effect | None
        try:
            effect, needs = repairer.preview(Request(entity, code, name, settings)), ""
        except UsageError as error:
            effect, needs = None, error.message.partition(" needs ")[2] or error.message
        yield Offer(entity, code, column, effect.chosen if effect else rows, name, settings, effect, needs)
