"""Bulk load: takes keys away from empty tables before their rows come, and puts them back set-wise.

Each key's line in the book changes in the same transaction as the key itself, so that a run killed at any moment leaves a
book from which the next `run` or `undo` makes the target what it was. Putting back builds every index once, then attaches
constraints, then adds foreign keys NOT VALID and validates them:
https://www.postgresql.org/docs/current/populate.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from queue import SimpleQueue

from rowcall.errors import TargetRefused
from rowcall.ledger.keys import KeyBook, TakenKey
from rowcall.move.worker import LOCK_PATIENCE, persistently
from rowcall.postgres.connect import Session
from rowcall.postgres.copy import Refusal, refusal_of
from rowcall.postgres.errors import DriverError, is_row_fault, stopped
from rowcall.schema import TableKey
from rowcall.sql import literal, qualified

# Names the rows that a key does not take, and quarantines them; how many are gone, for whatever key.
Healer = Callable[[Session, TableKey, Refusal], int]
Job = Callable[[Session], None]

SORT_MEMORY = "256MB"  # maintenance_work_mem of a session that builds indexes, at least
_MEMORY = (
    "select set_config('maintenance_work_mem', "
    f"greatest(pg_size_bytes(current_setting('maintenance_work_mem')), pg_size_bytes('{SORT_MEMORY}')) / 1024 || 'kB', true)"
)
# Parallel workers sort on disk what one process would sort in memory: where that suffices they cost more than they bring. A
# key of 16 bytes takes about 70 there (tuplesort), a row of the table rarely less than twice that.
_ALONE = (
    "select set_config('max_parallel_maintenance_workers', '0', true) "
    "where pg_relation_size({table}::regclass) <= 2 * pg_size_bytes(current_setting('maintenance_work_mem'))"
)
_HELPERS = (
    "select set_config('max_parallel_maintenance_workers', "
    "least(current_setting('max_parallel_maintenance_workers')::int, %s)::text, false)"
)
TRIES = 3  # healings of one key before rowcall gives up
PATIENCE = 0.2  # seconds between two cancellations


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


class Undisturbed:
    """Keeps autovacuum away from tables while their rows come: it would read them again and again for statistics that the
    load makes itself. It skips a table on which somebody holds a lock such as this one, which lets others read and write, and
    does not outlive its session:
    https://www.postgresql.org/docs/current/routine-vacuuming.html#AUTOVACUUM (locks that conflict with SHARE UPDATE EXCLUSIVE)
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def keep(self, tables: Iterable[str]) -> None:
        """These tables from now on, and no others. One that is locked otherwise is left alone, and no run ends for want of it."""
        with suppress(DriverError):
            self.session.execute("rollback")
            for number, table in enumerate(sorted(tables)):
                if not number:
                    self.session.execute("begin")
                with suppress(DriverError), self.session.transaction():
                    self.session.execute(f"lock table {qualified(table)} in share update exclusive mode nowait")


def put_back(
    sessions: Sequence[Session],
    taken: Iterable[TakenKey],
    heal: Healer,
    then: Job | None = None,
    beside: Job | None = None,
    cancel: Callable[[], None] | None = None,
) -> None:
    """Puts these keys back, building as many indexes at a time as there are sessions; does what comes `then`, and `beside` all
    that, as the last to begin, a job of no matter to these keys. `cancel` ends what all jobs do, where not the sessions' own
    work is all of it.

    Raises TargetRefused where a key takes the table's rows not even without ours.
    """
    missing = list(taken)
    indexes = [t for t in missing if t.key.kind != "foreign key"]
    foreign = [t for t in missing if t.key.kind == "foreign key"]

    def attach(session: Session) -> None:
        for t in indexes:
            _attach(session, t.key, heal)
        for t in foreign:
            if t.state == "away":
                _build(session, t.key, heal)
            _attach(session, t.key, heal)

    builds = [partial(_build, key=t.key, heal=heal) for t in indexes if t.state == "away"]
    _over(sessions, builds, [attach, *([then] if then else [])], beside, cancel or partial(_cancel, sessions))


def _cancel(sessions: Sequence[Session]) -> None:
    for session in sessions:
        with suppress(DriverError):
            session.cancel()


def _over(
    sessions: Sequence[Session],
    first: Sequence[Job],
    after: Sequence[Job],
    beside: Job | None,
    cancel: Callable[[], None],
) -> None:
    """The `first` jobs side by side, those `after` one by one; `beside` them the one that need not be waited for until the
    end. The first failure ends all."""
    idle: SimpleQueue[Session] = SimpleQueue()
    for session in sessions:
        idle.put(session)

    def one(job: Job) -> None:
        session = idle.get()
        try:
            job(session)
        finally:
            idle.put(session)

    with ThreadPoolExecutor(len(sessions)) as pool:
        futures = [pool.submit(one, job) for job in first]
        last = [pool.submit(one, beside)] if beside else []
        try:
            for future in futures:
                future.result()
            for job in after:
                one(job)
            for future in last:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            while not all(future.done() for future in (*futures, *last)):
                cancel()
                time.sleep(PATIENCE)
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
            prepare_to_sort(session, key.table)
            for statement in statements:
                session.execute(statement)
            KeyBook(session).note(key, state)
    except DriverError as error:
        if is_row_fault(error.sqlstate or ""):
            return refusal_of(error)
        raise _unmoved(error, key.table) from None
    return None


def limit_helpers(sessions: Sequence[Session], processes: int) -> None:
    """Sessions that build indexes side by side share so many processes: a build that two more processes help takes half as much
    processor time again (measured: 20 million uuids), which is lost where another build waits for it."""
    for session in sessions:
        session.execute(_HELPERS, [max(processes // len(sessions) - 1, 0)])


def prepare_to_sort(session: Session, table: str) -> None:
    """For the rest of the transaction: memory to build an index on a table, and no more processes than that takes."""
    session.execute(_MEMORY)
    session.execute(_ALONE.format(table=literal(qualified(table))))


def _unmoved(error: DriverError, table: str) -> Exception:
    told = stopped(error, "target", table)
    if isinstance(told, TargetRefused) and error.sqlstate == "55P03":
        told.hint = "others work with the table: let them finish, then run again; `load: live` in the mapping needs no such lock"
    return told
