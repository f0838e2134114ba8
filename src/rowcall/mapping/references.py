"""Checks references and their paths, and makes their Reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rowcall.mapping.desk import Desk, Frame
from rowcall.mapping.elements import elements
from rowcall.mapping.fits import bare, comparable
from rowcall.mapping.model import ALONE, MERGED, THERE, TYPE, Hop, Loc, Reference, Route
from rowcall.mapping.paths import HopText, Slip, parse
from rowcall.mapping.there import is_there, there
from rowcall.mapping.views import picked
from rowcall.mapping.ways import ReferenceShape
from rowcall.mapping.words import instead
from rowcall.schema import Column, Table


@dataclass(frozen=True)
class Way:
    """One way as written: the parent's entity, the texts of its path, and where both stand."""

    to: str | None
    to_loc: Loc
    texts: list[str]
    loc: Loc
    label: str | None = None


def reference(desk: Desk, frame: Frame, column: str, shape: ReferenceShape | None) -> Reference | None:
    """One reference; None where it is at fault."""
    loc: Loc = (*frame.loc, "references", column)
    if frame.target is not None:
        _landing(desk, frame, column, shape, loc)
    if shape is None:
        return None
    each = elements(desk, frame, column, shape, frame.draft.each.get(column)) if shape.each is not None else None
    if shape.each is not None and each is None:
        return None
    if shape.type is not None and frame.source is not None:
        desk.content_type(frame.source, shape.type, (*loc, "type"))
    start = desk.source.tables[each.table(frame.name)] if each else frame.source
    routes = [_route(desk, start, way) for way in _ways(frame, column, shape, loc)]
    sound = tuple(route for route in routes if route)
    type_ = TYPE if each and shape.by_type else shape.type
    return Reference(column, sound, type_, tuple(shape.sentinels), frozenset(shape.missing), each=each)


def _landing(desk: Desk, frame: Frame, name: str, shape: ReferenceShape | None, loc: Loc) -> None:
    """Is the target column one that can hold another entity's id?"""
    column = desk.fillable(frame, name, loc)
    if name in frame.draft.columns:
        desk.draft.say_key(loc, f"{name} is filled under `columns` too: write it in one of both")
    if column is None:
        return
    if bare(column.type).name != "uuid" and (shape is None or shape.each is None):
        message = f"{name} is {column.type.formatted}, and a reference becomes a uuid: write it under `columns`"
        desk.draft.say_key(loc, message)
    if column.not_null and shape is not None and shape.missing and shape.each is None:
        codes = ", ".join(sorted(reason.value for reason in shape.missing))
        desk.draft.say_key((*loc, "missing"), f"{name} is NOT NULL, so {codes} cannot become NULL: leave `missing` out")


def _ways(frame: Frame, column: str, shape: ReferenceShape, loc: Loc) -> Iterator[Way]:
    if shape.path is not None:
        yield Way(shape.to, (*loc, "to"), shape.path, (*loc, "path"))
    for place, texts in enumerate(shape.paths or ()):
        yield Way(shape.to, (*loc, "to"), texts, (*loc, "paths", place))
    for label in shape.by_type or {}:
        way, here = frame.draft.ways[column, label], (*loc, "by_type", label)
        if way is not None and way.path is not None:
            long = isinstance((shape.by_type or {})[label], dict)
            to_loc = (*here, "to") if way.to is not None else (*loc, "to")
            yield Way(way.to or shape.to, to_loc, way.path, (*here, "path") if long else here, label)


