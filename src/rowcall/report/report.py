"""The failure analysis as one frozen, versioned document: `report --format json`. Every other form is drawn from it.

It holds counts, names, codes and evidence; never a row's values. Counts are integers of rows, rates fractions from 0
to 1, times ISO 8601 in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from rowcall.explain.analysis import Relations
from rowcall.explain.causes import Cause
from rowcall.explain.drift import Drift
from rowcall.ledger.book import EntitySums, Ledger, SnapshotRecord
from rowcall.ledger.catch_ups import Aside, CatchUpBook, CatchUpRecord
from rowcall.ledger.repairs import Decision, Purge, RepairBook, RepairRecord
from rowcall.ledger.status import read_status
from rowcall.plan.plan import Plan
from rowcall.rows import Counts, Disposition

SCHEMA_VERSION = 1
ATTRIBUTED = ("source_data", "relationship", "timing", "migration_logic", "target")
ANY_PATH = "one of these paths"


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
class Edge:
    """One way from an entity to a parent: the path as the mapping has it, and the rows that failed on it (those whose
    cause is at this reference). `to` is the parent entity."""

    entity: str
    column: str
    to: str
    path: str
    rejected: int | None = 0  # None: it is not known on which of several ways a row failed
    content_type: str | None = None


@dataclass(frozen=True)
class Flow:
    """The rows of `entity` that rows of (root_entity, root_code) keep back."""

    root_entity: str
    root_code: str
    entity: str
    rows: int


@dataclass(frozen=True)
class Progress:
    """How far a run is: source rows settled, of those expected; `eta` in seconds, None where nobody works on it."""

    settled: int
    expected: int
    rows_per_second: float | None = None
    eta: float | None = None


@dataclass(frozen=True)
class Share:
    """A part of the quarantined rows (of an attribution), as rows and as a fraction of all."""

    name: str
    rows: int
    share: float


@dataclass(frozen=True)
class Impact:
    """The sums of all entities with one impact label."""

    name: str
    counts: Counts
    open: int
    entities: tuple[str, ...]


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
    edges: tuple[Edge, ...] = ()
    flows: tuple[Flow, ...] = ()
    progress: Progress | None = None
    drifts: tuple[Drift, ...] = ()
    repairs: tuple[RepairRecord, ...] = ()  # those that were undone, too
    decisions: tuple[Decision, ...] = ()  # deferred rows first
    purges: tuple[Purge, ...] = ()
    repaired: Mapping[str, int] = field(default_factory=dict)  # entity -> rows that repairs brought home
    catch_ups: tuple[CatchUpRecord, ...] = ()
    kept: tuple[Aside, ...] = ()  # target rows that are not as the source has them
    gone: tuple[Aside, ...] = ()  # migrated rows that the source has no more

    @property
    def deferred(self) -> tuple[Decision, ...]:
        """Rows that wait for a later decision."""
        return tuple(d for d in self.decisions if d.disposition == Disposition.DEFERRED.value)

    @property
    def attributions(self) -> tuple[Share, ...]:
        """Whose fault the quarantined rows are, largest first; nobody's, where there are none."""
        rows = dict.fromkeys(ATTRIBUTED, 0) if self.causes else {}
        for cause in self.causes:
            rows[cause.attribution] = rows.get(cause.attribution, 0) + cause.rows
        total = sum(rows.values())
        return tuple(
            Share(name, n, n / total) for name, n in sorted(rows.items(), key=lambda item: (-item[1], item[0]))
        )

    @property
    def impacts(self) -> tuple[Impact, ...]:
        """The sums by the mapping's impact labels, in the order of the entities."""
        labels = dict.fromkeys(line.impact for line in self.entities)
        groups = {label: [line for line in self.entities if line.impact == label] for label in labels}
        return tuple(
            Impact(
                label, sum((line.counts for line in lines), Counts()), sum(line.open for line in lines),
                tuple(line.name for line in lines),
            )
            for label, lines in groups.items()
        )  # fmt: skip

    @property
    def priorities(self) -> tuple[Cause, ...]:
        """The causes about which something is to be decided, by the rows that one decision brings home: those with open rows
        of a defect of their own."""
        roots = [cause for cause in self.causes if cause.is_root and cause.open]
        return tuple(sorted(roots, key=lambda cause: (-cause.freed, cause.rows, cause.entity, cause.code)))

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
            "repairs": [repair.as_json() for repair in self.repairs],
            "decisions": [decision.as_json() for decision in self.decisions],
            "purges": [purge.as_json() for purge in self.purges],
            "catch_ups": [record.as_json() for record in self.catch_ups],
            "kept": [asdict(aside) for aside in self.kept],
            "gone": [asdict(aside) for aside in self.gone],
            "excluded": [{"entity": e, "rule": rule, "rows": n} for e, rule, n in self.excluded],
            "nulled_references": [{"entity": e, "column": c, "code": code, "rows": n} for e, c, code, n in self.nulled],
            "snapshots": [
                {"taken_at": _time(s.taken_at), "lsn": s.lsn, "lsn_is": "approximate", "note": s.note}
                for s in self.snapshots
            ],
            "not_mapped": {entity: list(columns) for entity, columns in self.not_mapped.items()},
            "edges": [asdict(edge) for edge in self.edges],
            "flows": [asdict(flow) for flow in self.flows],
            "progress": asdict(self.progress) if self.progress else None,
            "content_types": [asdict(drift) for drift in self.drifts],
            "attributions": [asdict(share) for share in self.attributions],
            "impacts": [
                {"name": i.name, **asdict(i.counts), "open": i.open, "entities": list(i.entities)} for i in self.impacts
            ],
            "priorities": [
                {"entity": c.entity, "code": c.code, "rows": c.rows, "freed": c.freed} for c in self.priorities
            ],
        }


