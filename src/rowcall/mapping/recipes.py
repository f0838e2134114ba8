"""What the mapping has words for, as SQL over the source row: cleaning, lookups, named formats, time zones, defaults, JSON.

A column that is made so is one that `sql` fills, in every other respect. A lookup reads its row's own columns by a SELECT without
FROM, so that no column of the table that is looked into is taken for one of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import zip_longest
from zoneinfo import available_timezones

from rowcall.mapping.desk import Desk, no_column
from rowcall.mapping.filler import FillerShape
from rowcall.mapping.fits import bare
from rowcall.mapping.model import Loc
from rowcall.mapping.scalars import CLEANING
from rowcall.mapping.tree import as_text, json_text
from rowcall.mapping.words import instead
from rowcall.schema import Table
from rowcall.sql import ident, literal, qualified

# The parts of a named format: what each is in a text. https://www.postgresql.org/docs/current/functions-formatting.html
PARTS = {
    "YYYY": r"(\d{4})", "MM": r"(\d{1,2})", "DD": r"(\d{1,2})", "HH24": r"(\d{1,2})", "HH12": r"(\d{1,2})", "MI": r"(\d{2})",
    "SS": r"(\d{2})", "MS": r"(\d{1,6})", "AM": "([AaPp][Mm])",
}  # fmt: skip
_PART = re.compile("|".join(sorted(PARTS, key=len, reverse=True)))
# What each needs.
TIMES = {"date": "YYYY MM DD", "time": "HH MI", "timestamp": "YYYY MM DD", "timestamptz": "YYYY MM DD"}


@dataclass(frozen=True)
class Made:
    """SQL over the source row, and the tables ("schema.table") into which it looks."""

    sql: str
    tables: tuple[str, ...] = ()


def is_recipe(filler: FillerShape) -> bool:
    """Whether more than a column or an expression fills the target column."""
    return bool(filler.model_fields_set & {"json_", "lookup", "clean", "default", "format", "zone"})


def made(desk: Desk, source: Table, filler: FillerShape, loc: Loc) -> Made | None:
    """The SQL of a filler that is one; None where something of it is at fault."""
    before = len(desk.draft.faults.found)
    if filler.json_ is not None:
        sql = _json(desk, source, filler.json_, (*loc, "json"))
    elif filler.from_ is not None:
        desk.column(source, filler.from_, (*loc, "from"))
        sql = ident(filler.from_)
    else:
        sql = f"({filler.sql}\n)"
    sql = reduce(lambda x, step: CLEANING[step].format(x=x), filler.clean, f"({sql})::text" if filler.clean else sql)
    tables: tuple[str, ...] = ()
    if filler.lookup is not None:
        sql, tables = _looked_up(desk, filler, sql, loc)
    if filler.default is not None:
        sql = f"coalesce({sql}, {literal(as_text(filler.default))})"
    sql = _moment(desk, source, filler, sql, loc)
    return Made(sql, tables) if len(desk.draft.faults.found) == before else None


# -- lookups ------------------------------------------------------------------------------------------------------------


def _looked_up(desk: Desk, filler: FillerShape, sql: str, loc: Loc) -> tuple[str, tuple[str, ...]]:
    name, _, column = (filler.lookup or "").rpartition(".")
    at: Loc = (*loc, "lookup")
    table = desk.table("source", name, at) if name else None
    if not name:
        desk.draft.say(at, "names no column: write the table and the column to look in, such as dispatch_status.id")
    if table is None or filler.take is None:
        return sql, ()
    found = desk.column(table, column, at)
    taken = desk.column(table, filler.take, (*loc, "take"))
    if table.sql:
        desk.draft.say(
            at,
            f"{table.name} is a view, to be computed for each row: write a query as the source instead",
        )
    elif found is not None and taken is not None and not table.is_unique((column,)):
        what = f"{table.name}.{column} is not unique, so that several rows could be found"
        desk.draft.say(at, f"{what}: look in a unique column, or write `sql` that picks one")
    there = f"{qualified(table.qualified)} l on l.{ident(column)} = o.k"
    return f"(select l.{ident(filler.take)} from (select {sql} as k) o join {there})", (table.qualified,)


# -- times --------------------------------------------------------------------------------------------------------------


def _moment(desk: Desk, source: Table, filler: FillerShape, sql: str, loc: Loc) -> str:
    """A text in a named format as one that says the same in ISO 8601; a time without a zone as one of a zone."""
    zone = filler.zone
    if zone is not None and (known := available_timezones()) and zone not in known:
        desk.draft.say((*loc, "zone"), f"there is no time zone {zone!r}: {instead(zone, known)}")
    if filler.format is not None:
        return _formatted(desk, source, filler, filler.format, sql, loc)
    if zone is None:
        return sql
    column = source.column(filler.from_ or "")
    if filler.from_ is None or filler.lookup is not None:
        desk.draft.say((*loc, "zone"), "a zone is for a source column: write `... at time zone` in the sql")
    kind = bare(column.type) if column is not None else None
    if kind is not None and kind.is_text:
        return f"{sql} || {literal(f' {zone}')}"
    if kind is not None and kind.name not in ("timestamp", "date"):
        desk.draft.say((*loc, "zone"), f"{filler.from_} is {kind.formatted}, which needs no zone: leave `zone` out")
    return f"({sql})::timestamp at time zone {literal(zone)}"


def _formatted(desk: Desk, source: Table, filler: FillerShape, form: str, sql: str, loc: Loc) -> str:
    parts = [found[0] for found in _PART.finditer(form)]
    between = _PART.sub(" ", form)
    column = source.column(filler.from_ or "")
    if column is not None and not bare(column.type).is_text:
        desk.draft.say((*loc, "format"), f"{column.name} is {column.type.formatted}, not a text: leave `format` out")
    if stray := re.search(r"[A-SU-Za-z]+", between):  # the T of ISO 8601 stands between parts
        what = f"{form} has {stray[0]!r}, which is no part of a time"
        desk.draft.say((*loc, "format"), f"{what}: write its parts ({', '.join(PARTS)}) and what stands between them")
    needed = TIMES.get(filler.convert or "", "").split()
    named = {*parts, *("HH" for part in parts if part.startswith("HH"))}
    if named & {"MI", "SS", "MS", "AM"}:
        needed = [*needed, "HH"] if needed else needed
    lacking = [part for part in needed if part not in named]
    twice = [part for part in parts if parts.count(part) > 1]
    if not needed:
        desk.draft.say(
            (*loc, "format"), f"a format is for texts of times: write `convert:` with one of {', '.join(TIMES)}"
        )
    elif lacking or twice:
        what = f"has no {lacking[0]}" if lacking else f"has {twice[0]} twice"
        desk.draft.say(
            (*loc, "format"), f"{form} {what}: write its parts ({', '.join(PARTS)}) and what stands between them"
        )
    pattern = f"^\\s*{''.join(_pattern(form))}\\s*$"
    zone = f" {filler.zone}" if filler.zone else ""
    iso = literal(_iso(parts) + zone)
    wrong = literal(f"(not {form}) ")
    return (
        f"(select case when x ~ {literal(pattern)} then regexp_replace(x, {literal(pattern)}, {iso}) else {wrong} || x end "
        f"from (select ({sql})::text as x) o)"
    )


def _pattern(form: str) -> Iterator[str]:
    parts, end = list(_PART.finditer(form)), 0
    for found, after in zip_longest(parts, parts[1:]):
        joined = (found is not parts[0] and found.start() == end) or (
            after is not None and after.start() == found.end()
        )
        part = PARTS[found[0]]
        # Beside another part nothing else tells where it ends.
        yield re.escape(form[end : found.start()]) + (part.replace("{1,2}", "{2}") if joined else part)
        end = found.end()
    yield re.escape(form[end:])


def _iso(parts: list[str]) -> str:
    """The parts, by their numbers in the pattern, in the order of ISO 8601."""
    at = {part: f"\\{number}" for number, part in enumerate(parts, 1)}
    date = "-".join(at[p] for p in ("YYYY", "MM", "DD") if p in at)
    hour = at.get("HH24") or at.get("HH12")
    clock = ":".join([hour, at.get("MI", "00"), at.get("SS", "00")]) if hour else ""
    clock += f".{at['MS']}" if clock and "MS" in at else ""
    clock += f" {at['AM']}" if clock and "AM" in at else ""
    return " ".join(filter(None, (date, clock)))


# -- JSON ---------------------------------------------------------------------------------------------------------------


def _json(desk: Desk, source: Table, raw: object, loc: Loc) -> str:
    """A tree of columns as one JSON value."""
    if isinstance(raw, str):
        if source.column(raw) is None:
            desk.draft.say(loc, no_column(source, raw))
        return ident(raw)
    if isinstance(raw, Mapping) and list(raw) == ["sql"] and isinstance(raw["sql"], str):
        desk.ask(source, raw["sql"], (*loc, "sql"), lambda _: None)
        return f"({raw['sql']}\n)"
    if isinstance(raw, Mapping) and list(raw) == ["value"]:
        return f"{literal(json_text(raw['value']))}::jsonb"
    if isinstance(raw, Mapping):
        pairs = [f"{literal(str(key))}, {_json(desk, source, value, (*loc, str(key)))}" for key, value in raw.items()]
        return _built("jsonb_build_object", pairs)
    if isinstance(raw, list):
        return _built("jsonb_build_array", [_json(desk, source, v, (*loc, i)) for i, v in enumerate(raw)])
    desk.draft.say(loc, "is no column: write a source column, `{sql: ...}`, or `{value: ...}` for a constant")
    return "null"


def _built(function: str, parts: list[str]) -> str:
    """A call for every 40 parts, for a function takes no more than 100 arguments."""
    calls = [f"{function}({', '.join(parts[at : at + 40])})" for at in range(0, max(len(parts), 1), 40)]
    return f"({' || '.join(calls)})" if len(calls) > 1 else calls[0]