def merge(desk: Desk, frame: Frame) -> Reference | None:
    """How the row is found that stands for a row, too; None where nothing says so, or it is at fault."""
    shape, loc, name = frame.draft.merge, (*frame.loc, "merge"), frame.id_column
    if shape is None or name is None:
        return None
    parent = desk.frames.get(shape.to or "")
    if parent is not None and None not in (parent.target, frame.target) and parent.target != frame.target:
        where = f"{frame.name} fills {frame.target and frame.target.name}"
        desk.draft.say((*loc, "to"), f"{shape.to} fills another table, and {where}: rows are merged within one table")
    if is_there(shape.to):
        desk.draft.say((*loc, "to"), "rows are merged into those of an entity: write its name")
        return None
    if name in frame.draft.references:
        what = f"{name} is that of a parent (`references`), so no other row can stand for this one"
        desk.draft.say_key(loc, f"{what}: write one of both")
    taken = f"{MERGED!r} names the rows for which others stand: write another name"
    if MERGED in (frame.draft.shape.where or {}):
        desk.draft.say_key((*frame.loc, "where", MERGED), taken)
    if frame.draft.query is not None and frame.draft.query.absent == MERGED:
        desk.draft.say((*frame.loc, "from", "absent"), taken)
    if not shape.path:
        return None
    route = _route(desk, frame.source, Way(shape.to, (*loc, "to"), shape.path, (*loc, "path")))
    return Reference(name, (route,), None, tuple(shape.sentinels), ALONE, merges=True) if route else None


def _route(desk: Desk, start: Table | None, way: Way) -> Route | None:
    parent = _parent(desk, way)
    hops = walk(desk, start, way, parent) if start is not None else None
    return Route(way.to, hops, way.label) if way.to is not None and hops else None


def _parent(desk: Desk, way: Way) -> Frame | None:
    known = desk.draft.document.entities or {}
    if is_there(way.to) and way.to is not None:
        return there(desk, way.to, way.to_loc)
    if way.to is None:
        desk.draft.say_key(way.loc, "no `to` says which entity this way leads to: write `{to: <entity>, path: ...}`")
    elif way.to not in known:
        desk.draft.say(way.to_loc, f"there is no entity {way.to!r}: {instead(way.to, known)}")
    return desk.frames.get(way.to or "")


def walk(desk: Desk, start: Table, way: Way, parent: Frame | None) -> tuple[Hop, ...] | None:
    """The hops from a row of `start` to the parent's table; None where one is at fault."""
    written = [((*way.loc, place), hop) for place, text in enumerate(way.texts) for hop in parse(text)]
    slips = [(loc, slip) for loc, slip in written if isinstance(slip, Slip)]
    for loc, slip in slips:
        desk.draft.say(loc, slip.message, slip.offset)
    if slips:
        return None
    hops: list[Hop] = []
    table: Table | None = start
    for number, (loc, text) in enumerate(written, 1):
        if table is None:
            return None
        assert isinstance(text, HopText)
        after = written[number][1] if number < len(written) else None
        onward = after.column if isinstance(after, HopText) and not after.climb else None
        last = number == len(written)
        short = last and (number == 1 or is_there(way.to))
        hop, table = _hop(desk, table, loc, text, parent, onward, alone=short)
        hops += [hop] if hop else []
    _arrived(desk, table, written[-1], parent)
    return tuple(hops) if len(hops) == len(written) else None


def _hop(
    desk: Desk, table: Table, loc: Loc, text: HopText, parent: Frame | None, onward: str | None, *, alone: bool
) -> tuple[Hop | None, Table | None]:
    """A hop from `table`, or None, and the table that it reaches, if that is known. `onward` is where the next hop begins."""
    column = desk.column(table, text.column, loc, text.offset)
    if text.table is None or text.to_column is None:
        return _short(desk, loc, text, column, parent, alone=alone)
    reached = desk.table("source", text.table, loc, text.landing)
    landing = desk.column(reached, text.to_column, loc, text.landing) if reached is not None else None
    if column is None or reached is None or landing is None:
        return None, reached
    if not comparable(column.type, landing.type):
        desk.draft.say(loc, _apart(column, reached, landing), text.offset)
    hop = Hop(text.column, reached.qualified, text.to_column, text.climb, text.until)
    if text.pick:
        rows = picked(desk, reached, text.to_column, text.pick, text.by, onward)
        if isinstance(rows, str):
            desk.draft.say(loc, rows, text.landing)
            return None, reached
        desk.ask(rows, "1", loc, lambda _: None, text.landing)  # whether its rows can be told apart so
        pick = " ".join(filter(None, (text.pick, text.by)))
        return replace(hop, table=rows.qualified, pick=pick, of=text.table), rows
    if text.climb:
        _climb(desk, table, reached, loc, text)
    return hop, reached


