"""Checks how columns are filled, and makes their ColumnRule."""

from __future__ import annotations

import re
from pathlib import Path

from rowcall.mapping.desk import Desk, Frame, no_column
from rowcall.mapping.filler import FillerShape
from rowcall.mapping.fits import bare, conversion_for, fits, is_oid_like, takes
from rowcall.mapping.functions import find_function
from rowcall.mapping.model import PLACEHOLDER, ColumnRule, Loc, PythonCall, ValueMap
from rowcall.mapping.recipes import Made, is_recipe, made
from rowcall.mapping.scalars import not_a_label
from rowcall.mapping.tree import as_text
from rowcall.schema import Column, Table, Type


def column_rule(desk: Desk, frame: Frame, name: str, filler: FillerShape | None) -> ColumnRule | None:
    """One filled column; None where it is at fault."""
    loc: Loc = (*frame.loc, "columns", name)
    column = desk.fillable(frame, name, loc) if frame.target is not None else None
    if filler is None:
        return None
    recipe: Made | None = None
    call: PythonCall | None = None
    if frame.source is not None and is_recipe(filler):
        recipe = made(desk, frame.source, filler, loc)
    elif frame.source is not None and filler.python is not None:
        call = _function(desk, frame.source, filler, loc)
    elif frame.source is not None:
        _input(desk, frame.source, column, filler, loc)
    sql = recipe.sql if recipe else PLACEHOLDER if call else None
    if sql is not None and frame.source is not None:
        desk.ask(frame.source, sql, loc, lambda kind: _misfit(kind, column, filler) if column else None)
    if column is not None:
        _output(desk, column, filler, loc)
    return ColumnRule(
        name,
        source=None if sql else filler.from_,
        sql=sql or filler.sql,
        content_type=filler.content_type,
        constant=as_text(filler.value),
        has_constant="value" in filler.model_fields_set,
        convert=filler.convert,
        values=_values(filler),
        looks_in=recipe.tables if recipe else (),
        python=call,
    )


def _function(desk: Desk, source: Table, filler: FillerShape, loc: Loc) -> PythonCall | None:
    """The function that fills a column; None where there is none."""
    for place, name in enumerate(filler.of or ()):
        desk.column(source, name, (*loc, "of", place))
    try:
        call, digest = find_function(Path(desk.draft.file).resolve().parent, filler.python or "")
    except ValueError as error:
        desk.draft.say((*loc, "python"), f"{error}")
        return None
    return PythonCall(filler.python or "", tuple(filler.of or ()), digest, call)


def _values(filler: FillerShape) -> ValueMap | None:
    if filler.map is None:
        return None
    entries = tuple((key, as_text(value)) for key, value in filler.map.items())
    return ValueMap(entries, filler.else_.otherwise, filler.else_.default) if filler.else_ else ValueMap(entries)


def _input(desk: Desk, source: Table, target: Column | None, filler: FillerShape, loc: Loc) -> None:
    """Is what the column is made from there, and does it fit?"""
    if filler.from_ is not None:
        at: Loc = (*loc, "from")
        column = source.column(filler.from_)
        if column is None:
            desk.draft.say(at, _no_source(source, filler.from_))
        elif target is not None and (wrong := _misfit(column.type, target, filler)):
            desk.draft.say(at, wrong)
    elif filler.sql is not None:
        desk.ask(source, filler.sql, (*loc, "sql"), lambda kind: _misfit(kind, target, filler) if target else None)
    elif filler.content_type is not None:
        _content_type(desk, source, target, filler, loc)


def _no_source(source: Table, name: str) -> str:
    if re.fullmatch(r"[^\W\d][\w$ ]*", name):
        return no_column(source, name)
    advice = 'write `{sql: "..."}` for an expression, `{value: ...}` for a constant'
    return f"{source.name} has no column {name!r}: {advice}"


def _content_type(desk: Desk, source: Table, target: Column | None, filler: FillerShape, loc: Loc) -> None:
    at: Loc = (*loc, "content_type")
    assert filler.content_type is not None
    desk.content_type(source, filler.content_type, at)
    if target is not None and filler.map is None and not bare(target.type).is_text:
        desk.draft.say(at, f"a content type's label is text and {target.name} is {target.type.formatted}: "
                           "write a `map:` from labels to its values")  # fmt: skip
    for label in filler.map or {}:
        text = "null" if label is None else label
        if wrong := not_a_label(text):
            desk.draft.say_key((*loc, "map", text), wrong)


def _misfit(source: Type, target: Column, filler: FillerShape) -> str | None:
    """What is wrong with the type that reaches the target column, if it does."""
    if filler.convert is not None or filler.map is not None:
        return None
    what = f"`{{from: {filler.from_}, convert: %s}}`" if filler.from_ is not None else "`convert: %s` beside the sql"
    if not fits(source, target.type):
        name = conversion_for(target.type)
        advice = what % name if name else f'an `{{sql: "..."}}` that yields {target.type.formatted}'
        return f"{source.formatted} does not become {target.type.formatted} ({target.name}) by itself: write {advice}"
    if is_oid_like(source):
        return (f"{source.formatted} names an object of the source's own catalog, which means nothing in the target: "
                "write `convert: text` into a text column, or leave the column out")  # fmt: skip
    return None


def _output(desk: Desk, column: Column, filler: FillerShape, loc: Loc) -> None:
    """Does what is written down (conversion, constant, results of the map) suit the target column?"""
    if filler.convert is not None:
        _convert(desk, column, filler, (*loc, "convert"))
    if "value" in filler.model_fields_set:
        desk.constant(as_text(filler.value), column, (*loc, "value"))
    for key, value in (filler.map or {}).items():
        desk.constant(as_text(value), column, (*loc, "map", "null" if key is None else key))
    if filler.keeps and not (bare(column.type).is_text or bare(column.type).kind == "e"):
        what = f"`keep` keeps the source's text, and {column.name} is {column.type.formatted}"
        desk.draft.say((*loc, "else"), f"{what}: write `else: reject`, and every value under `map:`")
    if filler.else_ is not None and filler.else_.otherwise == "use":
        inner = (*loc, "else", "value")
        desk.constant(filler.else_.default, column, inner if inner in desk.draft.tree.keys else (*loc, "else"))


def _convert(desk: Desk, column: Column, filler: FillerShape, loc: Loc) -> None:
    assert filler.convert is not None
    if not takes(filler.convert, column.type):
        name = conversion_for(column.type)
        advice = f"write `convert: {name}`" if name else "leave `convert` out"
        what = f"`convert: {filler.convert}` does not yield {column.type.formatted} ({column.name})"
        desk.draft.say(loc, f"{what}: {advice}")
    elif "value" in filler.model_fields_set or filler.content_type is not None or filler.map is not None:
        desk.draft.say(loc, "constants, labels and the results of a map need no conversion: leave `convert` out")
