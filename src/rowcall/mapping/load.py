"""rowcall.yaml -> Draft: the file's parts in shape, and every fault of shape. mapping.check asks the catalogs."""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from rowcall.errors import Faults, MappingError, UsageError
from rowcall.mapping.document import (
    ContentTypesShape,
    CutoffShape,
    DocumentShape,
    EndpointShape,
    EntityShape,
    RepairShape,
    SourceShape,
)
from rowcall.mapping.endpoints import endpoint
from rowcall.mapping.filler import FillerShape
from rowcall.mapping.map_files import with_map_files
from rowcall.mapping.model import Endpoint, Loc
from rowcall.mapping.shape import Shape
from rowcall.mapping.tree import Tree, parse
from rowcall.mapping.ways import EachShape, MergeShape, ReferenceShape, WayShape
from rowcall.mapping.words import closest, instead, too_long

S = TypeVar("S", bound=Shape)


@dataclass
class EntityDraft:
    """An entity in shape. A column, reference or way that is not in shape is None: named, but nothing to check."""

    name: str
    shape: EntityShape
    columns: dict[str, FillerShape | None] = field(default_factory=dict)
    references: dict[str, ReferenceShape | None] = field(default_factory=dict)
    ways: dict[tuple[str, str], WayShape | None] = field(default_factory=dict)
    cutoff: CutoffShape | None = None
    merge: MergeShape | None = None
    each: dict[str, EachShape | None] = field(default_factory=dict)
    table: str | None = None  # where rows come from: a table by its name,
    query: SourceShape | None = None  # or a query

    @property
    def loc(self) -> Loc:
        return ("entities", self.name)


@dataclass
class Draft:
    """A file in shape, as far as it is. `broken` holds the locs that have a fault; `faults` collects what is wrong."""

    file: str
    tree: Tree
    faults: Faults
    document: DocumentShape = field(default_factory=DocumentShape)
    source: Endpoint | None = None
    target: Endpoint | None = None
    content_types: ContentTypesShape | None = None
    entities: dict[str, EntityDraft] = field(default_factory=dict)
    repairs: list[RepairShape] = field(default_factory=list)
    broken: set[Loc] = field(default_factory=set)

    def say(self, loc: Loc, message: str, offset: int | None = None) -> None:
        """A fault at a value (at `offset` characters inside of it, if given)."""
        self.broken.add(loc)
        self.faults.add(*self.tree.place(loc, offset), message)

    def say_key(self, loc: Loc, message: str) -> None:
        """A fault at a key."""
        self.broken.add(loc)
        self.faults.add(*self.tree.key(loc), message)


@dataclass(frozen=True)
class Endpoints:
    """Where both servers are: what a caller needs before the catalogs can be read."""

    source: Endpoint
    target: Endpoint


def peek(path: Path) -> Endpoints:
    """The endpoints of a project file. Raises MappingError with every fault of shape if one of them is broken."""
    draft = load(path)
    if draft.source is None or draft.target is None:
        raise MappingError(draft.faults.found)
    return Endpoints(draft.source, draft.target)


def load(path: Path) -> Draft:
    """The file in shape; its faults stay in the draft. Raises UsageError (no such file) or MappingError (not YAML)."""
    faults = Faults(str(path))
    draft = Draft(str(path), parse(read_text(path, faults), faults), faults)
    draft.document = read(draft, DocumentShape, draft.tree.value, ()) or draft.document
    document = draft.document
    draft.source = _endpoint(draft, "source", document.source)
    draft.target = _endpoint(draft, "target", document.target)
    if draft.source is not None and draft.source == draft.target:
        draft.say_key(("target",), "source and target are the same: write another server, or another `schema:`")
    if document.content_types is not None:
        draft.content_types = read(draft, ContentTypesShape, document.content_types, ("content_types",))
    for name, raw in (document.entities or {}).items():
        read_entity(draft, name, raw)
    for place, raw in enumerate(document.repairs or ()):
        if (shape := read(draft, RepairShape, raw, ("repairs", place))) is not None:
            draft.repairs.append(shape)
    return draft


def read_text(path: Path, faults: Faults) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        column = error.start - (before.rfind(b"\n") + 1) + 1
        faults.add(before.count(b"\n") + 1, column, "the file is not UTF-8 here: save it as UTF-8")
        raise MappingError(faults.found) from None
    except FileNotFoundError:
        hint = "`rowcall demo` makes a whole project, docs/mapping.md says how to write one, `-p PATH` names another"
        raise UsageError(f"there is no project file {path}", hint=hint) from None
    except OSError as error:
        hint = "name a project file that you may read"
        raise UsageError(f"cannot read {path}: {error.strerror}", hint=hint) from None


def _endpoint(draft: Draft, side: str, raw: object) -> Endpoint | None:
    shape = read(draft, EndpointShape, raw, (side,)) if raw is not None else None
    if shape is None:
        return None
    found, faults = endpoint(shape)
    for key, message in faults:
        draft.say((side, key) if key else (side,), message)
    return found


