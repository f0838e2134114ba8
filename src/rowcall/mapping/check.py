"""Draft + both catalogs -> Mapping. Everything that is wrong is told at once."""

from __future__ import annotations

from pathlib import Path

from rowcall.mapping.columns import column_rule
from rowcall.mapping.desk import Desk, Frame, Probe
from rowcall.mapping.fingerprint import fingerprint
from rowcall.mapping.fits import TIMES, bare
from rowcall.mapping.frames import frame
from rowcall.mapping.load import load
from rowcall.mapping.model import (
    RETURNED,
    ContentTypes,
    Cutoff,
    Deleted,
    Entity,
    Ids,
    Loc,
    Mapping,
    PlannedRepair,
    Rule,
)
from rowcall.mapping.references import merge, reference
from rowcall.mapping.views import read_views
from rowcall.mapping.words import instead, too_long
from rowcall.rows import Reason
from rowcall.schema import Column, Schema


def read_mapping(path: Path, source: Schema, target: Schema, probe: Probe) -> Mapping:
    """The project file, checked against both catalogs. Raises UsageError (no file) or MappingError with every fault."""
    draft = load(path)
    desk = Desk(draft, source, target)
    read_views(desk, probe)
    desk.frames = {name: frame(desk, entity, probe) for name, entity in draft.entities.items()}
    _causes(desk)
    entities = [entity for one in desk.frames.values() if (entity := entity_of(desk, one))]
    _identities(desk)
    _merges(desk)
    content_types = _content_types(desk)
    desk.settle(probe)
    draft.faults.raise_if_any()
    return _mapping(desk, tuple(entities), content_types)


def _mapping(desk: Desk, entities: tuple[Entity, ...], content_types: ContentTypes) -> Mapping:
    draft = desk.draft
    document = draft.document
    assert draft.source is not None  # else there were faults
    assert draft.target is not None
    assert document.namespace is not None
    return Mapping(
        file=draft.file,
        project=document.project or "",
        namespace=document.namespace,
        source=draft.source,
        target=draft.target,
        entities=entities,
        content_types=content_types,
        budget=document.error_budget,
        workers=document.workers,
        remedies={c: {r: s or {} for r, s in given.items()} for c, given in (document.remedies or {}).items()},
        repairs=tuple(PlannedRepair(r.cause or "", r.remedy or "", r.set_, r.reason, r.follow) for r in draft.repairs),
        fingerprint=fingerprint(document.namespace, entities, content_types, document.views or {}),
        queries=(
            *(one.source for one in desk.frames.values() if one.query is not None and one.source is not None),
            *desk.views.values(),
        ),
        there=tuple(desk.there.values()),
        positions=dict(draft.tree.keys),
    )


def _causes(desk: Desk) -> None:
    """Says which causes of `remedies` and `repairs` name no entity or no code."""
    named: list[tuple[str, Loc]] = [(c, ("remedies", c)) for c in desk.draft.document.remedies or ()]
    named += [(r.cause, ("repairs", place, "cause")) for place, r in enumerate(desk.draft.repairs) if r.cause]
    codes = [reason.value for reason in Reason]
    for cause, loc in named:
        entity, _, code = cause.partition("/")
        say = desk.draft.say_key if loc[0] == "remedies" else desk.draft.say
        if entity not in (known := desk.draft.document.entities or {}):
            say(loc, f"there is no entity {entity!r}: {instead(entity, known)}")
        elif code not in codes:
            say(loc, f"{code!r} is no reason code: {instead(code, codes)}")


