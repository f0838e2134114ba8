"""Settling a chunk: ONE transaction for target rows, the ledger's lines, the quarantine and the chunk's sums."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from rowcall.ledger.book import NULLED_REFERENCE, QUARANTINED_ROW, SETTLEMENT
from rowcall.move import encode
from rowcall.move.verdicts import Rejected, Verdicts, as_json, lines, settlement_rows
from rowcall.plan.judge import Judge
from rowcall.postgres.connect import Session
from rowcall.postgres.copy import Refusal, RowsRefused, copy_in
from rowcall.rows import Counts, Outcome, Reason
from rowcall.sql import ident, qualified

Payloads = Callable[[Sequence[str]], dict[str, str]]


WINDOW = 128  # rows to try behind a refused one


class RowsSwallowed(Exception):
    """A BEFORE trigger or a rule swallowed rows."""


@dataclass
class Chapter:
    """What a chunk adds to the ledger, collected while its rows stream into the target. `entity` and `chunk` are ids."""

    entity: int
    chunk: int
    judge: Judge
    counts: Counts = field(default_factory=Counts)
    settlements: list[memoryview] = field(default_factory=list)
    quarantined: list[Rejected] = field(default_factory=list)
    nulled: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    savepoints: bool = False  # whether rows were written under savepoints

    def add(self, verdicts: Verdicts) -> None:
        block, _ = settlement_rows(self.entity, self.chunk, verdicts)
        self.settlements.append(block)
        self.quarantined += verdicts.rejected
        self.nulled += verdicts.conceded()
        self.counts += verdicts.counts

    def add_refused(self, verdicts: Verdicts, refused: dict[int, Refusal]) -> None:
        """A batch of which the target refused some accepted rows (place among the accepted -> why)."""
        keys = verdicts.accepted_keys
        self.add(verdicts.without(refused))
        for place, refusal in refused.items():
            row = refused_row(self.judge.entity.name, keys[place], refusal)
            self.quarantined.append(row)
            self.settlements.append(self._line(row.key, row.cause))
        self.counts += Counts(len(refused), 0, len(refused), 0)

    def _line(self, key: str, cause: str) -> memoryview:
        return lines(
            self.entity,
            self.chunk,
            pa.array([key], pa.string()),
            pa.array([Outcome.QUARANTINED.value], pa.string()),
            pa.nulls(1, pa.binary()),
            pa.array([cause], pa.string()),
        )[0]

    def write(self, session: Session, payloads: Payloads) -> None:
        """The ledger's part, in the caller's transaction."""
        copy_in(session, "rowcall.settlement", SETTLEMENT, self.settlements)
        if self.quarantined:
            found = payloads([r.key for r in self.quarantined])
            copy_in(session, "rowcall.quarantined_row", QUARANTINED_ROW, [self._quarantine(found)])
        if self.nulled:
            copy_in(session, "rowcall.nulled_reference", NULLED_REFERENCE, [self._nulled()])

    def _quarantine(self, payloads: dict[str, str]) -> memoryview:
        rows, count = self.quarantined, len(self.quarantined)
        columns = [
            _number(self.entity, count, "int2"),
            _text(r.key for r in rows),
            encode.payload(pa.array([payloads.get(r.key) for r in rows], pa.string()), "jsonb"),
            encode.payload(pa.array([as_json(r.rejections) for r in rows], pa.string()), "jsonb"),
            _text("open" for _ in rows),
            _text(r.root[0] for r in rows),
            _text(r.root[1] for r in rows),
            _text(r.parent[0] if r.parent else None for r in rows),
            _text(r.parent[1] if r.parent else None for r in rows),
            _number(self.chunk, count, "int4"),
        ]
        return encode.rows(columns, count)

    def _nulled(self) -> memoryview:
        rows, count = self.nulled, len(self.nulled)
        columns = [
            _number(self.entity, count, "int2"),
            _text(key for key, _ in rows),
            _text(link["column"] for _, link in rows),
            _text(link["code"] for _, link in rows),
            encode.payload(pa.array([link["hop"] for _, link in rows], pa.int32()), "int4"),
            _text(link["value"] for _, link in rows),
            _number(self.chunk, count, "int4"),
        ]
        return encode.rows(columns, count)


def refused_row(entity: str, key: str, refusal: Refusal) -> Rejected:
    rejection = {
        "code": Reason.REFUSED_BY_TARGET.value if refusal.sqlstate != "22021" else Reason.UNSTORABLE_TEXT.value,
        "column": refusal.column or None,
        "reference": None,
        "hop": None,
        "value": None,
        "evidence": refusal.evidence,
    }
    return Rejected(key, [rejection], (entity, key), None)


def stream(session: Session, table: str, judge: Judge, batches: Iterable[Verdicts], chapter: Chapter) -> None:
    """All batches in one COPY. Raises RowsRefused or RowsSwallowed: then settle the batches one by one, carefully."""

    def blocks() -> Iterator[memoryview]:
        for verdicts in batches:
            chapter.add(verdicts)
            if verdicts.accepted.num_rows:
                yield verdicts.rows(verdicts.accepted)

    if copy_in(session, table, [o.column for o in judge.outputs], blocks()) != chapter.counts.migrated:
        raise RowsSwallowed


def place_carefully(session: Session, table: str, verdicts: Verdicts, chapter: Chapter) -> None:
    """One batch, down to the single rows that the target refuses or swallows.

    A window moves over the rows: it narrows to where a COPY was refused (by the line that it names, else by half), and
    widens again behind. So a few bad rows cost little, and a batch of nothing but bad rows stays linear.
    """
    accepted, refused = verdicts.accepted, dict[int, Refusal]()
    columns = [o.column for o in verdicts.judge.outputs]
    at, window = 0, accepted.num_rows
    while at < accepted.num_rows:
        part = accepted.slice(at, window).combine_chunks()
        refusal = _try(session, table, columns, verdicts.rows(part), part.num_rows)
        if refusal is None:
            at, window = at + part.num_rows, 2 * part.num_rows
        elif part.num_rows == 1:
            refused[at] = refusal
            at, window = at + 1, WINDOW
        else:
            window = _sound_rows(refusal, part.num_rows)
    chapter.savepoints = True
    chapter.add_refused(verdicts, refused)


def _sound_rows(refusal: Refusal, rows: int) -> int:
    """How many rows to try next: those before the line that COPY names; without one (a deferred check) the first half."""
    if refusal.line is None or refusal.line > rows:
        return rows // 2
    return max(refusal.line - 1, 1)


def note_savepoints(session: Session, judge: Judge, entity: int, chunk: int | None = None) -> None:
    """Rows written under a savepoint bear its number and not the transaction's: undo must know them for ours, too. Of all the
    entity's chunks, or of one."""
    only = f"and s.chunk = {chunk}" if chunk is not None else ""
    session.execute(
        "update rowcall.chunk c set subxids = w.ids from (select s.chunk, array_agg(distinct t.xmin::text::bigint) as ids "
        f"from {qualified(judge.entity.target)} t join rowcall.settlement s on s.target_id = t.{ident(judge.entity.id_column)} "
        f"where s.entity = {entity} and s.outcome = 'migrated' {only} group by s.chunk) w where c.id = w.chunk"
    )


def _try(session: Session, table: str, columns: Sequence[str], block: memoryview, count: int) -> Refusal | None:
    """The rows in a savepoint of their own: None where all arrived."""
    try:
        with session.transaction():
            if copy_in(session, table, columns, [block]) != count:
                raise RowsSwallowed
    except RowsRefused as error:
        return error.refusal
    except RowsSwallowed:
        return Refusal("", "swallowed by a trigger or rule of the target")
    return None


def _text(values: Iterable[str | None]) -> Any:
    return encode.payload(pa.array(list(values), pa.string()), "text")


def _number(value: int, count: int, encoder: str) -> Any:
    return encode.payload(pa.repeat(pa.scalar(value), count), encoder)
