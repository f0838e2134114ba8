"""What a remedy says of rows, looked at before anything is done with it: remedies may be other people's code."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

from rowcall.errors import RemedyFailed, RowcallError
from rowcall.ledger.repairs import Quarantined
from rowcall.mapping.model import Entity
from rowcall.postgres.errors import DriverError
from rowcall.repair.remedy import Remedy
from rowcall.repair.use import Use
from rowcall.rows import Amendment


def amended_by(remedy: Remedy, use: Use, rows: Sequence[Quarantined]) -> list[Amendment]:
    """The amendments that a remedy has for these rows. Raises RemedyFailed where it ends with an error of its own, or says what
    cannot be; never with its words, which may quote a row."""
    try:
        found = list(remedy.amend(use, rows))
    except (RowcallError, DriverError):
        raise
    except Exception as error:
        raise RemedyFailed(remedy.name, f"{type(error).__name__} at {_place(error)}") from None
    keys, columns = {row.key for row in rows}, set(filled_columns(use.entity))
    for amendment in found:
        if wrong := _wrong(amendment, keys, columns):
            raise RemedyFailed(remedy.name, wrong)
    return found


def filled_columns(entity: Entity) -> list[str]:
    """The target columns that a mapping fills, but for the id."""
    return [r.column for r in entity.columns] + [r.column for r in entity.references]


def _wrong(a: Amendment, keys: set[str], columns: set[str]) -> str:
    if a.key not in keys:
        return "it amends a row that it was not given"
    if a.column not in columns:
        return f"it amends the column {a.column!r}, which the mapping does not fill"
    if a.value is not None and not isinstance(a.value, str):
        return f"it gives {a.column} a {type(a.value).__name__}: a value is text, as the target reads it, or None"
    return ""


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