def entity_of(desk: Desk, one: Frame) -> Entity | None:
    """An entity, with all of its parts checked; None if its tables are not known."""
    draft = one.draft
    columns = [column_rule(desk, one, name, filler) for name, filler in draft.columns.items()]
    references = [merge(desk, one), *(reference(desk, one, name, shape) for name, shape in draft.references.items())]
    where, rules, cutoff = _rules(desk, one, "where"), _rules(desk, one, "rules"), _cutoff(desk, one)
    _required(desk, one)
    if one.source is None or one.target is None or one.id_column is None:
        return None
    return Entity(
        name=one.name,
        source=one.source.qualified,
        target=one.target.qualified,
        key=one.key,
        id_column=one.id_column,
        identity=one.identity,
        columns=tuple(rule for rule in columns if rule),
        references=tuple(found for found in references if found),
        where=where,
        rules=rules,
        cutoff=cutoff,
        impact=draft.shape.impact or "",
        budget=draft.shape.error_budget,
        load=draft.shape.load or desk.draft.document.load,
        query=one.query,
        ids=_ids(desk, one),
        deleted=_deleted(desk, one),
        declared=one.declared,
    )


def _rules(desk: Desk, one: Frame, section: str) -> tuple[Rule, ...]:
    """The named conditions of `where` or `rules`; a name stands for one condition in an entity."""
    shape = one.draft.shape
    named = (shape.where if section == "where" else shape.rules) or {}
    for name, condition in named.items():
        loc: Loc = (*one.loc, section, name)
        if wrong := too_long(name):
            desk.draft.say_key(loc, wrong)
        if section == "rules" and name in (shape.where or {}):
            desk.draft.say_key(loc, f"{name!r} names a condition of `where` too: write another name")
        if one.source is not None:
            desk.condition(one.source, condition, loc)
    found = tuple(Rule(name, condition) for name, condition in named.items())
    if section == "rules" or one.query is None or one.draft.query is None:
        return found
    absent = one.draft.query.absent
    if absent in named:
        desk.draft.say_key(
            (*one.loc, "where", absent), f"{absent!r} names the rows that the query does not return: write another name"
        )
    return (Rule(absent, RETURNED), *found)


def _cutoff(desk: Desk, one: Frame) -> Cutoff | None:
    shape, loc = one.draft.cutoff, (*one.loc, "cutoff", "column")
    if shape is None or shape.column is None or one.source is None:
        return None
    column = desk.column(one.source, shape.column, loc)
    if column is not None and bare(column.type).name not in TIMES:
        times = [other.name for other in one.source.columns if bare(other.type).name in TIMES]
        advice = f"write a column that holds one, such as {times[0]}" if times else "leave `cutoff` out"
        desk.draft.say(loc, f"{shape.column} is {column.type.formatted}, not a time: {advice}")
    return Cutoff(shape.column, shape.at) if shape.at else None


def _ids(desk: Desk, one: Frame) -> Ids:
    """How ids are made; a fault where the id is filled otherwise, or no time is there."""
    shape, loc = one.draft.shape.ids, (*one.loc, "ids")
    name = one.id_column or ""
    kept, inherited = name in one.draft.columns, name in one.draft.references
    if "ids" in one.draft.shape.model_fields_set and (kept or inherited):
        part = "columns" if kept else "references"
        desk.draft.say_key(loc, f"`{part}` says where {name} comes from, too: write one of both")
    if kept and (filler := one.draft.columns[name]) is not None and filler.from_ is None:
        desk.draft.say_key(
            (*one.loc, "columns", name), f"{name} keeps a uuid of the source: write the column that holds it"
        )
    if shape.column is not None and one.source is not None:
        column = desk.column(one.source, shape.column, loc)
        if column is not None and bare(column.type).name not in TIMES:
            desk.draft.say(loc, f"{shape.column} is {column.type.formatted}, not a time: write a column that holds one")
    return Ids(shape.version, shape.column)


def _deleted(desk: Desk, one: Frame) -> Deleted:
    """What becomes of rows that the source deletes; a fault where the column for the mark cannot take it."""
    own = one.draft.shape.deleted
    shape, loc = own or desk.draft.document.deleted, (*one.loc, "deleted") if own else ("deleted",)
    if shape.column is not None and one.target is not None:
        column = desk.column(one.target, shape.column, loc)
        if column is not None and bare(column.type).name not in {*TIMES, "bool"}:
            what = f"{one.target.name}.{column.name} is {column.type.formatted}"
            desk.draft.say(loc, f"{what}, and takes no mark: write a column for a time or a boolean")
        if shape.column in {one.id_column, *one.draft.columns, *one.draft.references}:
            desk.draft.say(loc, f"{shape.column} is filled from the source: write a column that nothing else fills")
    return Deleted(shape.choice, shape.column)


