"""What verification found, as frozen values that print as JSON. Counts are rows; examples are keys, no other data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class AccountCheck:
    """One entity's accounts: do the source's keys, the ledger's lines and the target's ids agree?"""

    entity: str
    source: int
    migrated: int
    quarantined: int
    excluded: int
    missing_lines: int  # source keys without a line
    surplus_lines: int  # lines without a source key
    duplicates: int  # keys, lines or ids that occur more than once
    without_payload: int  # quarantined lines whose row the quarantine does not hold
    missing_in_target: int | None  # migrated lines whose id the target does not hold; None: not looked at
    foreign_in_target: int | None  # ids of the target that the ledger does not know
    occupied: bool = False  # the target held rows of others before the run: foreign ids are no error
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def conserved(self) -> bool:
        """Whether source = migrated + quarantined + excluded."""
        return self.source == self.migrated + self.quarantined + self.excluded

    @property
    def ok(self) -> bool:
        wrong = self.missing_lines or self.surplus_lines or self.duplicates or self.without_payload
        foreign = self.foreign_in_target and not self.occupied
        return self.conserved and not wrong and not self.missing_in_target and not foreign

    def as_json(self) -> dict[str, Any]:
        return _json(self)


@dataclass(frozen=True)
class ReferenceCheck:
    """One reference column: does every value lead to a row, and to the one that the source's path means?"""

    entity: str
    column: str
    checked: int  # migrated rows; of references in elements, elements of these; of a merge, merged rows
    nulls: int
    broken: int  # values that no row of the parents' target tables has
    wrong: int  # migrated rows whose value is not the one that the source's path leads to
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.broken and not self.wrong

    def as_json(self) -> dict[str, Any]:
        return _json(self)


@dataclass(frozen=True)
class Verification:
    """`source_moved`: transactions ran at the source since the run read it, so differences may be theirs (None:
    unknown). `values` is for the comparison of values, which is not made yet."""

    accounts: tuple[AccountCheck, ...]
    references: tuple[ReferenceCheck, ...]
    source_moved: bool | None = None
    values: None = None

    @property
    def ok(self) -> bool:
        return all(a.ok for a in self.accounts) and all(r.ok for r in self.references)

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "accounts": [a.as_json() for a in self.accounts],
            "references": [r.as_json() for r in self.references],
            "values": self.values,
            "source_moved": self.source_moved,
        }


def _json(check: AccountCheck | ReferenceCheck) -> dict[str, Any]:
    return {**asdict(check), "examples": {k: list(v) for k, v in check.examples.items()}, "ok": check.ok}
