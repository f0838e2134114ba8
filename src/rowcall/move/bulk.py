"""Bulk load: takes keys away from empty tables before their rows come, and puts them back set-wise.

Each key's line in the book changes in the same transaction as the key itself, so that a run killed at any moment leaves a
book from which the next `run` or `undo` makes the target what it was. Putting back builds every index once, then attaches
constraints, then adds foreign keys NOT VALID and validates them:
https://www.postgresql.org/docs/current/populate.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue

from rowcall.errors import TargetRefused
from rowcall.ledger.keys import KeyBook, TakenKey
from rowcall.move.worker import LOCK_PATIENCE, persistently
from rowcall.postgres.connect import Session
from rowcall.postgres.copy import Refusal, refusal_of
from rowcall.postgres.errors import DriverError, is_row_fault, stopped
from rowcall.schema import TableKey
from rowcall.sql import qualified

# Names the rows that a key does not take, and quarantines them; how many there were.
Healer = Callable[[Session, TableKey, Refusal], int]
Job = Callable[[Session], None]

SORT_MEMORY = "256MB"  # maintenance_work_mem of a session that builds indexes
TRIES = 3  # healings of one key before rowcall gives up


def take_away(session: Session, keys: Sequence[TableKey]) -> None:
    """Takes keys away, their lines in the book first; all or none of them."""
    if not keys:
        return
    persistently(lambda: _take_away(session, sorted(keys, key=lambda k: k.kind != "foreign key")))


def _take_away(session: Session, keys: Sequence[TableKey]) -> None:
    try:
        with session.transaction():
            session.execute(f"set local lock_timeout = '{LOCK_PATIENCE}'")
            tables = ", ".join(sorted({qualified(k.table) for k in keys}))
            session.execute(f"lock table {tables} in access exclusive mode")
            KeyBook(session).take(keys)
            for key in keys:
                session.execute(key.drop)
    except DriverError as error:
        raise _unmoved(error, keys[0].table) from None


def put_back(sessions: Sequence[Session], taken: Iterable[TakenKey], heal: Healer, *first: Job) -> None:
    """Does the `first` jobs and puts these keys back, as many at a time as there are sessions.

    Raises TargetRefused where a key takes the table's rows not even without ours.
    """
    missing = list(taken)
    indexes = [t for t in missing if t.key.kind != "foreign key"]
    _over(sessions, [*first, *(partial(_build, key=t.key, heal=heal) for t in indexes if t.state == "away")])
    for t in indexes:
        _attach(sessions[0], t.key, heal)
    for t in missing:
        if t.key.kind == "foreign key":
            if t.state == "away":
                _build(sessions[0], t.key, heal)
            _attach(sessions[0], t.key, heal)


def _over(sessions: Sequence[Session], jobs: Sequence[Job]) -> None:
    """Every job, begun in this order, one at a time per session; the first failure ends it."""
    idle: SimpleQueue[Session] = SimpleQueue()
    for session in sessions:
        idle.put(session)

    def one(job: Job) -> None:
        session = idle.get_nowait()  # as many sessions as threads: there is always one
        try:
            job(session)
        finally:
            idle.put(session)

    with ThreadPoolExecutor(len(sessions)) as pool:
        futures = [pool.submit(one, job) for job in jobs]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for session in sessions:
                session.cancel()
            raise


def _build(session: Session, key: TableKey, heal: Healer) -> None:
    _persist(session, key, [key.build], "built", heal)


def _attach(session: Session, key: TableKey, heal: Healer) -> None:
    _persist(session, key, key.attach, "back", heal)


def _persist(session: Session, key: TableKey, statements: Sequence[str], state: str, heal: Healer) -> None:
    """The statements and the key's new state as one transaction; again without the rows that are in the way."""
    for _ in range(TRIES):
        refusal = persistently(lambda: _try(session, key, statements, state))
        if refusal is None:
            return
        if not heal(session, key, refusal):
            break
    raise TargetRefused(
        key.table, f"{key.kind} {key.name} does not take the table's rows", sqlstate=refusal.sqlstate if refusal else "",
        hint="rows that are not of the run are in its way, or came meanwhile: remove them, then `rowcall run` goes on",
    )  # fmt: skip


def _try(session: Session, key: TableKey, statements: Sequence[str], state: str) -> Refusal | None:
    try:
        with session.transaction():
            session.execute(f"set local lock_timeout = '{LOCK_PATIENCE}'")
            session.execute(f"set local maintenance_work_mem = '{SORT_MEMORY}'")
            for statement in statements:
                session.execute(statement)
            KeyBook(session).note(key, state)
    except DriverError as error:
        if is_row_fault(error.sqlstate or ""):
            return refusal_of(error)
        raise _unmoved(error, key.table) from None
    return None


def _unmoved(error: DriverError, table: str) -> Exception:
    told = stopped(error, "target", table)
    if isinstance(told, TargetRefused) and error.sqlstate == "55P03":
        told.hint = "others work with the table: let them finish, then run again; `load: live` in the mapping needs no such lock"
    return told