def _required(desk: Desk, one: Frame) -> None:
    """Says which required target columns nothing fills."""
    sections = [(*one.loc, section) for section in ("columns", "references")]
    if one.target is None or one.id_column is None or desk.draft.broken.intersection(sections):
        return
    filled = {one.id_column, *one.draft.columns, *one.draft.references}
    for column in one.target.columns:
        given = column.has_default or column.generated or column.identity
        if column.not_null and not given and column.name not in filled:
            what = f"nothing fills {one.target.name}.{column.name}, which is NOT NULL without a default"
            desk.draft.say_key(sections[0], f"{what}: write {_filler(one, column)}")


def _filler(one: Frame, column: Column) -> str:
    if any(key.columns == (column.name,) for key in (one.target.foreign_keys if one.target else ())):
        return f"`{column.name}: {{to: <entity>, path: <path>}}` under `references`"
    same = one.source is not None and one.source.column(column.name) is not None
    return f"`{column.name}: {column.name if same else '<source column>'}` under `columns`"


def _identities(desk: Desk) -> None:
    """Two entities with one target and one identity would give the same id to equal keys."""
    seen: dict[tuple[str, str], Frame] = {}
    for one in desk.frames.values():
        if one.target is None:
            continue
        first = seen.setdefault((one.target.qualified, one.identity), one)
        if first is not one:
            loc: Loc = (*one.loc, "identity")
            what = f"{first.name} fills {one.target.name} with the identity {one.identity!r} too"
            desk.draft.say_key(loc, f"{what}, so equal keys would get one id: write another `identity:`")


def _merges(desk: Desk) -> None:
    """Entities that are merged into each other: which row would stay?"""
    into = {name: one.draft.merge.to for name, one in desk.frames.items() if one.draft.merge}
    for name, one in desk.frames.items():
        seen, at = [name], into.get(name)
        while at is not None and at not in seen:
            seen.append(at)
            at = into.get(at)
        if at == name and len(seen) > 1:
            way = " into ".join([*seen, name])
            desk.draft.say_key((*one.loc, "merge"), f"{way}: rows that are merged in a circle have none that stays")


def _content_types(desk: Desk) -> ContentTypes:
    shape = desk.draft.content_types
    formerly = {label: tuple(ids) for label, ids in ((shape and shape.formerly) or {}).items()}
    owners: dict[int, str] = {}
    for label, ids in formerly.items():
        for place, number in enumerate(ids):
            if owners.setdefault(number, label) != label:
                loc: Loc = ("content_types", "formerly", label, place)
                desk.draft.say(loc, f"{number} was {owners[number]} already: write it under one type")
    name = (shape and shape.table) or "django_content_type"
    used = _first_use(desk)
    if shape is None and used is None:
        default = desk.draft.source.schema if desk.draft.source else desk.source.default
        return ContentTypes(f"{default}.{name}", formerly)
    where: Loc = ("content_types", "table") if shape is not None else used or ()
    table = desk.table("source", name, where)
    lacking = [name for name in ("id", "app_label", "model") if table is not None and table.column(name) is None]
    if table is not None and lacking:
        what = f"{table.name} has no column {' and '.join(map(repr, lacking))}, so it holds no content types"
        desk.draft.say(where, f"{what}: write Django's table")
    return ContentTypes(table.qualified if table else name, formerly)


def _first_use(desk: Desk) -> Loc | None:
    """Where the file first speaks of content types."""
    for one in desk.frames.values():
        for name, filler in one.draft.columns.items():
            if filler is not None and filler.content_type is not None:
                return (*one.loc, "columns", name, "content_type")
        for name, shape in one.draft.references.items():
            if shape is not None and shape.type is not None:
                return (*one.loc, "references", name, "type")
    return None
