"""Settling a chunk: ONE transaction for target rows, the ledger's lines, the quarantine and the chunk's sums."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rowcall.errors import SourceUnreadable, TargetRefused
from rowcall.ledger.book import (
    MERGED_ROW,
    NULLED_REFERENCE,
    QUARANTINED_ROW,
    SETTLEMENT,
    ChunkRecord,
    partition,
)
from rowcall.move import encode
from rowcall.move.assignment import Assignment
from rowcall.move.reading import payloads
from rowcall.move.verdicts import Verdicts, lines, one, rejected_rows, settlement_rows
from rowcall.plan.judge import out_name
from rowcall.postgres.connect import Session
from rowcall.postgres.copy import Refusal, RowsRefused, copy_in
from rowcall.postgres.read import Reader
from rowcall.rows import Counts, Outcome, Reason
from rowcall.sql import ident, literal, qualified

WINDOW = 128  # rows to try behind a refused one that COPY named
SWALLOWED = Refusal("", "swallowed by a trigger or rule of the target")
REKEYED = Refusal("", "a trigger changed its id")
UNSTORABLE = frozenset({"22021", "22P05"})  # character not in repertoire, untranslatable character


@dataclass
class Chapter:
    """What a chunk adds to the ledger, collected while its rows stream into the target."""

    work: Assignment
    chunk: ChunkRecord
    counts: Counts = field(default_factory=Counts)
    settlements: list[memoryview] = field(default_factory=list)
    quarantined: list[Any] = field(default_factory=list)  # tables of verdicts.REJECTED
    nulled: list[memoryview] = field(default_factory=list)
    merged: list[Any] = field(default_factory=list)  # tables of verdicts.MERGED_ROWS
    savepoints: bool = False  # whether rows were written under savepoints

    def add(self, verdicts: Verdicts) -> None:
        self.settlements += settlement_rows(self.work.entity, self.chunk.id, verdicts)
        self.quarantine(verdicts.rejected)
        self.merge(verdicts.merged)
        if conceded := list(verdicts.conceded()):
            self.nulled.append(self.links(conceded))
        self.counts += verdicts.counts

    def add_refused(self, verdicts: Verdicts, refused: dict[int, Refusal]) -> None:
        """A batch of which the target refused some accepted rows (place among the accepted -> why)."""
        keys = verdicts.accepted_keys
        self.add(verdicts.without(refused))
        if refused:
            rows = refused_rows(self.chunk.entity, [keys[place] for place in refused], list(refused.values()))
            self.quarantine(rows)
            self.settlements.append(
                lines(self.work.entity, self.chunk.id, rows["key"], Outcome.QUARANTINED, causes=rows["code"])
            )
        self.counts += Counts(len(refused), 0, len(refused), 0)

    def told(self, refusal: Refusal) -> dict[str, Any]:
        """What the target refused, as one of a row's rejections."""
        return refusal_rejection(refusal)

    def quarantine(self, rows: Any) -> None:
        if rows.num_rows:
            self.quarantined.append(rows)

    def merge(self, rows: Any) -> None:
        if rows.num_rows:
            self.merged.append(rows)

    def write(self, session: Session, reader: Reader) -> None:
        """The ledger's part, in the caller's transaction. The source's reader fetches the quarantined rows' payloads."""
        try:
            copy_in(session, f"rowcall.{partition(self.work.entity)}", SETTLEMENT, self.settlements)
            self.write_quarantine(session, reader)
            if self.nulled:
                copy_in(session, "rowcall.nulled_reference", NULLED_REFERENCE, self.nulled)
            self.write_merged(session)
        except RowsRefused as error:
            raise self._unbookable(error.refusal) from None

    def write_merged(self, session: Session) -> None:
        if self.merged:
            copy_in(session, "rowcall.merged_row", MERGED_ROW, map(self._merged, self.merged))

    def _merged(self, rows: Any) -> memoryview:
        texts = [encode.payload(one(rows[name]), "text") for name in ("k", "merged_entity", "merged_key", "named")]
        count = rows.num_rows
        columns = [_number(self.work.entity, count, "int2"), *texts, _number(self.chunk.id, count, "int4")]
        return encode.rows(columns, count)

    def write_quarantine(self, session: Session, reader: Reader, table: str = "rowcall.quarantined_row") -> None:
        if self.quarantined:
            copy_in(session, table, QUARANTINED_ROW, self._quarantine(reader))

    def _unbookable(self, refusal: Refusal) -> Exception:
        """Why the ledger itself does not take the chunk's lines."""
        source = self.work.judge.entity.source
        if refusal.sqlstate == "23505":
            return key_twice(source)
        return TargetRefused(
            "rowcall's ledger", f"does not take what is to be booked of {source}", sqlstate=refusal.sqlstate,
            hint="see the log of the target's server, then run again",
        )  # fmt: skip

    def _quarantine(self, reader: Reader) -> Iterator[memoryview]:
        """Batch by batch as the payloads come, so that a chunk of wide rows need not fit into memory."""
        rows = pa.concat_tables(self.quarantined).combine_chunks()
        keys, within = rows["key"].combine_chunks(), self.chunk.span.within(self.work.judge.key)
        found = np.zeros(len(keys), bool)
        for batch in payloads(reader, self.work.judge, self.work.columns, keys.to_pylist(), within):
            places = pc.index_in(batch["k"], value_set=keys)
            found[pc.drop_null(places).to_numpy()] = True
            yield self._quarantined(rows.take(pc.drop_null(places)), batch["payload"].filter(pc.is_valid(places)))
        rest = rows.filter(pa.array(~found))
        yield self._quarantined(rest, pa.nulls(rest.num_rows, pa.string()))

    def _quarantined(self, rows: Any, payloads: Any) -> memoryview:
        count = rows.num_rows
        texts = {name: encode.payload(one(rows[name]), "text") for name in rows.column_names if name != "hop"}
        columns = [
            _number(self.work.entity, count, "int2"),
            texts["key"],
            encode.payload(payloads, "jsonb"),
            encode.payload(one(rows["rejections"]), "jsonb"),
            encode.constant(b"open", count),
            *(texts[name] for name in ("root_entity", "root_key", "parent_entity", "parent_key")),
            _number(self.chunk.id, count, "int4"),
        ]
        return encode.rows(columns, count)

    def links(self, rows: Sequence[tuple[str, dict[str, Any]]]) -> memoryview:
        count = len(rows)
        columns = [
            _number(self.work.entity, count, "int2"),
            _text(key for key, _ in rows),
            _text(link["column"] for _, link in rows),
            _text(link["code"] for _, link in rows),
            encode.payload(pa.array([link["hop"] for _, link in rows], pa.int32()), "int4"),
            _text(link["value"] for _, link in rows),
            _number(self.chunk.id, count, "int4"),
        ]
        return encode.rows(columns, count)


