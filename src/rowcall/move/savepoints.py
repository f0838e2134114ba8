"""The numbers under which a chunk's rows stand: beside the transaction's own, those of savepoints, ours and of triggers.

An EXCEPTION block of a trigger is a savepoint too, and a trigger may change rows that came before, like a parent's
counter. Undo must know all of these for ours: a row with any other xmin was changed by somebody else.
https://www.postgresql.org/docs/current/ddl-system-columns.html
https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
"""

from __future__ import annotations

from rowcall.move.assignment import Assignment
from rowcall.postgres.connect import Session
from rowcall.schema import ForeignKey
from rowcall.sql import ident, qualified

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
