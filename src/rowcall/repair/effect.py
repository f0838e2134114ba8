"""What a repair did, or would do: a frozen value that prints as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rowcall.ledger.repairs import Fate, without_values


@dataclass(frozen=True)
class Request:
    """One use of a remedy that somebody asks for. `follow`: the victims behind the rows come home in the same repair; `keys`: these
    rows of the cause only (None: all)."""

    entity: str
    code: str
    remedy: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    follow: bool = False
    keys: tuple[str, ...] | None = None
    origin: str = "command"
    place: str = ""  # file:line:column, of one of the project file

    @property
    def cause(self) -> str:
        return f"{self.entity}/{self.code}"


@dataclass(frozen=True)
class Sample:
    """One row: what was seen, and what stands there now; masked unless the values were asked for. `fate`: "home", or the code
    for which it is left."""

    key: str = field(repr=False)
    column: str
    before: str | None = field(repr=False)
    after: str | None = field(repr=False)
    fate: str

    def as_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Effect:
    """`repair` is its number, None for a preview. `chosen`: rows of the cause; `amended`: those that the remedy had something for;
    `home`: entity -> rows that came home (or, by a decision, were `decided`); `victims`: entity -> rows that can follow them;
    `left`: code -> amended rows that something else keeps back; `changed`: rows that are no longer at the source as they were;
    `created`: synthetic rows, `idle` of them used by no row yet; `refused`: code -> rows that could not be created. `fates`:
    (entity, key) -> fate."""

    request: Request
    repair: int | None
    settings: Mapping[str, Any]
    chosen: int
    amended: int = 0
    home: Mapping[str, int] = field(default_factory=dict)
    victims: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[str, int] = field(default_factory=dict)
    decided: int = 0
    changed: int = 0
    created: int = 0
    idle: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    keys: tuple[str, ...] = field(default=(), repr=False)  # of the rows that were decided about
    fates: Mapping[tuple[str, str], Fate] = field(default_factory=dict, repr=False)

    @property
    def rows(self) -> int:
        """Rows that came home, of any entity."""
        return sum(self.home.values())

    @property
    def unhealed(self) -> int:
        """Rows of the cause for which the remedy had nothing."""
        return self.chosen - self.amended - self.changed

    def as_json(self) -> dict[str, Any]:
        return {
            "repair": self.repair,
            "entity": self.request.entity,
            "code": self.request.code,
            "remedy": self.request.remedy,
            "settings": without_values(self.settings),
            "chosen": self.chosen,
            "amended": self.amended,
            "home": dict(self.home),
            "rows": self.rows,
            "victims": dict(self.victims),
            "brings_home": self.rows + sum(self.victims.values()),
            "left": dict(self.left),
            "decided": self.decided,
            "unhealed": self.unhealed,
            "changed_at_source": self.changed,
            "created": self.created,
            "idle": self.idle,
            "refused": dict(self.refused),
            "samples": [sample.as_json() for sample in self.samples],
        }


def by_code(fates: Mapping[tuple[str, str], Fate]) -> dict[str, int]:
    return dict(Counter(f.left_for for f in fates.values() if f.left_for and not f.is_home).most_common())
