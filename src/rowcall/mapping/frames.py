"""An entity's frame: its two tables, its key in the source and its id column in the target."""

from __future__ import annotations

from rowcall.mapping.desk import Desk, Frame, no_column
from rowcall.mapping.fits import bare
from rowcall.mapping.load import EntityDraft
from rowcall.mapping.words import one_of
from rowcall.schema import Table


def frame(desk: Desk, entity: EntityDraft) -> Frame:
    """What can be told of an entity's tables; what cannot is a fault."""
    shape, loc = entity.shape, entity.loc
    source = desk.table("source", shape.from_, (*loc, "from")) if shape.from_ else None
    unsure = {(*loc, "to")} & desk.draft.broken
    target = None if unsure else desk.table("target", shape.to or entity.name, (*loc, "to"))
    if target is not None and target.kind not in ("r", "p"):
        desk.draft.say((*loc, "to"), f"{target.name} is no table that can be filled: write an ordinary table")
    key = _key(desk, entity, source) if source is not None and (*loc, "key") not in desk.draft.broken else ()
    sound = (*loc, "id") not in desk.draft.broken
    id_column = _id_column(desk, entity, target) if target is not None and sound else None
    return Frame(entity, source, target, key, id_column)


def _key(desk: Desk, entity: EntityDraft, source: Table) -> tuple[str, ...]:
    """The source's key columns; () where they are at fault."""
    given = entity.shape.key
    if given is None:
        if source.primary_key is not None:
            return source.primary_key.columns
        message = f"{source.name} has no primary key: {_keys_to_write(source)}"
        desk.draft.say_key((*entity.loc, "key"), message)
        return ()
    loc = (*entity.loc, "key")
    columns = [desk.column(source, name, (*loc, place)) for place, name in enumerate(given)]
    known = [column for column in columns if column is not None]
    if len(known) < len(given):
        return ()
    primary = source.primary_key.columns if source.primary_key else ()
    nullable = [column.name for column in known if not column.not_null and column.name not in primary]
    if nullable or not source.is_unique(tuple(given)):
        what = (
            f"{', '.join(nullable)} may be NULL" if nullable else f"({', '.join(given)}) is not unique in the catalog"
        )
        desk.draft.say(loc, f"{what}, so it is no key: {_keys_to_write(source)}")
    return tuple(given)


def _keys_to_write(source: Table) -> str:
    """Which keys the catalog offers."""
    primary = source.primary_key.columns if source.primary_key else ()
    required = {column.name for column in source.columns if column.not_null} | set(primary)
    keys = [unique.columns for unique in source.uniques if set(unique.columns) <= required]
    if not keys:
        return f"{source.name} needs a unique index over NOT NULL columns first; then write them as `key:`"
    return "write " + one_of([f"`key: {key[0] if len(key) == 1 else '[' + ', '.join(key) + ']'}`" for key in keys])


def _id_column(desk: Desk, entity: EntityDraft, target: Table) -> str | None:
    """The target's uuid key column; None where there is none."""
    loc, name = (*entity.loc, "id"), entity.shape.id
    unique = [column for column in target.columns if target.is_unique((column.name,))]
    uuids = [column.name for column in unique if bare(column.type).name == "uuid"]
    if name is None:
        primary = target.primary_key.columns if target.primary_key else ()
        if len(primary) == 1 and primary[0] in uuids:
            return primary[0]
        what = f"the key of {target.name} is not one uuid column"
        advice = f"write `id: {uuids[0]}`" if uuids else "give the target a uuid primary key"
        desk.draft.say_key(loc, f"{what}: {advice}")
        return None
    column = target.column(name)
    if column is None:
        desk.draft.say(loc, no_column(target, name))
        return None
    advice = f"write {one_of(uuids)}" if uuids else "give the target a uuid primary key"
    if bare(column.type).name != "uuid":
        desk.draft.say(loc, f"{name} is {column.type.formatted}, and ids are uuids: {advice}")
        return None
    elif column.generated or not target.is_unique((name,)):
        what = "generated" if column.generated else "not unique"
        desk.draft.say(loc, f"{name} is {what}, so it holds no ids: {advice}")
        return None
    return name
