"""The ledger: the run's book in the target database. Success is computed from its lines, never from "no exception"."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.resources import files
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

from rowcall.errors import Interrupted, LedgerConflict
from rowcall.plan.chunks import Span
from rowcall.postgres.connect import Session
from rowcall.postgres.errors import DriverError
from rowcall.postgres.queries import named_queries
from rowcall.rows import Counts

LOCK_PATIENCE = 20.0  # seconds; the server of a killed run needs a moment to notice

SETTLEMENT = ("entity", "source_key", "outcome", "target_id", "cause", "chunk", "row_hash")
QUARANTINED_ROW = (
    "entity", "source_key", "payload", "rejections", "disposition",
    "root_entity", "root_key", "parent_entity", "parent_key", "chunk",
)  # fmt: skip
DUPLICATE = ("entity", "source_key", "columns")
MERGED_ROW = ("entity", "source_key", "into_entity", "into_key", "named", "chunk")
NULLED_REFERENCE = ("entity", "source_key", "target_column", "code", "hop", "value", "chunk")


@dataclass(frozen=True)
class RunRecord:
    id: UUID
    state: str
    project: str
    mapping_fingerprint: str
    started_at: datetime
    finished_at: datetime | None
    forecast: dict[str, Any] | None
    verification: dict[str, Any] | None


@dataclass(frozen=True)
class EntityRecord:
    id: int
    name: str
    target_table: str
    id_column: str
    impact: str
    step: int
    rows_expected: int | None
    occupied: bool
    source_table: str
    identity: str
    together: bool  # settled in one transaction with the entities of its step
    rows_counted: bool = False  # whether rows_expected is a count, no estimate


@dataclass(frozen=True)
class ChunkRecord:
    """A part of an entity's rows: the unit of work, of commit and of retry."""

    id: int
    entity: str
    span: Span
    state: str
    epoch: int
    snapshot: int | None


@dataclass(frozen=True)
class SnapshotRecord:
    id: int
    taken_at: datetime
    lsn: str | None
    visible: str
    note: str | None


@dataclass(frozen=True)
class EntitySums:
    name: str
    impact: str
    expected: int | None
    counted: bool  # whether `expected` is a count, no estimate
    counts: Counts
    open: int
    seconds: float
    rows_read: int
    chunks: int
    chunks_settled: int

    @property
    def total(self) -> int:
        """The rows that there are, as far as it is known: an estimate may fall short of what was read already."""
        return max(self.expected or 0, self.rows_read)


