"""A run's beginning: its ledger is made, or that of the run which is continued is taken up."""

from __future__ import annotations

from pathlib import Path

from rowcall import forecast
from rowcall.desk import Desk
from rowcall.errors import LedgerConflict, UsageError
from rowcall.ledger import CatchUpBook
from rowcall.ledger.records import entity_records
from rowcall.version import __version__


def open_ledger(desk: Desk, folder: Path) -> bool:
    """A new ledger, or that of the run which is continued; whether that run is complete already."""
    found = forecast.saved(folder, desk.mapping.fingerprint)
    if not desk.ledger.exists():
        with desk.target.transaction():
            desk.ledger.create(desk.mapping.project, desk.mapping.fingerprint, __version__, found)
            for record in entity_records(desk.plan):
                desk.ledger.add_entity(record)
            CatchUpBook(desk.target).do("note_probe", desk.workspace.hash_probe())
        return False
    run = desk.ledger.run()
    if run.state == "undoing":
        raise LedgerConflict(
            "an undo was interrupted", hint="finish it with `rowcall undo`, or with `rowcall run --restart`"
        )
    if run.mapping_fingerprint != desk.mapping.fingerprint:
        raise UsageError(
            "the mapping changed since this run began",
            hint="`rowcall run --restart` undoes the run and begins anew",
        )
    if run.state == "complete":
        return True
    desk.ledger.set_forecast(found)
    desk.ledger.set_state("running")
    return False