def read_entity(draft: Draft, name: str, raw: object) -> None:
    loc: Loc = ("entities", name)
    if wrong := too_long(name):
        draft.say_key(loc, wrong)
    elif not re.fullmatch(r"[^\W\d][\w-]*", name):
        advice = "write letters, digits, `_` and `-` only, and the target's table behind `to:`"
        draft.say_key(loc, f"{name!r} is no name for an entity: {advice}")
    shape = read(draft, EntityShape, raw, loc)
    if shape is None:
        return
    entity = draft.entities[name] = EntityDraft(name, shape)
    _read_source(draft, entity, shape.from_)
    if shape.cutoff is not None:
        entity.cutoff = read(draft, CutoffShape, shape.cutoff, (*loc, "cutoff"))
    if shape.merge is not None:
        entity.merge = read(draft, MergeShape, shape.merge, (*loc, "merge"))
    for column, filler in (shape.columns or {}).items():
        at: Loc = (*loc, "columns", column)
        entity.columns[column] = read(
            draft, FillerShape, with_map_files(filler, Path(draft.file).parent, at, draft.say), at
        )
    for column, reference in (shape.references or {}).items():
        here: Loc = (*loc, "references", column)
        entity.references[column] = found = read(draft, ReferenceShape, reference, here)
        if found is not None and found.each is not None:
            entity.each[column] = read(draft, EachShape, found.each, (*here, "each"))
        for label, way in ((found and found.by_type) or {}).items():
            entity.ways[column, label] = read(draft, WayShape, way, (*here, "by_type", label))


def _read_source(draft: Draft, entity: EntityDraft, raw: object) -> None:
    loc: Loc = (*entity.loc, "from")
    if isinstance(raw, str) and raw.strip():
        entity.table = raw
    elif isinstance(raw, dict):
        entity.query = read(draft, SourceShape, raw, loc)
    elif raw is not None:
        what = "is blank" if isinstance(raw, str) else f"is {_kind(raw)}"
        draft.say(loc, f"{what}: write the source table, or `{{query: <SELECT>, base: <table>}}`")


# Shapes whose keys only mean something together: with one fault there is nothing left to check.
_WHOLE: tuple[type[Shape], ...] = (
    FillerShape,
    ReferenceShape,
    EachShape,
    MergeShape,
    WayShape,
    EndpointShape,
    SourceShape,
)


def read(draft: Draft, shape: type[S], raw: object, loc: Loc) -> S | None:
    """A part of the file in its shape, without what is at fault; None if nothing sound is left."""
    raw = shape.long(raw)
    if not isinstance(raw, dict):
        found = "" if raw is None else f", not {_kind(raw)}"
        draft.say(loc, f"takes {shape.kind}{found}" if loc else f"a project file is {shape.kind}")
        return None
    for key, advice in shape.required.items():
        if raw.get(key) is None and closest(key, raw.keys() - set(shape.keys()) - {None}) is None:
            (draft.say if key in raw else draft.say_key)((*loc, key), f"`{key}` is missing: {advice}")
    try:
        return shape.model_validate(raw)
    except ValidationError as error:
        bad = {key for one in error.errors(include_url=False) for key in _tell(draft, shape, one, loc)}
    return None if issubclass(shape, _WHOLE) else _without(shape, raw, bad)


def _without(shape: type[S], raw: MappingOf[Any, object], bad: set[object]) -> S | None:
    try:
        return shape.model_validate({key: value for key, value in raw.items() if key not in bad})
    except ValidationError:
        return None


def _tell(draft: Draft, shape: type[Shape], error: Any, loc: Loc) -> list[object]:
    """Says one of pydantic's errors in plain words; the keys of the part that it makes useless."""
    inner = tuple(part for part in error["loc"] if part != "[key]")
    at: Loc = (*loc, *(part for part in inner if isinstance(part, str | int)))
    if error["type"] == "extra_forbidden":
        key = str(inner[-1])
        quotes = "write the whole path in quotes, or each hop on its own line below `path:`"
        draft.say_key(at, f"there is no key {key!r} here: {quotes if '->' in key else instead(key, shape.keys())}")
        meant = closest(key, shape.keys())
        draft.broken.add((*loc, meant or key))
        return [key, meant]
    (draft.say_key if "[key]" in error["loc"] else draft.say)(at, in_words(error))
    draft.broken.add((*loc, *at[len(loc) : len(loc) + 1]))
    return [inner[0] if inner else None]


def in_words(error: Any) -> str:
    """What is wrong with a value, and what to write instead. Never quotes the value: it might hold a secret."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"must be {context['expected']}: write that"
    for sign, wanted in _WANTED.items():
        if kind.startswith(sign):
            return f"{wanted}, not {_kind(error['input'])}" if kind.endswith("_type") else wanted
    return f"cannot stand here ({kind}): see the syntax of rowcall.yaml"


_WANTED = {
    "string_pattern": "is blank: write some text",
    "string_too_short": "is blank: write some text",
    "too_short": "is empty: write at least one",
    "string_type": "must be text: write it in quotes",
    "invalid_key": "a key must be text: write it in quotes",
    "bool": "must be true or false: write one of them",
    "int": "must be a whole number: write one",
    "list": "must be a list: write `[a, b]` or lines that start with `- `",
    "dict": "must be a mapping: write `key: value` lines below it",
}


def _kind(value: object) -> str:
    names = {dict: "a mapping", list: "a list", bool: "true or false", str: "text", type(None): "nothing"}
    return names.get(type(value), "a number")
