"""What a remedy is: a name, the causes that it fits, the settings that it takes, and what it puts into rows.

A remedy never writes. It says what a column of a row becomes (an Amendment); the belt reads the row again, judges it with that, and
writes it where it is sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rowcall.errors import UsageError
from rowcall.ledger.repairs import Quarantined
from rowcall.mapping.model import Entity
from rowcall.repair.creation import Creator
from rowcall.repair.use import Use
from rowcall.rows import Amendment, Disposition, Reason
from rowcall.schema import Column

PARENTLESS = frozenset(
    {
        Reason.NULL_REFERENCE, Reason.SENTINEL_REFERENCE, Reason.CYCLIC_PATH, Reason.DANGLING_REFERENCE, Reason.PARENT_EXCLUDED,
    }
)  # fmt: skip
REFERENCES = frozenset(r for r in Reason if r.order < Reason.AFTER_CUTOFF.order)
VALUES = frozenset(
    {
        Reason.MALFORMED_JSON, Reason.NOT_CONVERTIBLE, Reason.OUT_OF_RANGE, Reason.TOO_LONG, Reason.NOT_IN_ENUM,
        Reason.DUPLICATE_KEY, Reason.UNSTORABLE_TEXT,
    }
)  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """One setting of a remedy: `--set NAME=VALUE`, or a key of it in the project file."""

    name: str
    meaning: str
    default: Any = None
    required: bool = False


COLUMN = Setting("column", "the target column that is meant, where rows of the cause fail at several")


@dataclass(frozen=True)
class Place:
    """Where rows of a cause fail: at which target column (None: at none), whether it holds a reference, and whether nothing can be
    put in its place: where no other row was found that stands for these (`merge:`), and in one element of several (`each:`)."""

    code: Reason
    column: Column | None
    reference: bool = False
    fixed: bool = False
    there: bool = False  # whether its parents are rows that are in the target already


class Remedy:
    """The base of every remedy. One with a `disposition` decides about rows and leaves them where they are."""

    name: ClassVar[str]
    does: ClassVar[str]
    codes: ClassVar[frozenset[Reason]]
    settings: ClassVar[tuple[Setting, ...]] = (COLUMN,)
    disposition: ClassVar[Disposition | None] = None
    finds_parents: ClassVar[bool] = False  # whether it puts another row of an entity in the parent's place
    follows: ClassVar[bool] = False  # whether it takes the quarantined parents of its rows along

    def fits(self, place: Place, /) -> bool:
        """Whether the remedy can heal rows that fail there. Where something is fixed, a row can but follow its parents."""
        apt = self.disposition is not None or self.follows or not (place.fixed or (self.finds_parents and place.there))
        return place.code in self.codes and apt

    def amend(self, use: Use, rows: Sequence[Quarantined]) -> Iterator[Amendment]:
        """What becomes of these rows; nothing for those that it cannot heal."""
        raise NotImplementedError

    def keep(self, entity: Entity, settings: Mapping[str, Any], rows: Sequence[Quarantined], creator: Creator) -> None:
        """What a decision keeps of rows elsewhere."""

    def extends(self, use: Use, /) -> bool:  # noqa: ARG002
        """Whether something is to be made beside rows that come home."""
        return False

    def extend(self, use: Use, home: Sequence[str]) -> None:
        """What is to be made beside rows that came home."""

    def settled(self, given: Mapping[str, Any], *, whole: bool = True) -> dict[str, Any]:
        """These settings with the defaults of the others. Raises UsageError for one that the remedy does not have, or (`whole`)
        lacks."""
        known = {s.name for s in self.settings}
        if strange := sorted({key.split(".")[0] for key in given} - known):
            takes = ", ".join(s.name for s in self.settings) or "none"
            raise UsageError(f"{self.name} has no setting {strange[0]!r}", hint=f"it takes {takes}")
        for setting in self.settings:
            if whole and setting.required and given.get(setting.name) is None:
                raise UsageError(
                    f"{self.name} needs `{setting.name}`: {setting.meaning}",
                    hint=f"write `--set {setting.name}=...`, or see docs/remedies/{self.name}.md",
                )
        return {s.name: s.default for s in self.settings if s.default is not None} | dict(given)
