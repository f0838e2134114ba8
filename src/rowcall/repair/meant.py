"""Which target column a use of a remedy is about, and whether what the remedy puts into rows can be meant at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rowcall.errors import RowcallError, UsageError
from rowcall.ledger.repairs import Quarantined
from rowcall.mapping.model import Entity
from rowcall.plan.plan import Plan
from rowcall.postgres.errors import DriverError
from rowcall.repair.effect import Request
from rowcall.repair.fitting import place
from rowcall.repair.registry import at
from rowcall.repair.remedy import COLUMN, Remedy
from rowcall.repair.use import Use
from rowcall.rows import Amendment, Reason


def meant_column(
    plan: Plan, entity: Entity, remedy: Remedy, request: Request, settings: Mapping[str, Any], columns: Sequence[str]
) -> str:
    """The target column that is meant; "" where nothing names one. `columns`: those at which rows of the cause fail; there are none
    where rows share a unique value, or were left by an earlier repair: any that the entity fills may be meant then. Raises
    UsageError where it is open which, or where the remedy does not fit there."""
    column = settings.get("column")
    if column is None and len(columns) > 1 and COLUMN in remedy.settings:
        raise UsageError(
            f"rows of {request.cause} fail at {', '.join(columns)}",
            hint="say which column is meant: `--set column=...`",
        )
    known = columns or _filled(entity)
    if column is not None and column not in known:
        raise UsageError(
            f"no row of {request.cause} fails at {column!r}", hint=f"they fail at {', '.join(columns) or 'no column'}"
        )
    meant = str(column or (columns[0] if columns else ""))
    where = place(entity, plan.knowledge.target.tables[entity.target], Reason(request.code), meant)
    if meant and not remedy.fits(where):
        raise UsageError(
            f"{remedy.name} does not fit {entity.target}.{meant}",
            hint=f"`rowcall remedies {request.cause}` lists what does",
        )
    return meant


def amendments(use: Use, remedy: Remedy, rows: Sequence[Quarantined]) -> list[Amendment]:
    """What a remedy puts into rows. Raises UsageError where it fails (without its words: they may hold a value), or names a column
    that the entity does not fill, or a row that it was not asked about."""
    try:
        given = list(remedy.amend(use, rows))
    except (RowcallError, DriverError):
        raise
    except Exception as error:
        raise UsageError(
            f"{remedy.name} failed with {type(error).__name__}{at(error)}", hint="mend that remedy; nothing was changed"
        ) from None
    filled, asked = _filled(use.entity), {row.key for row in rows}
    for amendment in given:
        if not amendment.column:
            raise UsageError(
                f"rows of {use.entity.name}/{use.code.value} name no column",
                hint=f"say which is meant, `--set column=...`: {', '.join(filled)}",
            )
        if amendment.column not in filled:
            raise UsageError(
                f"{remedy.name} puts something into {amendment.column!r}, which {use.entity.name} does not fill",
                hint=f"it fills {', '.join(filled)}",
            )
        if amendment.value is not None and not isinstance(amendment.value, str):
            raise UsageError(
                f"{remedy.name} gives {amendment.column} a {type(amendment.value).__name__}",
                hint="a value is text, as the target reads it, or None; mend that remedy",
            )
        if amendment.key not in asked:
            raise UsageError(
                f"{remedy.name} puts something into a row that it was not asked about", hint="mend that remedy"
            )
    return given


def _filled(entity: Entity) -> list[str]:
    return [*(r.column for r in entity.references), *(c.column for c in entity.columns)]
