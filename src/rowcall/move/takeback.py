"""Taking back what was settled: the rows that a chunk wrote, and only those; then its lines.

A row that somebody changed since has an xmin that is none of the run's transactions (the low 32 bits of their xid8) and their
savepoints; which chunk's does not matter, for a trigger may have changed rows of earlier ones, like a parent's counter:
https://www.postgresql.org/docs/current/ddl-system-columns.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rowcall.errors import TargetRefused
from rowcall.ledger.book import ChunkRecord, EntityRecord, Ledger
from rowcall.ledger.keys import KeyBook
from rowcall.move.bulk import put_back
from rowcall.postgres.errors import DriverError, stopped
from rowcall.progress import Meter, OnProgress
from rowcall.schema import ForeignKey, Schema, Table
from rowcall.sql import ident, literal, qualified


@dataclass(frozen=True)
class Changed:
    """Rows of an entity that somebody changed since the run wrote them; `query` shows their source keys."""

    entity: str
    rows: int
    query: str


def _changed(entity: EntityRecord) -> str:
    return (
        f"from rowcall.written s join {qualified(entity.target_table)} t on t.{ident(entity.id_column)} = s.target_id "
        f"where s.entity = {entity.id} and (t.xmin::text::bigint not in (select xid from rowcall.own_xids) or exists "
        f"(select from rowcall.edited_row e where e.target_table = {literal(entity.target_table)} and e.target_id = s.target_id))"
    )


def changed_rows(ledger: Ledger, entities: Iterable[EntityRecord], chunk: int | None = None) -> list[Changed]:
    """What somebody changed since, per entity."""
    lines = f"select target_id from rowcall.settlement where chunk = {chunk}"
    only = f" and s.target_id in ({lines})" if chunk is not None else ""
    found = []
    for entity in entities:
        rows = int(ledger.session.value(f"select count(*) {_changed(entity)}{only}"))
        if rows:
            found.append(Changed(entity.name, rows, f"select s.source_key {_changed(entity)};"))
    return found


def refuse_changed(changed: Sequence[Changed]) -> None:
    """Raises TargetRefused where rows would be lost that are no longer as the run wrote them."""
    if changed:
        told = "; ".join(f"{c.entity}: {c.rows} rows" for c in changed)
        raise TargetRefused(
            "the target", f"somebody changed rows since the run wrote them: {told}",
            hint="nothing was removed; save or take back these changes, then try again. To see which they are, ask the target: "
            + " ".join(c.query for c in changed),
        )  # fmt: skip


def refuse_dependents(ledger: Ledger, target: Schema, entities: Iterable[EntityRecord]) -> None:
    """Raises TargetRefused where removing a row of the run would change rows of others by ON DELETE CASCADE or SET NULL."""
    ours = {e.target_table: e for e in entities}
    for table in target.tables.values():
        for key in table.foreign_keys:
            if key.table in ours and key.on_delete in "cnd" and _depends(ledger, table, key, ours):
                raise TargetRefused(
                    table.qualified, f"rows that are not of the run refer to its rows, and {key.name} would change them with these",
                    hint="nothing was removed; remove or re-point those rows first",
                )  # fmt: skip


def _depends(ledger: Ledger, table: Table, key: ForeignKey, ours: Mapping[str, EntityRecord]) -> bool:
    parent = ours[key.table]
    own = ours.get(table.qualified)
    mine = (
        f" and not exists (select from rowcall.written o where o.target_id = d.{ident(own.id_column)})" if own else ""
    )
    joined = " and ".join(f"d.{ident(c)} = t.{ident(to)}" for c, to in zip(key.columns, key.to_columns, strict=True))
    # Counted, for EXISTS is planned as if a row were soon found: as a rule there is none, and each would meet every line.
    return bool(
        ledger.session.value(
            f"select count(*) > 0 from {qualified(table.qualified)} d join {qualified(key.table)} t on {joined} "
            f"join rowcall.written s on s.target_id = t.{ident(parent.id_column)} and s.entity = {parent.id}{mine}"
        )
    )


def take_back(ledger: Ledger, entity: EntityRecord, chunk: ChunkRecord) -> int:
    """Deletes a chunk's target rows and its lines, in one transaction; the number of rows removed."""
    try:
        with ledger.session.transaction():
            ledger.session.execute("set constraints all immediate")
            refuse_changed(changed_rows(ledger, [entity], chunk.id))
            removed = ledger.session.execute(
                f"delete from {qualified(entity.target_table)} t using rowcall.settlement s "
                f"where s.target_id = t.{ident(entity.id_column)} and s.chunk = {chunk.id} and s.outcome = 'migrated'"
            )
            ledger.reopen(chunk)
            return removed
    except DriverError as error:
        raise _why(error, entity) from None


