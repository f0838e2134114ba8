"""The numbers under which a chunk's rows stand: beside the transaction's own, those of savepoints, ours and of triggers.

An EXCEPTION block of a trigger is a savepoint too, and a trigger may change rows that came before, like a parent's
counter. Undo must know all of these for ours: a row with any other xmin was changed by somebody else.
https://www.postgresql.org/docs/current/ddl-system-columns.html
https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from rowcall.move.assignment import Assignment
from rowcall.postgres.connect import Session
from rowcall.schema import ForeignKey
from rowcall.sql import ident, literal, qualified

_WRAP = 1 << 32


def note_savepoints(session: Session, work: Assignment, chunk: int | None = None) -> None:
    """Adds the numbers of all savepoints that wrote rows of the entity's chunks (or of one), and rows which these refer to.

    A row that we see while its writer is still in progress is our own. Each number is looked up once, and only between the
    transaction's own and the newest: the server knows of no others what became of them.
    """
    top = int(session.value("select pg_current_xact_id()::text"))
    span = (_newest(session, work, chunk) - top) % _WRAP
    only = f" and s.chunk = {chunk}" if chunk is not None else ""
    seen = " union ".join(f"{rows}{only}" for rows in _written(work))
    ahead = f"(x - {top % _WRAP} + {_WRAP}) % {_WRAP}"
    ours = f"case when ahead <= {span} then pg_xact_status(({top} + ahead)::text::xid8) = 'in progress' end"
    session.execute(
        "update rowcall.chunk c set subxids = coalesce(c.subxids, '{}') || w.ids from (select chunk, array_agg(x) as ids "
        f"from (select chunk, x, {ahead} as ahead from ({seen}) u) v where {ours} group by chunk) w where c.id = w.chunk"
    )


def versions(session: Session, table: str, id_column: str, ids: Sequence[UUID]) -> dict[UUID, int]:
    """uuid -> the xmin under which each of these rows stands now."""
    among = literal("{" + ",".join(map(str, ids)) + "}")
    return dict(
        session.rows(
            f"select {ident(id_column)}, xmin::text::bigint from {qualified(table)} where {ident(id_column)} = any({among}::uuid[])"
        )
    )


def touched(session: Session, work: Assignment, ids: Sequence[UUID]) -> set[int]:
    """The numbers, of this transaction and its savepoints, under which triggers changed rows to which these rows refer."""
    among = literal("{" + ",".join(map(str, ids)) + "}")
    own = f"t.{ident(work.judge.entity.id_column)} = any({among}::uuid[])"
    found: set[int] = set()
    for key in work.inner_keys:
        pairs = zip(key.columns, key.to_columns, strict=True)
        joined = " and ".join(f"p.{ident(to)} = t.{ident(column)}" for column, to in pairs)
        rows = f"{qualified(work.table.qualified)} t join {qualified(key.table)} p on {joined}"
        found |= {x for (x,) in session.rows(f"select distinct p.xmin::text::bigint from {rows} where {own}")}
    return ours(session, found)


def ours(session: Session, found: Collection[int]) -> set[int]:
    """Those of these numbers that are of this transaction and its savepoints, of rows that we see."""
    top = int(session.value("select pg_current_xact_id()::text"))
    with session.transaction():  # a number above those of all savepoints so far
        newest = int(session.value("update rowcall.run set project = project returning xmin::text::bigint"))
    near = [top + ahead for x in found if (ahead := (x - top) % _WRAP) <= (newest - top) % _WRAP]
    if not near:
        return set()
    rows = session.rows(
        f"select x from unnest(array[{', '.join(map(str, near))}]::numeric[]) x where pg_xact_status(x::text::xid8) = 'in progress'"
    )
    return {int(x) % _WRAP for (x,) in rows}


def _newest(session: Session, work: Assignment, chunk: int | None) -> int:
    """The low 32 bits of a number above those of all savepoints so far: a new one's, taken by writing a line anew."""
    which = f"id = {chunk}" if chunk is not None else f"entity = {work.entity}"
    with session.transaction():
        return int(
            session.value(f"update rowcall.chunk set seconds = seconds where {which} returning xmin::text::bigint")
        )


def _written(work: Assignment) -> list[str]:
    """Queries (chunk, x: an xmin): of the entity's rows, and where triggers fire of the run's rows which these refer to."""
    lines = (
        f"from {qualified(work.table.qualified)} t "
        f"join rowcall.settlement s on s.target_id = t.{ident(work.judge.entity.id_column)} and s.entity = {work.entity}"
    )
    parents = [_referred(lines, key) for key in work.inner_keys] if work.table.triggers else []
    return [f"select s.chunk, t.xmin::text::bigint as x {lines} where true", *parents]


def _referred(lines: str, key: ForeignKey) -> str:
    pairs = zip(key.columns, key.to_columns, strict=True)
    joined = " and ".join(f"p.{ident(to)} = t.{ident(column)}" for column, to in pairs)
    return f"select s.chunk, p.xmin::text::bigint {lines} join {qualified(key.table)} p on {joined} where true"
