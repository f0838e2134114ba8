"""An entity's frame: its two tables, its key in the source and its id column in the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

from rowcall.mapping.desk import Desk, Frame, Probe, no_column
from rowcall.mapping.document import SourceShape
from rowcall.mapping.fits import bare
from rowcall.mapping.load import EntityDraft
from rowcall.mapping.model import KEY, QUERY, RETURNED, Loc, Query
from rowcall.mapping.words import instead, one_of
from rowcall.schema import INTEGERS, Column, Selected, Table, Type, Unique
from rowcall.sql import ident

ORDERED = INTEGERS | {"uuid"}  # types whose values compare alike everywhere: they have no collation and one text each
ALIKE = {"text", "varchar"}


def frame(desk: Desk, entity: EntityDraft, probe: Probe) -> Frame:
    """What can be told of an entity's tables; what cannot is a fault."""
    loc = entity.loc
    if entity.query is not None:
        return replace(_over_query(desk, entity, entity.query, probe), **_target(desk, entity))
    source = desk.table("source", entity.table, (*loc, "from")) if entity.table else None
    if source is not None and entity.shape.rows == "counted":
        return replace(_counted(desk, entity, source, probe), **_target(desk, entity))
    key = _key(desk, entity, source) if source is not None and (*loc, "key") not in desk.draft.broken else ()
    return Frame(entity, source, key=key, declared=entity.shape.rows == "unique", **_target(desk, entity))


def _counted(desk: Desk, entity: EntityDraft, table: Table, probe: Probe) -> Frame:
    """A table without a key, as if its rows had one."""
    loc: Loc = (*entity.loc, "rows")
    if entity.shape.key is not None:
        desk.draft.say(loc, "rows that are counted need no `key`: leave it out, or write `rows: unique`")
    if table.primary_key is not None:
        desk.draft.say(loc, f"{table.name} has a primary key, by which its rows are told apart: leave `rows` out")
    names = tuple(column.name for column in table.columns)
    query = Query("", table.qualified, (), names, (), (KEY,), counted=True)
    source = _as_table(entity, query, table, Selected(table.columns, ()), probe)
    desk.source = desk.source.beside([source])
    desk.relations[source.qualified] = query.relation(entity.name)
    return Frame(entity, source, None, (KEY,), None, query, table)


class _Target(TypedDict):
    target: Table | None
    id_column: str | None


def _target(desk: Desk, entity: EntityDraft) -> _Target:
    shape, loc = entity.shape, entity.loc
    unsure = {(*loc, "to")} & desk.draft.broken
    target = None if unsure else desk.table("target", shape.to or entity.name, (*loc, "to"))
    if target is not None and target.kind not in ("r", "p"):
        desk.draft.say((*loc, "to"), f"{target.name} is no table that can be filled: write an ordinary table")
    sound = (*loc, "id") not in desk.draft.broken
    id_column = _id_column(desk, entity, target) if target is not None and sound else None
    if target is not None and id_column is not None:
        target = target.requiring(id_column)
    return {"target": target, "id_column": id_column}