class Ledger:
    """Speaks to the schema `rowcall` over one target session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._sql = named_queries("rowcall.ledger", "queries.sql")

    def _rows(self, name: str, *params: Any) -> list[tuple[Any, ...]]:
        return self.session.rows(self._sql[name], params or None)

    def _do(self, name: str, *params: Any) -> int:
        return self.session.execute(self._sql[name], params or None)

    # -- the run ----------------------------------------------------------------------------------------------------

    def exists(self) -> bool:
        return bool(self._rows("exists")[0][0])

    def lock(self, notify: Callable[[str], None]) -> None:
        """One writing command at a time. Raises LedgerConflict where another one holds the ledger."""
        until = time.monotonic() + LOCK_PATIENCE
        told = False
        while not self._rows("lock")[0][0]:
            if time.monotonic() > until:
                raise LedgerConflict("another rowcall command works on this target", hint="wait for it, or end it")
            if not told and time.monotonic() > until - LOCK_PATIENCE + 1:
                notify(f"another rowcall command works on this target: waiting up to {LOCK_PATIENCE:.0f} s for it")
                told = True
            time.sleep(0.2)

    def create(self, project: str, fingerprint: str, version: str, forecast: dict[str, Any] | None) -> None:
        """Makes the schema and the run's line, in the caller's transaction."""
        if self.session.value("select to_regnamespace('rowcall') is not null"):
            raise LedgerConflict(
                "the target has a schema rowcall that is not a ledger",
                hint="rename it: rowcall keeps its book under that name",
            )
        self.session.execute(files("rowcall.ledger").joinpath("schema.sql").read_text(encoding="utf-8"))
        self._do("begin", uuid4(), project, fingerprint, version, json.dumps(forecast) if forecast else None)

    def run(self) -> RunRecord:
        return RunRecord(*self._rows("run")[0])

    def set_state(self, state: str) -> None:
        self._do("set_state", state, state == "complete")

    def set_forecast(self, forecast: dict[str, Any] | None) -> None:
        """The newest forecast of this mapping, as long as the run is not complete."""
        if forecast is not None:
            self._do("set_forecast", json.dumps(forecast))

    def mapping(self) -> str | None:
        """The project file as the run's workers read it, without endpoints."""
        text: str | None = self._rows("mapping")[0][0]
        return text

    def set_mapping(self, text: str) -> None:
        self._do("set_mapping", text)

    def set_verification(self, result: dict[str, Any]) -> None:
        self.session.execute("update rowcall.run set verification = %s", [json.dumps(result)])

    def drop(self) -> None:
        """Removes the schema; refuses (as an error of the server) where somebody else's objects depend on it."""
        for view in ("settlements", "migration_mappings", "merged", "quarantine", "own_xids", "written"):
            self.session.execute(f"drop view if exists rowcall.{view}")  # an older version's ledger lacks some
        tables = (
            "edited_row",
            "gone_row",
            "kept_row",
            "caught_up",
            "catch_up",
            "proof",
            "taken_key",
            "purge",
            "archive",
            "synthetic_row",
            "repaired_row",
            "amendment",
            "repair",
            "nulled_reference",
            "merged_row",
            "duplicate",
            "quarantined_row",
            "settlement",
            "chunk",
            "entity",
            "snapshot",
            "run",
        )
        for table in tables:
            self.session.execute(f"drop table if exists rowcall.{table}")
        for kind in ("outcome", "disposition", "run_state", "chunk_state", "key_state", "repair_state"):
            self.session.execute(f"drop type if exists rowcall.{kind}")
        self.session.execute("drop schema rowcall")

    # -- entities, snapshots, chunks --------------------------------------------------------------------------------

    def note_matched(self, matched: bool) -> None:
        """That the run ended as its forecast said, or not."""
        self._do("note_matched", matched)

    def add_entity(self, r: EntityRecord) -> None:
        self._do(
            "add_entity", r.id, r.name, r.identity, r.source_table, r.target_table, r.id_column, r.impact, r.step,
            r.occupied, r.together,
        )  # fmt: skip
        self.session.execute(self._of_partition("add_partition", r.id))

    def _of_partition(self, name: str, entity: int) -> str:
        return self._sql[name].format(partition=partition(entity), entity=entity)

    def close(self, entity: int) -> None:
        """Builds the indexes of an entity's lines, once all are in. Raises the driver's error (23505) where a key has two."""
        self.session.execute(self._of_partition("close_chunk", entity))
        self.session.execute(self._of_partition("close_key", entity))
        self.session.execute(self._of_partition("close_partition", entity))

    def entities(self) -> list[EntityRecord]:
        return [EntityRecord(*row) for row in self._rows("entities")]

    def expect(self, entity: str, rows: int, *, counted: bool = True) -> None:
        self._do("expect", rows, counted, entity)

    def expect_read(self, entity: str) -> None:
        """Where every chunk of an entity is settled, its rows are counted."""
        self._do("expect_read", entity)

    def add_snapshot(self, taken_at: datetime, lsn: str | None, visible: str, note: str | None = None) -> int:
        return int(self._rows("add_snapshot", taken_at, lsn, visible, note)[0][0])

    def snapshots(self) -> list[SnapshotRecord]:
        return [SnapshotRecord(*row) for row in self._rows("snapshots")]

    def read_until(self) -> str:
        """txid_current_snapshot() of the last snapshot that was read."""
        return self.snapshots()[-1].visible

    def note_snapshot(self, snapshot: int, note: str) -> None:
        self._do("note_snapshot", note, snapshot)

    def digests(self, snapshot: int) -> dict[str, str]:
        """Path table -> digest of its content on a snapshot."""
        rows = self._rows("digests", snapshot)
        return dict(rows[0][0]) if rows else {}

    def set_digests(self, snapshot: int, digests: dict[str, str]) -> None:
        self._do("set_digests", json.dumps(digests), snapshot)

    def add_chunks(self, entity_id: int, first: int, spans: Iterable[Span]) -> int:
        """Adds chunks numbered from `first`; the next free number."""
        said = [_said(span) for span in spans]
        self._do("add_chunks", first, entity_id, json.dumps(said))
        return first + len(said)

    def drop_planned(self, entity_id: int) -> tuple[int, list[int]]:
        """Removes an entity's chunks by pages that are not settled: how many, and the numbers their rows may bear."""
        ((count, subxids),) = self._rows("drop_planned", entity_id)
        return count, subxids or []

    def keep_subxids(self, entity_id: int, subxids: Sequence[int]) -> None:
        self._do("keep_subxids", list(subxids), entity_id)

    def chunks(self, only: int | None = None) -> list[ChunkRecord]:
        """All chunks, or the one of this number."""
        return [
            ChunkRecord(i, e, Span(_key(lower), _key(upper), first, end, strays), state, epoch, snapshot)
            for i, e, lower, upper, first, end, strays, state, epoch, snapshot in self._rows("chunks", only, only)
        ]

    def whole(self, chunk: ChunkRecord) -> ChunkRecord:
        """The chunk with its strays, which are read when its turn comes: there may be many."""
        if not chunk.span.strays:
            return chunk
        return replace(chunk, span=replace(chunk.span, without=self._rows("without", chunk.id)[0][0]))

    def leased(self, number: int, epoch: int) -> tuple[ChunkRecord, Counts | None]:
        """A chunk under this lease, with its sums where it is settled. Raises LedgerConflict where the lease is another's."""
        found = self.chunks(number)
        if not found or found[0].epoch != epoch:
            raise LedgerConflict(f"chunk {number} was taken over by another run", hint="see `rowcall status`")
        sums = self._rows("chunk_sums", number)
        return found[0], Counts(sum(sums[0]), *sums[0]) if sums else None

    def renew(self, number: int) -> int:
        """A new lease on a chunk, unless it is settled; its lease then."""
        self._do("renew", number)
        return self.chunks(number)[0].epoch

    @contextmanager
    def holding(self, number: int, stopping: Callable[[], bool]) -> Iterator[None]:
        """No other worker settles the chunk meanwhile. Raises Interrupted where the run stops before it is free."""
        while not self._rows("hold_chunk", number)[0][0]:
            if stopping():
                raise Interrupted("interrupted")
            time.sleep(0.2)
        try:
            yield
        finally:
            with suppress(DriverError):  # a session that is lost holds nothing
                self._rows("release_chunk", number)

    def claim(self) -> None:
        self._do("claim")

    def settle(self, chunk: ChunkRecord, snapshot: int, counts: Counts, seconds: float) -> None:
        """The chunk's sums, fenced by its lease epoch. Raises LedgerConflict where another run took the chunk over."""
        done = self._do(
            "settle",
            snapshot,
            counts.source,
            counts.migrated,
            counts.quarantined,
            counts.excluded,
            seconds,
            chunk.id,
            chunk.epoch,
        )
        if done != 1:
            raise LedgerConflict(
                f"chunk {chunk.id} of {chunk.entity} was taken over by another run", hint="see `rowcall status`"
            )

    def forget_duplicates(self, entity: int) -> None:
        self._do("forget_duplicates", entity)

    def reopen(self, chunk: ChunkRecord) -> None:
        """Forgets a chunk's lines, so that its rows are judged again; the target rows are the caller's."""
        for what in ("forget_nulled", "forget_merged", "forget_quarantined", "forget_chunk", "reopen"):
            self._do(what, chunk.id)

    def quarantine_late(self, entity: int, chunk: int, keys: Sequence[str], cause: str) -> None:
        """The lines and sums of settled rows of a chunk that are quarantined after all, in the caller's transaction."""
        self._do("late_nulled", entity, list(keys))
        self._do("late_lines", cause, entity, list(keys))
        self._do("late_sums", len(keys), len(keys), chunk)

    # -- reading ----------------------------------------------------------------------------------------------------

    def sums(self, known: Mapping[str, Counts] = MappingProxyType({})) -> list[EntitySums]:
        """`known`: entities whose lines the caller has counted since they were closed."""
        ids = [e.id for e in self.entities() if e.name in known]
        return [
            EntitySums(
                n, impact, expected, counted, known.get(n) or Counts(m + q + x, m, q, x), o, s, read, chunks, done
            )
            for n, impact, expected, counted, m, q, x, o, s, read, chunks, done in self._rows("sums", ids)
        ]

    def rows_read(self, entity: str) -> int:
        """Source rows of an entity's settled chunks."""
        return int(self._rows("rows_read", entity)[0][0])

    def settled(self) -> bool:
        """Whether every entity has chunks, and all of them are settled."""
        return bool(self._rows("settled")[0][0])

    def migrated(self, entity: int) -> int:
        return int(self._rows("migrated", entity)[0][0])

    def excluded(self) -> list[tuple[str, str, int]]:
        return [(e, rule, n) for e, rule, n in self._rows("excluded")]

    def nulled(self) -> list[tuple[str, str, str, int]]:
        return [(e, column, code, n) for e, column, code, n in self._rows("nulled")]

    def quarantined_count(self) -> int:
        return int(self._rows("quarantined_count")[0][0])

    def settlement_of(self, entity: str, key: str) -> tuple[Any, ...] | None:
        """(outcome, target_id, cause, chunk) of one row, or None where it has no line."""
        return next(iter(self._rows("settlement_of", entity, key)), None)

    def quarantined_of(self, entity: str, key: str) -> tuple[Any, ...] | None:
        """(entity, key, rejections, disposition, root_entity, root_key, parent_entity, parent_key), or None."""
        return next(iter(self._rows("quarantined_of", entity, key)), None)


def partition(entity: int) -> str:
    """The table of an entity's lines, without its schema."""
    return f"settlement_{entity}"


def _said(span: Span) -> dict[str, Any]:
    """A span as the ledger takes it."""
    return {
        "lower": span.lower,
        "upper": span.upper,
        "first_page": span.first_page,
        "end_page": span.end_page,
        "without": span.without or None,
    }


def _key(values: Sequence[str] | None) -> tuple[str, ...] | None:
    return tuple(values) if values else None
