"""The failure analysis as one frozen, versioned document: `report --format json`. Every other form is drawn from it.

It holds counts, names, codes and evidence; never a row's values. Counts are integers of rows, rates fractions from 0
to 1, times ISO 8601 in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from rowcall.explain.causes import Cause
from rowcall.ledger.book import EntitySums, Ledger, SnapshotRecord
from rowcall.plan.plan import Plan
from rowcall.rows import Counts

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class EntityLine:
    """One entity's sums. `expected` are the rows that the source held when the run began, where that is known;
    `seconds` are those of all its chunks together, None in a forecast."""

    name: str
    counts: Counts
    open: int
    impact: str = ""
    seconds: float | None = None
    rows_per_second: float | None = None
    expected: int | None = None

    @property
    def success_rate(self) -> float | None:
        """migrated / (source - excluded), None where that is 0."""
        meant = self.counts.source - self.counts.excluded
        return self.counts.migrated / meant if meant else None

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            **asdict(self.counts),
            "open": self.open,
            "success_rate": self.success_rate,
            "impact": self.impact,
            "seconds": self.seconds,
            "rows_per_second": self.rows_per_second,
            "expected": self.expected,
        }


@dataclass(frozen=True)
class RunLine:
    """The run's own line. The position in the write-ahead log belongs to about the moment of the snapshot."""

    id: str
    state: str
    project: str
    started_at: str
    finished_at: str | None
    source_snapshot_lsn: str | None
    mapping_fingerprint: str

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "source_snapshot_lsn_is": "approximate"}


@dataclass(frozen=True)
class Report:
    """`excluded`: (entity, rule, rows); `nulled`: (entity, column, code, rows), the references that the mapping let
    become NULL; `not_mapped`: entity -> source columns that the mapping names nowhere."""

    run: RunLine
    entities: tuple[EntityLine, ...]
    causes: tuple[Cause, ...]
    forecast: Mapping[str, Any] = field(default_factory=lambda: {"matched": None, "entities": []})
    verification: dict[str, Any] | None = None
    excluded: tuple[tuple[str, str, int], ...] = ()
    nulled: tuple[tuple[str, str, str, int], ...] = ()
    snapshots: tuple[SnapshotRecord, ...] = ()
    not_mapped: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def counts(self) -> Counts:
        return sum((line.counts for line in self.entities), Counts())

    @property
    def open(self) -> int:
        return sum(line.open for line in self.entities)

    @property
    def complete(self) -> bool:
        return self.run.state == "complete"

    @property
    def conserved(self) -> bool:
        return all(line.counts.conserved for line in self.entities)

    def as_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "run": self.run.as_json(),
            "totals": {**asdict(self.counts), "open": self.open},
            "entities": [line.as_json() for line in self.entities],
            "causes": [cause.as_json() for cause in self.causes],
            "forecast": dict(self.forecast),
            "verification": self.verification,
            "repairs": [],
            "excluded": [{"entity": e, "rule": rule, "rows": n} for e, rule, n in self.excluded],
            "nulled_references": [{"entity": e, "column": c, "code": code, "rows": n} for e, c, code, n in self.nulled],
            "snapshots": [
                {"taken_at": _time(s.taken_at), "lsn": s.lsn, "lsn_is": "approximate", "note": s.note}
                for s in self.snapshots
            ],
            "not_mapped": {entity: list(columns) for entity, columns in self.not_mapped.items()},
        }


def build_report(ledger: Ledger, causes: Sequence[Cause], plan: Plan, matched: bool | None) -> Report:
    """Reads a run's sums from the ledger; a run that is not over yields a report, too. `matched`: whether the forecast
    held (None: none was made); it counts once the run is complete."""
    run, snapshots = ledger.run(), tuple(ledger.snapshots())
    line = RunLine(
        str(run.id),
        run.state,
        run.project,
        _time(run.started_at),
        _time(run.finished_at) if run.finished_at else None,
        snapshots[-1].lsn if snapshots else None,
        run.mapping_fingerprint,
    )
    foreseen = (run.forecast or {}).get("entities", [])
    return Report(
        line,
        tuple(map(entity_line, ledger.sums())),
        tuple(causes),
        {"matched": matched if run.state == "complete" else None, "entities": foreseen},
        run.verification,
        tuple(ledger.excluded()),
        tuple(ledger.nulled()),
        snapshots,
        {e.name: columns for e in plan.mapping.entities if (columns := plan.unread_columns(e))},
    )


def entity_line(sums: EntitySums) -> EntityLine:
    rate = sums.rows_read / sums.seconds if sums.seconds else None
    return EntityLine(
        sums.name, sums.counts, sums.open, sums.impact, sums.seconds, rate, sums.expected if sums.counted else None
    )


def foreseen_line(name: str, counts: Counts) -> EntityLine:
    """An entity's sums in a forecast: every quarantined row is open."""
    return EntityLine(name, counts, counts.quarantined)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
