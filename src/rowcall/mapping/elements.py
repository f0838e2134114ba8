"""Checks where the elements of a reference stand (`each`), and makes their Each."""

from __future__ import annotations

import re

from rowcall.mapping.desk import Desk, Frame
from rowcall.mapping.fits import bare
from rowcall.mapping.model import ALL, ARRAY, EACH, ELEMENT, JSON, KEYS, TEXT, TYPE, Each, Loc
from rowcall.mapping.ways import EachShape, ReferenceShape
from rowcall.schema import Column, Table, Type

_TEXT = Type(25, "text", "pg_catalog", "text", "pg_catalog.text", "pg_catalog.textsend", category="S")
_STEP = re.compile(r"""\.(?P<name>[^\W\d]\w*)|\[(?P<all>\*)\]|\[?"(?P<quoted>[^"\\]+)"\]?|\."(?P<dotted>[^"\\]+)\"""")
_PLACE = re.compile(r"\{(type|id)\}")
_JSON = ("json", "jsonb")
VALID_FROM = 160000  # pg_input_is_valid


def elements(desk: Desk, frame: Frame, column: str, shape: ReferenceShape, given: EachShape | None) -> Each | None:
    """Where the elements are; None where it is at fault."""
    loc: Loc = (*frame.loc, "references", column, "each")
    if given is None or given.of is None or frame.source is None or frame.target is None:
        return None
    found = desk.column(frame.source, given.of, (*loc, "of") if (*loc, "of") in desk.draft.tree.keys else loc)
    target = frame.target.column(column)
    if found is None or target is None:
        return None
    kind = _kind(found, given)
    path, packed = _path(desk, given, kind, loc), _packed(desk, given, shape, loc)
    if path is None or packed is None:
        return None
    stored = "text" if bare(found.type).is_text else bare(found.type).name.removeprefix("_")
    each = Each(given.of, kind, path, packed, stored)
    if wrong := _wrong(found, target, each, shape) or _too_old(desk, each):
        desk.draft.say_key(loc, wrong)
        return None
    _see(desk, frame, each)
    return each


def _kind(column: Column, given: EachShape) -> str:
    if bare(column.type).element and bare(column.type).name.startswith("_"):
        return ARRAY
    if given.keys_ is not None:
        return KEYS
    return JSON if given.at is not None else TEXT


def _path(desk: Desk, given: EachShape, kind: str, loc: Loc) -> tuple[str, ...] | None:
    """The steps to the elements in JSON: names, and ALL for each item of an array."""
    key, text = ("keys", given.keys_) if given.keys_ is not None else ("at", given.at)
    if text is None:
        return ()
    if kind == ARRAY:
        desk.draft.say_key((*loc, key), f"{given.of} is an array, not JSON: leave `{key}` out")
        return None
    steps, at = [], 1
    while text.startswith("$") and at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            break
        steps.append(ALL if step["all"] else step["name"] or step["quoted"] or step["dotted"])
        at = step.end()
    if not text.startswith("$") or at != len(text):
        advice = "write such as `$.watchers[*].user` (`[*]`: each item of an array)"
        wrong_at = at if text.startswith("$") else 0
        desk.draft.say((*loc, key), f"cannot read this place in JSON: {advice}", wrong_at)
        return None
    return tuple(steps)


def _packed(desk: Desk, given: EachShape, shape: ReferenceShape, loc: Loc) -> tuple[str, ...] | None:
    """Literals and parts, in turn; () where an element is nothing but a key."""
    if given.packed is None and not shape.by_type:
        return ()
    if given.packed is None:
        wanted = 'write `packed:`, such as "{type}:{id}"'
        desk.draft.say_key(loc, f"by which type an element goes its way stands in it: {wanted}")
        return None
    parts = _PLACE.split(given.packed)
    parts[1::2] = [ELEMENT if part == "id" else TYPE for part in parts[1::2]]
    places, between = parts[1::2], parts[2:-1:2]
    if places.count(ELEMENT) != 1 or places.count(TYPE) != int(bool(shape.by_type)) or not all(between):
        typed = "`{type}`, `{id}` and a sign between them"
        wanted = typed if shape.by_type else "`{id}`, and `{type}` only beside `by_type`"
        desk.draft.say((*loc, "packed"), f"says how one element is written: write {wanted}")
        return None
    return tuple(parts)


def _wrong(column: Column, target: Column, each: Each, shape: ReferenceShape) -> str | None:
    """What is wrong with the columns, or with what may become NULL."""
    given, wanted = bare(column.type), bare(target.type)
    what = f"{column.name} is {column.type.formatted}"
    into = f"{target.name} is {target.type.formatted}"
    if each.kind == ARRAY:
        fits = ("_text", "_varchar") if each.packed else ("_uuid",)
        ok = wanted.name in fits and target.type.modifier < 0
        return None if ok else f"{what}, and {into}: such elements need {'text[]' if each.packed else 'uuid[]'}"
    if each.kind in (JSON, KEYS):
        if given.name not in _JSON and not given.is_text:
            return f"{what}: write a column that holds JSON"
        if wanted.name not in _JSON:
            return f"{into}: what is in JSON stays in JSON, so write a json or jsonb column"
        return "a key cannot become NULL: leave `missing` out" if each.kind == KEYS and shape.missing else None
    if not given.is_text or not each.packed:
        return f"{what}: write how an element is `packed` in a text, or where it is in JSON (`at`, `keys`)"
    if not wanted.is_text or wanted.max_length is not None or wanted.name in ("bpchar", "name"):
        return f"{into}, and a text with uuids in it needs one without a limit"
    return "a part of a text cannot become NULL: leave `missing` out" if shape.missing else None


def _too_old(desk: Desk, each: Each) -> str | None:
    if each.kind not in (JSON, KEYS) or each.given == "jsonb" or desk.source.server_version >= VALID_FROM:
        return None
    return f"{each.column} is {each.given}, and only Postgres 16 can tell what of it jsonb takes: write a query with a jsonb column"


def _see(desk: Desk, frame: Frame, each: Each) -> None:
    """The elements as a table on which paths begin."""
    names = ("rowcall_at", "rowcall_k", "rowcall_raw", ELEMENT, TYPE)
    schema, name = each.table(frame.name).split(".", 1)
    table = Table(schema, name, tuple(Column(n, _TEXT) for n in names), "q")
    assert schema == EACH
    desk.views[table.qualified] = table
    desk.source = desk.source.beside([table])
