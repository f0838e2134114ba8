"""A row's chain: Batch -> Verdict -> Settlement, and why a row is rejected."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from uuid import UUID


class Outcome(str, Enum):
    """What became of a source row. The ledger's enum `rowcall.outcome` says the same; a test compares them."""

    MIGRATED = "migrated"  # a row in the target, with its uuid
    QUARANTINED = "quarantined"  # kept in the ledger with payload and rejections
    EXCLUDED = "excluded"  # a declared rule left it out


class Disposition(str, Enum):
    """What was decided of a quarantined row. The ledger's enum `rowcall.disposition` says the same."""

    OPEN = "open"
    REPAIRED = "repaired"
    ARCHIVED = "archived"
    ACCEPTED = "accepted"
    DEFERRED = "deferred"


class Reason(str, Enum):
    """The closed set of reason codes, in the order in which the first that applies is a row's cause."""

    NULL_REFERENCE = "null_reference"
    SENTINEL_REFERENCE = "sentinel_reference"
    UNKNOWN_TYPE = "unknown_type"
    CYCLIC_PATH = "cyclic_path"
    AMBIGUOUS_REFERENCE = "ambiguous_reference"
    DANGLING_REFERENCE = "dangling_reference"
    PARENT_EXCLUDED = "parent_excluded"
    PARENT_QUARANTINED = "parent_quarantined"
    AFTER_CUTOFF = "after_cutoff"
    NULL_IN_REQUIRED = "null_in_required"
    MALFORMED_JSON = "malformed_json"
    NOT_CONVERTIBLE = "not_convertible"
    OUT_OF_RANGE = "out_of_range"
    TOO_LONG = "too_long"
    NOT_IN_ENUM = "not_in_enum"
    DUPLICATE_KEY = "duplicate_key"
    RULE_FAILED = "rule_failed"
    UNSTORABLE_TEXT = "unstorable_text"
    REFUSED_BY_TARGET = "refused_by_target"
    EXPRESSION_FAILED = "expression_failed"

    @property
    def order(self) -> int:
        """Its place in the fixed order, from 0."""
        return _ORDER[self]

    @property
    def attribution(self) -> str:
        """Whose fault it is, as the contract assigns it: one of five words."""
        return _ATTRIBUTION.get(self, "source_data")


_ORDER = {reason: place for place, reason in enumerate(Reason)}
_ATTRIBUTION = {
    Reason.CYCLIC_PATH: "relationship",
    Reason.AMBIGUOUS_REFERENCE: "relationship",
    Reason.PARENT_QUARANTINED: "relationship",
    Reason.AFTER_CUTOFF: "timing",
    Reason.UNKNOWN_TYPE: "migration_logic",
    Reason.EXPRESSION_FAILED: "migration_logic",
    Reason.RULE_FAILED: "migration_logic",
    Reason.REFUSED_BY_TARGET: "target",
}


@dataclass(frozen=True)
class Rejection:
    """One fact against one row. `value` is the row's own data: it goes to the quarantine table and nowhere else."""

    code: Reason
    column: str | None = None
    reference: str | None = None
    hop: int | None = None
    value: str | None = None
    evidence: str | None = None

    def __repr__(self) -> str:  # no user data in reprs
        return f"Rejection({self.code.value}, column={self.column}, reference={self.reference}, hop={self.hop})"


@dataclass(frozen=True)
class Amendment:
    """What a repair puts into one target column of a row, in place of what the mapping makes of the source: a `value` as text,
    or (`is_parent`) the parent that it refers to: a row of the source by entity and key, or one that a repair created by its
    uuid. With nothing of these the column becomes NULL. It is the row's own data: no log, no repr."""

    key: str
    column: str
    value: str | None = None
    is_parent: bool = False
    parent_entity: str | None = None
    parent_key: str | None = None
    parent_id: UUID | None = None

    def __repr__(self) -> str:
        return f"Amendment(column={self.column})"


@dataclass(frozen=True)
class Counts:
    """The sums of a chunk, a step or a run, in source rows."""

    source: int = 0
    migrated: int = 0
    quarantined: int = 0
    excluded: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.source + other.source,
            self.migrated + other.migrated,
            self.quarantined + other.quarantined,
            self.excluded + other.excluded,
        )

    def unrepaired(self, rows: int, merged: int = 0) -> Counts:
        """The same before repairs brought so many rows home, `merged` of them in rows that stand for them."""
        migrated, excluded = self.migrated - (rows - merged), self.excluded - merged
        return Counts(self.source, migrated, self.quarantined + rows, excluded)

    @property
    def conserved(self) -> bool:
        """Whether source = migrated + quarantined + excluded."""
        return self.source == self.migrated + self.quarantined + self.excluded
