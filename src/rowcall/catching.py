"""Catching up: a complete run takes up what changed at the source since. Calls the rooms in order, has no logic of its own."""

from __future__ import annotations

from collections.abc import Callable

from rowcall import explain
from rowcall.desk import Desk
from rowcall.errors import BudgetExceeded, NotConserved, UsageError
from rowcall.ledger import CatchUpBook, CatchUpRecord, Ledger
from rowcall.move.belt import Stop, interruptible
from rowcall.move.budget import over_budget
from rowcall.move.catch_up import CatchUp
from rowcall.move.changes import Changes
from rowcall.move.forecast import Forecast
from rowcall.move.worker import Worker
from rowcall.postgres.errors import DriverError, stopped
from rowcall.postgres.snapshot import SourceSnapshot
from rowcall.progress import OnProgress
from rowcall.verify import Glances

MEMORY = "160MB"  # of the workspace: beside it rows are judged and encoded at the same time, as in a run


def catch_up(
    desk: Desk,
    snapshot: SourceSnapshot,
    stop: Stop,
    on_progress: OnProgress,
    notify: Callable[[str], None],
    overwrite: bool,
) -> CatchUpRecord | None:
    """Judges every row on this snapshot, and makes target and ledger, in one transaction, what a run would make of it now; but
    rows of the target that somebody changed since stay as they are, unless the source is to win (`overwrite`). None where no
    transaction ran at the source since.

    Raises BudgetExceeded, NotConserved, TargetRefused; then nothing was changed.
    """
    if snapshot.visible == desk.ledger.read_until() and not overwrite:
        notify("this run is complete, and nothing has changed at the source since it was read")
        return None
    ((probe,),) = CatchUpBook(desk.target).rows("probe")
    if probe != desk.workspace.hash_probe():
        raise UsageError(
            "this run wrote its rows with a version of DuckDB that hashes otherwise, so that nothing tells which have changed",
            hint="install the version of then, or begin anew with `rowcall run --restart`",
        )
    crew = desk.crew(snapshot, stop)
    records = {e.name: e for e in desk.ledger.entities()}
    changes = Changes(desk.workspace.cursor(), desk.reader("target"), records, overwrite=overwrite)
    desk.workspace.duck.execute(f"set memory_limit = '{MEMORY}'")
    judged = Forecast(desk.plan, crew, desk.reader("target"), True, stop, on_progress, table=None, watch=changes)
    judged.rejected = {}
    with interruptible(stop, "nothing was changed: `rowcall run` begins anew with it"):
        judged()
        return _write(desk, crew.workers[0], changes, judged, snapshot, on_progress, overwrite)


def _write(
    desk: Desk,
    worker: Worker,
    changes: Changes,
    judged: Forecast,
    snapshot: SourceSnapshot,
    on_progress: OnProgress,
    overwrite: bool,
) -> CatchUpRecord:
    if spent := over_budget(desk.mapping, judged.counts):
        raise BudgetExceeded(
            f"{spent}; nothing was changed",
            hint="see `rowcall check`; raise `error_budget` in the mapping, or mend the source, and run again",
        )
    try:
        with worker.session.transaction():
            number = Ledger(worker.session).add_snapshot(snapshot.taken_at, snapshot.lsn, snapshot.visible)
            done = CatchUp(
                desk.plan, worker, changes.records, judged, number, snapshot.taken_at, on_progress, overwrite
            )()
            _gate(desk, worker, changes)
            (record,) = CatchUpBook(worker.session).records(done)
    except DriverError as error:
        raise stopped(error, "target", "what changed since") from None
    explain.note_proofs(desk.plan, desk.ledger)
    return record


def _gate(desk: Desk, worker: Worker, changes: Changes) -> None:
    """The sums must close on the new snapshot, or nothing was changed."""
    glances = Glances(desk.mapping, desk.plan.knowledge.source)
    for record in changes.records.values():
        glances.look(record, worker.reader, worker.session)
    if wrong := [name for name in changes.records if name not in glances.sound]:
        raise NotConserved(
            f"the sums of what changed since do not close: {', '.join(wrong)}; nothing was changed",
            hint="this is a fault of rowcall's: please report it; `rowcall run --restart` begins anew",
        )