def _over_query(desk: Desk, entity: EntityDraft, shape: SourceShape, probe: Probe) -> Frame:
    """A query, as if it were a table: a row for each of its base table, or where `key` has further columns, several."""
    nothing, loc = Frame(entity, None, None), (*entity.loc, "from")
    base = desk.table("source", shape.base, (*loc, "base")) if shape.base else None
    sql = (shape.query or "").strip("; \t\r\n")
    answer = probe.query(sql)
    if isinstance(answer, str):
        desk.draft.say((*loc, "query"), f"the source does not take this query ({answer}): write one SELECT")
        return nothing
    if base is None:
        return nothing
    if base.primary_key is None and entity.shape.key is None:
        desk.draft.say((*loc, "base"), f"{base.name} has no primary key: write unique NOT NULL columns of it as `key:`")
        return nothing
    names = [column.name for column in answer.columns]
    key, further = _query_key(desk, entity, base, names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or {RETURNED, KEY}.intersection(names):
        what = f"two columns are named {twice[0]!r}" if twice else f"{RETURNED} and {KEY} are names of rowcall's own"
        desk.draft.say((*loc, "query"), f"{what}: give them other names, by AS")
        return nothing
    if not key:
        return nothing
    if not _comparable(desk, entity, base, answer, key):
        return nothing
    texts = tuple(name for name in key if bare(need(base, name).type).is_text)
    ordered = all(bare(need(base, name).type).name in ORDERED for name in key)
    query = Query(sql, base.qualified, key, tuple(names), answer.tables, further, texts, ordered)
    grouped = ", ".join(ident(name) for name in (*key, *further))
    (wrong,) = probe.types(f"(select {grouped} from (\n{sql}\n) q group by {grouped}) t", ["1"])
    if isinstance(wrong, str):
        desk.draft.say_key((*entity.loc, "key"), f"rows cannot be told apart by ({grouped}): {wrong}")
        return nothing
    source = _as_table(entity, query, base, answer, probe)
    desk.source = desk.source.beside([source])
    desk.relations[source.qualified] = query.relation(entity.name, "true")
    return Frame(entity, source, None, (KEY,) if further else key, None, query, base)


def _query_key(
    desk: Desk, entity: EntityDraft, base: Table, names: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The key's columns of the base table, which the query must return, too, and further ones of the query alone."""
    primary = base.primary_key.columns if base.primary_key else ()
    given = tuple(entity.shape.key or primary)
    key = primary if primary and set(primary) <= set(given) else _contained(base, given)
    further = tuple(name for name in given if name not in key)
    if not base.is_unique(key) or any(c is None or not c.not_null for c in map(base.column, key)):
        listed = ", ".join(given)
        desk.draft.say_key((*entity.loc, "key"), f"({listed}) has no key of {base.name} in it: {_keys_to_write(base)}")
        return (), ()
    for name in (*key, *further):
        if name not in names:
            loc: Loc = (*entity.loc, "from", "query")
            desk.draft.say(loc, f"it does not return {name}, which is of the key: {instead(name, names)}")
            return (), ()
    return key, further


def _contained(base: Table, given: tuple[str, ...]) -> tuple[str, ...]:
    """The smallest unique key of the base table among these columns; all of them where there is none."""
    keys = [u.columns for u in base.uniques if set(u.columns) <= set(given)]
    required = [key for key in keys if all(need(base, name).not_null for name in key)]
    return min(required, key=len, default=given)


def _comparable(desk: Desk, entity: EntityDraft, base: Table, answer: Selected, key: tuple[str, ...]) -> bool:
    """Whether the query returns the key in the base table's own types; a fault where it does not."""
    loc: Loc = (*entity.loc, "from", "query")
    for column in (c for c in answer.columns if c.name in key):
        given, wanted = bare(column.type), bare(need(base, column.name).type)
        if (
            given.name != wanted.name
            and not (given.is_integer and wanted.is_integer)
            and {given.name, wanted.name} != ALIKE
        ):
            what = f"{column.name} is {given.formatted} in the query and {wanted.formatted} in {base.name}"
            desk.draft.say(loc, f"{what}: write `{column.name}::{wanted.formatted} as {column.name}`")
            return False
    return True


def need(table: Table, name: str) -> Column:
    found = table.column(name)
    assert found is not None, name
    return found


def _as_table(entity: EntityDraft, query: Query, base: Table, answer: Selected, probe: Probe) -> Table:
    """What its rows look like: columns of the key are those of the base table."""
    columns = [base.column(c.name) or c if c.name in query.key else c for c in answer.columns]
    columns = [replace(c, not_null=True) if c.name in query.key else c for c in columns]
    boolean, text = (t for t in probe.types("(select) t", ["true", "''::text"]) if isinstance(t, Type))
    own = [Column(RETURNED, boolean)]
    own += [Column(KEY, text, not_null=True)] if query.further else []
    unique = Unique("", (KEY,) if query.further else query.key, primary=True)
    return Table(
        QUERY.removesuffix("."),
        entity.name,
        (*columns, *own),
        "q",
        unique,
        (unique,),
        estimated_rows=base.estimated_rows,
        base=base.qualified,
    )


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
    if entity.shape.rows != "unique" and (nullable or not source.is_unique(tuple(given))):
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
        return f"{source.name} has no unique index over NOT NULL columns: write `key:` with `rows: unique`, or `rows: counted`"
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
