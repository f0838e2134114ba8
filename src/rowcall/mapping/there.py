"""References to rows that are in the target already (`to: profiles by email`): of a table that no entity fills, found by a
column of it. To paths it is a table like any other, on whose rows they end."""

from __future__ import annotations

import re

from rowcall.mapping.desk import Desk, Frame
from rowcall.mapping.document import EntityShape
from rowcall.mapping.fits import bare
from rowcall.mapping.load import EntityDraft
from rowcall.mapping.model import THERE, Entity, Loc
from rowcall.mapping.paths import NAME, name
from rowcall.schema import Table
from rowcall.sql import ident, qualified

_BY = re.compile(rf"(?P<table>{NAME}(?:\s*\.\s*{NAME})?)\s+by\s+(?P<column>{NAME})", re.IGNORECASE)


def is_there(to: str | None) -> bool:
    """Whether a `to` means rows of the target."""
    return to is not None and _BY.fullmatch(to.strip()) is not None


def there(desk: Desk, to: str, loc: Loc) -> Frame | None:
    """What stands in the place of the parent's entity; None where it is at fault, which is told."""
    found = _BY.fullmatch(to.strip())
    assert found is not None  # see is_there
    written = ".".join(name(part) for part in re.findall(NAME, found["table"]))
    table = desk.table("target", written, loc)
    if table is None:
        return None
    filled = next(
        (f.name for f in desk.frames.values() if f.target is not None and f.target.qualified == table.qualified), None
    )
    if filled is not None:
        desk.draft.say(loc, f"{table.name} is filled by {filled}: write `to: {filled}`, and a path to its source")
        return None
    column, key = desk.column(table, name(found["column"]), loc), table.primary_key
    own = table.column(key.columns[0]) if key is not None and len(key.columns) == 1 else None
    if own is None or bare(own.type).name != "uuid":
        desk.draft.say(loc, f"the key of {table.name} is not one uuid column, so that no reference can lead to it")
        return None
    if column is None:
        return None
    sql = f"select {', '.join(ident(c.name) for c in dict.fromkeys((own, column)))} from {qualified(table.qualified)}"
    uniques = tuple(u for u in table.uniques if set(u.columns) <= {own.name, column.name})
    seen = Table(
        THERE, f"{table.qualified} by {column.name}", tuple(dict.fromkeys((own, column))), "q", uniques=uniques, sql=sql
    )
    desk.views[seen.qualified] = seen
    desk.source = desk.source.beside([seen])
    desk.there[to] = Entity(to, seen.qualified, table.qualified, (own.name,), own.name, to)
    return Frame(EntityDraft(to, EntityShape.model_validate({})), seen, table, (column.name,))