def build_report(
    ledger: Ledger,
    causes: Sequence[Cause],
    plan: Plan,
    matched: bool | None,
    related: Relations,
    drifts: Sequence[Drift],
) -> Report:
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
    foreseen, book = (run.forecast or {}).get("entities", []), RepairBook(ledger.session)
    caught = CatchUpBook(ledger.session)
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
        tuple(_edges(plan, related)),
        tuple(Flow(*flow) for flow in related.flows),
        None if run.state == "complete" else _progress(ledger),
        tuple(drifts),
        tuple(book.repairs()),
        tuple(book.decisions()),
        tuple(book.purges()),
        book.repaired(),
        tuple(caught.records()),
        caught.kept(),
        caught.gone(),
    )


def _edges(plan: Plan, related: Relations) -> Iterator[Edge]:
    """Every way of every reference. On which of several ways a row failed is known only of those that a parent keeps back: the
    others count on a line of their own, to the parent that all ways have."""
    for entity in (judge.entity for step in plan.steps for judge in step.judges):
        for reference in entity.references:
            of = (entity.name, reference.column)
            astray, parents = related.edges.get((*of, None), 0), {route.to for route in reference.routes}
            for route in reference.routes:
                several = sum(other.to == route.to for other in reference.routes) > 1
                rows: int | None = related.edges.get((*of, route.to), 0)
                if several:
                    rows = None
                elif len(reference.routes) == 1:
                    rows = (rows or 0) + astray
                yield Edge(*of, route.to, ", ".join(map(str, route.path)), rows, route.content_type)
            if len(reference.routes) > 1:
                astray += sum(related.edges.get((*of, to), 0) for to in parents) if len(parents) == 1 else 0
                yield from (Edge(*of, to, ANY_PATH, astray) for to in parents if astray and len(parents) == 1)


def _progress(ledger: Ledger) -> Progress:
    status = read_status(ledger)
    return Progress(status.rows, status.expected, status.rows_per_second, status.eta)


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