def key_twice(source: str) -> SourceUnreadable:
    return SourceUnreadable(
        source, "a key comes twice: it is not unique in what the source returns", sqlstate="23505",
        hint="tables that inherit from this one? Make each a source of its own, over a view of ONLY its rows; "
        "or choose a key that is unique",
    )  # fmt: skip


def refused_rows(entity: str, keys: Sequence[str], refusals: Sequence[Refusal]) -> Any:
    """Rows that the target refused, each with why: a table of verdicts.REJECTED."""
    return rejected_rows([_refused(entity, key, refusal) for key, refusal in zip(keys, refusals, strict=True)])


def _refused(entity: str, key: str, refusal: Refusal) -> dict[str, Any]:
    rejection = refusal_rejection(refusal)
    rejections = json.dumps([rejection], ensure_ascii=False)
    return rejection | {"key": key, "root_entity": entity, "root_key": key, "rejections": rejections}


def refusal_rejection(refusal: Refusal) -> dict[str, Any]:
    """A refusal as one of a row's rejections."""
    return {
        "code": (Reason.UNSTORABLE_TEXT if refusal.sqlstate in UNSTORABLE else Reason.REFUSED_BY_TARGET).value,
        "column": refusal.column or None,
        "reference": None,
        "hop": None,
        "value": None,
        "evidence": refusal.evidence,
    }