def _short(
    desk: Desk, loc: Loc, text: HopText, column: Column | None, parent: Frame | None, *, alone: bool
) -> tuple[Hop | None, Table | None]:
    """The short path: from the row's own column to the parent's key."""
    if parent is None or parent.home is None or not parent.key:
        if not alone:
            message = f"the hop {text.column!r} lands nowhere: write `{text.column} -> table.column`"
            desk.draft.say(loc, message, text.offset)
        return None, None
    where = f"{parent.home.name}.{parent.key[0]}"
    if not alone:
        message = f"the hop {text.column!r} lands nowhere: write such as `{text.column} -> {where}`"
        desk.draft.say(loc, message, text.offset)
        return None, None
    if len(parent.key) > 1:
        key_text = ", ".join(parent.key)
        message = f"{parent.name} has the key ({key_text}): write the hop out, such as `{text.column} -> {where}`"
        desk.draft.say(loc, message, text.offset)
        return None, None
    key = parent.home.column(parent.key[0])
    if column is None or key is None:
        return None, None
    if not comparable(column.type, key.type):
        desk.draft.say(loc, _apart(column, parent.home, key), text.offset)
    of = parent.target.name if parent.home.schema == THERE and parent.target else ""
    return Hop(text.column, parent.home.qualified, parent.key[0], of=of), parent.home


def _apart(column: Column, table: Table, landing: Column) -> str:
    """What is wrong with a hop between two columns that cannot be compared."""
    where = f"{table.name}.{landing.name} is {landing.type.formatted}"
    return f"{column.name} is {column.type.formatted} and {where}: write two columns that can be compared"


def _climb(desk: Desk, table: Table, reached: Table, loc: Loc, text: HopText) -> None:
    assert text.to_column is not None
    if reached.qualified != (table.base or table.qualified):
        advice = f"write `{text.column}* -> {table.name}.<unique column>`, or leave out the `*`"
        message = f"a climb stays in its table: {advice}"
        desk.draft.say(loc, message, text.landing)
    elif not reached.is_unique((text.to_column,)):
        unique = [one.columns[0] for one in reached.uniques if len(one.columns) == 1]
        advice = instead(text.to_column, [f"{reached.name}.{name}" for name in unique])
        message = f"a climb needs a unique column, and {reached.name}.{text.to_column} is none: {advice}"
        desk.draft.say(loc, message, text.landing)
    if text.until is not None:
        desk.condition(reached, text.until, loc, text.condition)


def _arrived(desk: Desk, end: Table | None, last: tuple[Loc, HopText | Slip], parent: Frame | None) -> None:
    """Says so if a path ends elsewhere than in the table of its parent's rows."""
    loc, text = last
    home = parent.home if parent is not None else None
    if parent is not None and parent.query is not None and parent.query.further:
        what = f"{parent.name} has several rows for one of {parent.query.base}, so that no path can tell which is meant"
        desk.draft.say(loc, f"{what}: write an entity whose key is that of the table")
        return
    if parent is None or home is None or end is None or (end.base or end.qualified) == home.qualified:
        return
    assert isinstance(text, HopText)
    hop = f"... -> {home.name}.{parent.key[0] if parent.key else '<column>'}"
    what = f"the path ends in {end.name}, and {parent.name} comes from {home.name}"
    desk.draft.say(loc, f"{what}: write one more hop, such as `{hop}`", text.landing)
