"""Rows that a key, put back after the load, does not take: named by a query, and quarantined after all.

Of rows that share a unique value one stays: a row that is not of the run, else that of the lowest source key. Nothing was
judged on these rows yet: a step's keys are back before any entity that refers to its rows begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from rowcall.ledger.book import ChunkRecord, EntityRecord, Ledger, partition
from rowcall.move.assignment import Assignment
from rowcall.move.settle import Chapter, refused_rows
from rowcall.plan.chunks import Span
from rowcall.plan.keys import BIGINT
from rowcall.postgres.connect import Session
from rowcall.postgres.copy import Refusal
from rowcall.postgres.errors import DriverError, is_row_fault
from rowcall.postgres.read import Reader
from rowcall.schema import TableKey
from rowcall.sql import ident, qualified

UNIQUE, FOREIGN = "23505", "23503"
_OWN = ident("rowcall id")


class Latecomers:
    """Quarantines settled rows of one entity. The source's reader fetches their payloads."""

    def __init__(self, session: Session, reader: Reader, work: Assignment, record: EntityRecord) -> None:
        self.session, self.reader, self.work, self.record = session, reader, work, record
        self.ledger = Ledger(session)

    def quarantine(self, key: TableKey, refusal: Refusal) -> int:
        """The entity's rows that the key does not take, with the state and constraint as evidence; their number."""
        if refusal.sqlstate in (UNIQUE, FOREIGN):
            found = self.session.rows(_violating(key, self.record, self._order))
        else:
            found = list(self._uncomputable(key))
        chunks = {c.id: c for c in self.ledger.chunks() if c.entity == self.record.name} if found else {}
        told = Refusal(refusal.sqlstate, refusal.constraint)
        for number, rows in groupby(found, key=lambda row: row[1]):
            self._chunk(chunks, number, [source_key for source_key, _ in rows], told)
        return len(found)

    @property
    def _order(self) -> str:
        """SQL: the ledger's keys in the order of the source's."""
        return "source_key::int8" if self.work.judge.key.kind == BIGINT else "source_key"

    def _uncomputable(self, key: TableKey) -> Iterator[tuple[str, int]]:
        """(source key, chunk) of the rows on which an expression of the index fails: chunk by chunk, by halving."""
        for chunk in (c.id for c in self.ledger.chunks() if c.entity == self.record.name):
            if not self._computes(key, f"s.chunk = {chunk}"):
                lines = f"select source_key from rowcall.{partition(self.record.id)} s where chunk = {chunk} order by 1"
                for source_key in self._failing(key, [k for (k,) in self.session.rows(lines)]):
                    yield source_key, chunk

    def _failing(self, key: TableKey, source_keys: Sequence[str]) -> Iterator[str]:
        if self._computes(key, "s.source_key = any(%s)", [list(source_keys)]):
            return
        if len(source_keys) == 1:
            yield source_keys[0]
            return
        middle = len(source_keys) // 2
        yield from self._failing(key, source_keys[:middle])
        yield from self._failing(key, source_keys[middle:])

    def _computes(self, key: TableKey, condition: str, params: Sequence[object] | None = None) -> bool:
        try:
            with self.session.transaction():
                self.session.execute(_computed(key, self.record, condition, escaped=params is not None), params)
        except DriverError as error:
            if not is_row_fault(error.sqlstate or ""):
                raise
            return False
        return True

    def _chunk(self, chunks: Mapping[int, ChunkRecord], number: int, keys: Sequence[str], told: Refusal) -> None:
        chunk = chunks[number]
        # A settled chunk's pages may be those of an earlier snapshot.
        chapter = Chapter(self.work, replace(chunk, span=Span()) if chunk.span.by_pages else chunk)
        rows = refused_rows(self.record.name, keys, [told] * len(keys))
        chapter.quarantine(rows)
        lines = f"rowcall.{partition(self.record.id)}"
        with self.session.transaction():
            self.session.execute(
                f"delete from {qualified(self.record.target_table)} t using {lines} s "
                f"where s.target_id = t.{ident(self.record.id_column)} and s.source_key = any(%s)",
                [list(keys)],
            )
            self.ledger.quarantine_late(self.record.id, number, keys, rows["code"][0].as_py())
            chapter.write_quarantine(self.session, self.reader)


def _violating(key: TableKey, record: EntityRecord, order: str) -> str:
    """SQL: (source key, chunk) of the entity's rows that are in the key's way, chunk by chunk."""
    rows = _orphans(key, record) if key.kind == "foreign key" else _repeated(key, record, order)
    return f"select source_key, chunk from ({rows}) v where source_key is not null order by 2, 1"


def _lines(record: EntityRecord) -> str:
    return f"left join rowcall.{partition(record.id)} s on s.target_id = t.{_OWN} and s.outcome = 'migrated'"


def _repeated(key: TableKey, record: EntityRecord, order: str) -> str:
    names = [f"p{number}" for number in range(len(key.parts))]
    # The parts are the catalog's own SQL over bare columns: the table is read alone, so that none can be the ledger's.
    parts = ", ".join(f"({part}) as {name}" for name, part in zip(names, key.parts, strict=True))
    held = " and ".join(f"{name} is not null" for name in names) if key.nulls_distinct else "true"
    return (
        "select source_key, chunk from (select source_key, chunk, "
        f"row_number() over (partition by {', '.join(names)} "
        f"order by source_key is not null, {order}) as place "
        f"from (select {ident(record.id_column)} as {_OWN}, {parts} from {qualified(key.table)} where {key.only or 'true'}) t "
        f"{_lines(record)} where {held}) r where place > 1"
    )


def _computed(key: TableKey, record: EntityRecord, condition: str, *, escaped: bool) -> str:
    """SQL that computes the index's expressions on the entity's rows for which a condition over the ledger's lines s holds."""
    own = ident(record.id_column)
    rows = f"{own} in (select s.target_id from rowcall.{partition(record.id)} s where "
    parts, only = ", ".join(f"({part})" for part in key.parts), key.only or "true"
    if escaped:
        parts, only = parts.replace("%", "%%"), only.replace("%", "%%")
    # OFFSET 0 keeps the index's expressions away from other rows.
    return (
        f"select count(row({parts})) from (select * from {qualified(key.table)} where {rows}{condition}) offset 0) t "
        f"where {only}"
    )


def _orphans(key: TableKey, record: EntityRecord) -> str:
    columns: Sequence[str] = key.columns or ()
    filled = " and ".join(f"t.{ident(c)} is not null" for c in columns)
    pairs = " and ".join(f"p.{ident(to)} = t.{ident(c)}" for c, to in zip(columns, key.to_columns, strict=True))
    return (
        f"select s.source_key, s.chunk from (select *, {ident(record.id_column)} as {_OWN} from {qualified(key.table)}) t "
        f"{_lines(record)} where {filled} and not exists (select from {qualified(key.refers_to)} p where {pairs})"
    )