def take_back_chunks(ledger: Ledger, entity: EntityRecord, chunks: Sequence[ChunkRecord]) -> Iterator[int]:
    """One chunk at a time; all in one statement where the target's keys are away, for each would read the whole table."""
    if any(taken.key.table == entity.target_table for taken in KeyBook(ledger.session).missing()):
        yield take_back_group(ledger, [entity], chunks)
        return
    for chunk in chunks:
        yield take_back(ledger, entity, chunk)


def take_back_group(
    ledger: Ledger, entities: Sequence[EntityRecord], chunks: Sequence[ChunkRecord], *, gone: bool = False
) -> int:
    """A cyclic group's rows go in one statement, as they came; `gone`: with those that the source has no more."""
    if not chunks:
        return 0
    numbers = ", ".join(str(c.id) for c in chunks)
    parts = [
        f"d{i} as (delete from {qualified(e.target_table)} t using rowcall.settlement s where s.target_id = t.{ident(e.id_column)} "
        f"and s.entity = {e.id} and s.chunk in ({numbers}) and s.outcome = 'migrated' returning 1)"
        for i, e in enumerate(entities)
    ]
    parts += [f"d{i} as ({_gone(e)} returning 1)" for i, e in enumerate(entities, len(parts)) if gone]
    try:
        with ledger.session.transaction():
            ledger.session.execute("set constraints all immediate")
            refuse_changed(changed_rows(ledger, entities))
            total = " + ".join(f"(select count(*) from d{i})" for i in range(len(parts)))
            removed = int(ledger.session.value(f"with {', '.join(parts)} select {total}"))
            for chunk in chunks:
                ledger.reopen(chunk)
            return removed
    except DriverError as error:
        raise _why(error, entities[0]) from None


def _gone_back(ledger: Ledger, members: Sequence[EntityRecord]) -> Iterator[tuple[str, int]]:
    """Rows that the source has no more, and which stayed in the target."""
    for r in members:
        try:
            rows = ledger.session.execute(_gone(r))
        except DriverError as error:
            raise _why(error, r) from None
        yield r.name, rows


def _gone(r: EntityRecord) -> str:
    return (
        f"delete from {qualified(r.target_table)} t using rowcall.gone_row g where t.{ident(r.id_column)} = g.target_id "
        f"and g.entity = {r.id} and g.became <> 'removed'"
    )


def _why(error: DriverError, entity: EntityRecord) -> Exception:
    if error.sqlstate == "23503":
        return TargetRefused(
            entity.target_table, f"rows of others refer to rows of the run ({error.diag.constraint_name})",
            sqlstate="23503", hint="remove or re-point those rows first; what was removed so far stays removed, and undo goes on",
        )  # fmt: skip
    return stopped(error, "target", entity.target_table)


def refuse_removal(ledger: Ledger, target: Schema) -> None:
    """Raises TargetRefused where removing the run would lose what somebody changed since, or change rows of others."""
    entities = ledger.entities()
    refuse_changed(changed_rows(ledger, entities))
    refuse_dependents(ledger, target, entities)


def take_back_all(ledger: Ledger, target: Schema, on_progress: OnProgress) -> dict[str, int]:
    """Undo: everything the run created, children first, then the ledger itself; entity -> rows removed.

    It follows the ledger, not the mapping, which may have changed. Refused as a whole where somebody changed a row
    since. Interrupted, it goes on with the next call.
    """
    entities = ledger.entities()
    refuse_removal(ledger, target)
    ledger.set_state("undoing")
    settled = [c for c in ledger.chunks() if c.state == "settled"]
    removed = dict.fromkeys((e.name for e in entities), 0)
    for number in sorted({e.step for e in entities}, reverse=True):
        members = [e for e in entities if e.step == number]
        meters = {m.name: Meter(on_progress, "undo", m.name, ledger.migrated(m.id)) for m in members}
        chunks = [c for c in settled if c.entity in meters]
        for name, rows in (*_step_back(ledger, members, chunks), *_gone_back(ledger, members)):
            removed[name] += rows
            meters[name].add(rows)
    # Nothing of the run is left that could be in a key's way.
    put_back([ledger.session], KeyBook(ledger.session).missing(), lambda *_: 0)
    with ledger.session.transaction():
        ledger.drop()
    return removed


def _step_back(
    ledger: Ledger, members: Sequence[EntityRecord], chunks: Sequence[ChunkRecord]
) -> Iterator[tuple[str, int]]:
    if members[0].together:
        counts = {m.name: ledger.migrated(m.id) for m in members}
        take_back_group(ledger, members, chunks, gone=True)
        yield from counts.items()
        return
    for rows in take_back_chunks(ledger, members[0], chunks):
        yield members[0].name, rows