def stream(session: Session, batches: Iterable[Verdicts], chapter: Chapter) -> None:
    """All batches in one COPY. Raises RowsRefused, also for swallowed rows: then settle the batches one by one, carefully."""

    def blocks() -> Iterator[memoryview]:
        for verdicts in batches:
            chapter.add(verdicts)
            block = verdicts.block()
            del verdicts
            yield block
            del block

    judge = chapter.work.judge
    if copy_in(session, judge.entity.target, [o.column for o in judge.outputs], blocks()) != chapter.counts.migrated:
        raise RowsRefused(SWALLOWED)


def place_carefully(session: Session, verdicts: Verdicts, chapter: Chapter) -> None:
    """One batch, down to the single rows that the target refuses or swallows.

    A window moves over the rows: it narrows to where a COPY was refused (by the line that it names, else by half), and
    widens again behind. So a few bad rows cost little, and a batch of nothing but bad rows stays linear.
    """
    accepted, refused = verdicts.accepted, dict[int, Refusal]()
    at, window = 0, accepted.num_rows
    while at < accepted.num_rows:
        part = accepted.slice(at, window).combine_chunks()
        refusal = _try(session, chapter.work, verdicts.rows(part), part)
        if refusal is None:
            at, window = at + part.num_rows, 2 * part.num_rows
        elif part.num_rows == 1:
            refused[at] = refusal
            # Where no line is named, every bad row behind would have to be halved out of a wide window again.
            at, window = at + 1, WINDOW if refusal.line else 1
        else:
            window = _sound_rows(refusal, part.num_rows)
    chapter.savepoints = True
    chapter.add_refused(verdicts, refused)


def _sound_rows(refusal: Refusal, rows: int) -> int:
    """How many rows to try next: those before the line that COPY names; without one (a deferred check) the first half."""
    if refusal.line is None or refusal.line > rows:
        return rows // 2
    return max(refusal.line - 1, 1)


def _try(session: Session, work: Assignment, block: memoryview, part: Any) -> Refusal | None:
    """The rows in a savepoint of their own: None where all arrived, under their ids."""
    columns = [o.column for o in work.judge.outputs]
    try:
        with session.transaction():
            if copy_in(session, work.table.qualified, columns, [block]) != part.num_rows:
                raise RowsRefused(SWALLOWED)
            if work.table.triggers and _present(session, work, part) != part.num_rows:
                raise RowsRefused(REKEYED)
    except RowsRefused as error:
        return error.refusal
    return None


def _present(session: Session, work: Assignment, part: Any) -> int:
    """How many of these rows' ids the target holds."""
    column = work.judge.entity.id_column
    ids = ",".join(str(UUID(bytes=value)) for value in part[out_name(column)].to_pylist())
    among = f"{ident(column)} = any({literal('{' + ids + '}')}::uuid[])"
    return int(session.value(f"select count(*) from {qualified(work.table.qualified)} where {among}"))


def all_arrived(session: Session, work: Assignment, chunk: int) -> bool:
    """Whether every migrated line of a chunk has its row in the target: a trigger may have changed an id."""
    return not session.value(  # counted: see takeback._depends
        f"select count(*) from rowcall.settlement s where s.chunk = {chunk} and s.outcome = 'migrated' and not exists "
        f"(select from {qualified(work.table.qualified)} t where t.{ident(work.judge.entity.id_column)} = s.target_id)"
    )


def _text(values: Iterable[str | None]) -> encode.Column:
    return encode.payload(pa.array(list(values), pa.string()), "text")


def _number(value: int, count: int, encoder: str) -> encode.Column:
    return encode.payload(pa.repeat(pa.scalar(value), count), encoder)
