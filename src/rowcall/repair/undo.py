"""The way back of a repair: what it wrote is removed, what it decided is open again, in one transaction or not at all.

Refused where somebody changed a row since (its xmin is another, and none of ours:
https://www.postgresql.org/docs/current/ddl-system-columns.html), where a later repair builds on it, or where rows refer to the
rows that would go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from rowcall.errors import RepairRefused, UsageError
from rowcall.explain.samples import mask
from rowcall.ledger.repairs import RepairBook, RepairRecord
from rowcall.move.savepoints import ours
from rowcall.plan.keys import bare
from rowcall.postgres.connect import Session
from rowcall.postgres.errors import DriverError, stopped
from rowcall.schema import ForeignKey, Schema, Table
from rowcall.sql import ident, literal, qualified

NAMED = 5  # rows that a refusal names


@dataclass(frozen=True)
class Undone:
    """`rows`: entity -> rows that went back into quarantine; `decided`: rows whose decision was taken back; `created`: synthetic
    rows that are gone."""

    repair: int
    rows: dict[str, int]
    decided: int
    created: int

    def as_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class _Part:
    """The rows of one target table that a repair wrote. `ids` is SQL of a set: (id, key, version). `told`: what they are, before
    their keys."""

    entity: str
    told: str
    number: int  # of the entity in the ledger; 0: synthetic rows
    table: str
    id_column: str
    step: int
    ids: str


def undo_repair(
    session: Session, schema: Schema, repair: int, actor: str, reason: str, *, purged: bool = False
) -> Undone:
    """Raises UsageError for a repair that does not stand, RepairRefused where it cannot be undone; then nothing was changed.
    `purged`: though what it put into rows was purged."""
    book = RepairBook(session)
    record = _standing(book, repair)
    try:
        with session.transaction():
            session.execute("set constraints all immediate")
            book.analyze()
            parts = _parts(book, record)
            if not purged:
                _refuse_purged(record)
                _refuse_merged(book, record)
            _refuse_built_on(book, record)
            _hold(session, parts)
            run = {table: set(columns) for table, columns in book.rows("tables")}
            for part in parts:
                _refuse_changed(session, record, part)
            for part in parts:
                _refuse_dependents(session, schema, record, part, parts, run)
            return _take_back(book, schema, record, parts, run, actor, reason)
    except DriverError as error:
        raise stopped(error, "target", f"the rows of repair {repair}") from None


def undo_all(session: Session, schema: Schema, actor: str, reason: str) -> int:
    """Undoes every repair that stands, the latest first; how many."""
    standing = [r for r in RepairBook(session).repairs() if r.state == "applied"]
    for record in reversed(standing):
        undo_repair(session, schema, record.id, actor, reason, purged=True)
    return len(standing)


def _standing(book: RepairBook, repair: int) -> RepairRecord:
    found = book.repairs(repair)
    if not found:
        raise UsageError(f"there is no repair {repair}", hint="`rowcall repair list` shows them")
    if found[0].state == "undone":
        raise UsageError(f"repair {repair} is undone already", hint="`rowcall repair list` shows them")
    return found[0]


def _parts(book: RepairBook, record: RepairRecord) -> list[_Part]:
    """Children first."""
    found = [
        _Part(name, name, number, table, id_column, step, _HOME.format(repair=record.id, entity=number))
        for number, name, table, id_column, step in book.rows("entities_of", record.id)
    ]
    synthetic = {(entity, table, id_column) for entity, table, id_column, *_ in book.rows("synthetic", record.id)}
    return found + [
        _Part(
            entity,
            f"{entity} made for {record.entity}",
            0,
            table,
            column,
            0,
            _SYNTHETIC.format(repair=record.id, table=literal(table)),
        )
        for entity, table, column in sorted(synthetic)
    ]


_HOME = (
    "(select target_id as id, source_key as key, version from rowcall.repaired_row "
    "where repair = {repair} and entity = {entity} and target_id is not null)"
)
_SYNTHETIC = (
    "(select target_id as id, for_key as key, version from rowcall.synthetic_row "
    "where repair = {repair} and target_table = {table} and version is not null)"
)


def _hold(session: Session, parts: Sequence[_Part]) -> None:
    """Nobody changes these rows from now on, nor refers to them (a foreign key's check takes KEY SHARE): what is looked at next
    is as it stays. https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-ROWS"""
    for part in parts:
        session.execute(
            f"select from {qualified(part.table)} t where t.{ident(part.id_column)} in (select id from {part.ids} r) for update"
        )


# -- refusals -----------------------------------------------------------------------------------------------------------


def _refuse_purged(record: RepairRecord) -> None:
    if record.purged_at is not None:
        raise RepairRefused(
            record.id, f"what it put into rows was purged on {record.purged_at:%Y-%m-%d}, so that nobody could do it again",
            hint="a purge is for good; `rowcall undo` still removes the whole run",
        )  # fmt: skip


def _refuse_merged(book: RepairBook, record: RepairRecord) -> None:
    if not (merged := book.rows("merged_into", record.id)):
        return
    later = max((repair for _, repair in merged if repair is not None), default=None)
    what = "a row is" if len(merged) == 1 else f"{len(merged)} rows are"
    then = f"undo that first: `rowcall repair undo {later}`" if later else "`rowcall undo` removes the whole run"
    raise RepairRefused(
        record.id, f"{what} merged into rows that it brought home" + (f", by repair {later}" if later else ""),
        hint=f"{then}; nothing was changed",
    )  # fmt: skip


def _refuse_built_on(book: RepairBook, record: RepairRecord) -> None:
    later = book.rows("later", record.id)
    uses = book.rows("uses", record.id)
    if later or uses:
        number = max(row[0] for row in [*later, *uses])
        told = f"; {later[0][1]} {_shown(later[0][2])} is one of its rows" if later else ""
        raise RepairRefused(
            record.id, f"repair {number} builds on it{told}",
            hint=f"undo that first: `rowcall repair undo {number}`; nothing was changed",
        )  # fmt: skip


def _refuse_changed(session: Session, record: RepairRecord, part: _Part) -> None:
    rows = session.rows(
        f"select r.key, t.{ident(part.id_column)} is null, r.id from {part.ids} r left join {qualified(part.table)} t "
        f"on t.{ident(part.id_column)} = r.id where t.xmin is null or (t.xmin::text::bigint <> r.version "
        "and t.xmin::text::bigint not in (select xid from rowcall.own_xids)) or exists (select from rowcall.edited_row e "
        f"where e.target_table = {literal(part.table)} and e.target_id = r.id) order by length(r.key), r.key"
    )
    if rows:
        gone = sum(lost for _, lost, _ in rows)
        what = f"{len(rows)} rows of {part.table}" if len(rows) > 1 else f"a row of {part.table}"
        how = "removed" if gone == len(rows) else "changed or removed" if gone else "changed"
        raise RepairRefused(
            record.id, f"somebody {how} {what} since: {part.told} {_listed([_named(key, uid) for key, _, uid in rows])}",
            hint="nothing was undone; save or take back that change, then try again",
        )  # fmt: skip


def _refuse_dependents(
    session: Session,
    schema: Schema,
    record: RepairRecord,
    part: _Part,
    parts: Sequence[_Part],
    run: Mapping[str, set[str]],
) -> None:
    """No row of others may refer to the rows that go: neither of the run, nor of somebody else."""
    for table in schema.tables.values():
        for key in _references(table, part, run.get(table.qualified)):
            _refuse_dependent(session, record, part, parts, table, key)


def _references(table: Table, part: _Part, id_columns: set[str] | None) -> list[ForeignKey]:
    """The foreign keys to a part's table, and in the tables of the run (`id_columns`: its ids there) every other uuid, for a
    reference of the mapping need not have one."""
    found = [key for key in table.foreign_keys if key.table == part.table]
    if id_columns is None:
        return found
    known = {key.columns for key in table.foreign_keys} | {(name,) for name in id_columns}
    uuids = [c.name for c in table.columns if bare(c.type).name == "uuid" and (c.name,) not in known]
    return found + [ForeignKey(name, (name,), part.table, (part.id_column,)) for name in uuids]


def _refuse_dependent(
    session: Session, record: RepairRecord, part: _Part, parts: Sequence[_Part], table: Table, key: ForeignKey
) -> None:
    joined = " and ".join(f"d.{ident(c)} = t.{ident(to)}" for c, to in zip(key.columns, key.to_columns, strict=True))
    own = "".join(
        f" and not exists (select from {p.ids} o where o.id = d.{ident(p.id_column)})"
        for p in parts if p.table == table.qualified
    )  # fmt: skip
    ours = next((p.id_column for p in parts if p.table == table.qualified), None) or _key_column(table)
    known = f"d.{ident(ours)}::text" if ours else "null::text"
    rows = session.rows(
        f"select r.key, {known} from {part.ids} r join {qualified(part.table)} t on t.{ident(part.id_column)} = r.id "
        f"join {qualified(table.qualified)} d on {joined} where true{own} order by length(r.key), r.key"
    )
    if rows:
        hint = "remove or re-point those rows first; nothing was undone"
        if number := _brought_by(session, [value for _, value in rows if value]):
            hint = f"they came home by repair {number}: undo that first, `rowcall repair undo {number}`; nothing was undone"
        keys = list(dict.fromkeys(key for key, _ in rows))
        what = f"{len(rows)} rows of {table.qualified} refer" if len(rows) > 1 else f"a row of {table.qualified} refers"
        raise RepairRefused(
            record.id,
            f"{what} to rows that would go ({key.name}): {part.told} {_listed([*map(_shown, keys)])}",
            hint=hint,
        )


def _key_column(table: Table) -> str | None:
    key = table.primary_key
    return key.columns[0] if key and len(key.columns) == 1 else None


def _brought_by(session: Session, ids: Sequence[str]) -> int | None:
    """The latest repair that wrote one of these rows."""
    return session.value(  # type: ignore[no-any-return]
        "select max(r.repair) from rowcall.repaired_row r join rowcall.repair p on p.id = r.repair and p.state = 'applied' "
        "where r.target_id::text = any (%s)",
        [list(ids)],
    )


def _shown(key: str) -> str:
    """A key of numbers; of one that is a text, which may be a person's name, only its shape."""
    return key if re.fullmatch(r"[-\d, \[\]]+", key) else mask(key)


def _named(key: str, uid: UUID) -> str:
    """A row by its key, or where that is a text by its uuid in the target."""
    return key if _shown(key) == key else f"{_shown(key)} ({uid})"


def _listed(keys: Sequence[str]) -> str:
    return ", ".join(keys[:NAMED]) + (f" and {len(keys) - NAMED} more" if len(keys) > NAMED else "")


# -- taking back --------------------------------------------------------------------------------------------------------


def _take_back(
    book: RepairBook, schema: Schema, record: RepairRecord, parts: Sequence[_Part], run: Mapping[str, set[str]],
    actor: str, reason: str,
) -> Undone:  # fmt: skip
    session, removed = book.session, dict[str, int]()
    parents = _parents(session, schema, parts, run)
    for _, step in groupby(parts, key=lambda part: part.step):
        members = list(step)
        removed |= _delete(session, members)
        for part in members:
            _refuse_kept(session, record, part)
    created = sum(removed.pop(f"synthetic {p.entity}", 0) for p in parts if not p.number)
    for part in (p for p in parts if p.number and removed.get(p.entity)):
        keys = [key for key, *_ in book.rows("home_keys", record.id, part.number)]
        book.do("home_sums", -1, -1, keys, entity=part.number)
        book.do("send_back", record.id, part.number, entity=part.number)
    parted = 0
    for part in (p for p in parts if p.number):
        book.do("part_sums", record.id, part.number, entity=part.number)
        parted += book.do("part", record.id, part.number, entity=part.number)
    book.do("forget_nulled", record.id)
    book.do("forget_kept", record.id)
    book.do("forget_archive", record.id)
    restored = book.do("restore", record.id)
    book.do("undone", actor, reason, record.id)
    book.do("synthetic_gone", record.id)
    book.add_xids(
        record.id, {int(session.value("select pg_current_xact_id()::text")) % (1 << 32), *_touched(session, parents)}
    )
    home = {entity: rows for entity, rows in removed.items() if rows}
    ((left,),) = book.rows("left", record.id)
    return Undone(record.id, home, restored - sum(home.values()) - left - parted, created)


def _parents(
    session: Session, schema: Schema, parts: Sequence[_Part], run: Mapping[str, set[str]]
) -> dict[tuple[str, str], set[UUID]]:
    """(table, id column) -> the rows of the run to which rows that go refer, where a trigger may change them then."""
    found: dict[tuple[str, str], set[UUID]] = {}
    for part in parts:
        table = schema.tables[part.table]
        for key in (k for k in table.foreign_keys if table.triggers and k.table in run):
            id_column = min(run[key.table])
            pairs = zip(key.columns, key.to_columns, strict=True)
            joined = " and ".join(f"p.{ident(to)} = t.{ident(column)}" for column, to in pairs)
            rows = session.rows(
                f"select distinct p.{ident(id_column)} from {part.ids} r join {qualified(part.table)} t "
                f"on t.{ident(part.id_column)} = r.id join {qualified(key.table)} p on {joined}"
            )
            found.setdefault((key.table, id_column), set()).update(uid for (uid,) in rows)
    return found


def _touched(session: Session, parents: Mapping[tuple[str, str], set[UUID]]) -> set[int]:
    """The numbers, of this transaction and its savepoints, under which triggers changed these rows."""
    found: set[int] = set()
    for (table, id_column), ids in parents.items():
        among = literal("{" + ",".join(map(str, ids)) + "}")
        rows = f"{qualified(table)} where {ident(id_column)} = any({among}::uuid[])"
        found |= {x for (x,) in session.rows(f"select distinct xmin::text::bigint from {rows}")}
    return ours(session, found) if found else found


def _refuse_kept(session: Session, record: RepairRecord, part: _Part) -> None:
    """What a trigger or rule of the target keeps from going cannot be undone."""
    rows = session.rows(
        f"select r.key from {part.ids} r join {qualified(part.table)} t on t.{ident(part.id_column)} = r.id "
        "order by length(r.key), r.key"
    )
    if rows:
        raise RepairRefused(
            record.id,
            f"a trigger or rule of {part.table} keeps rows from going: {part.told} {_listed([_shown(k) for (k,) in rows])}",
            hint="nothing was undone; see the table's triggers",
        )  # fmt: skip


def _delete(session: Session, parts: Iterable[_Part]) -> dict[str, int]:
    """The rows of one step in one statement, as they may refer to each other."""
    names = {f"d{i}": part for i, part in enumerate(parts)}
    statements = ", ".join(
        f"{name} as (delete from {qualified(p.table)} t using {p.ids} r where t.{ident(p.id_column)} = r.id returning 1)"
        for name, p in names.items()
    )
    counts = ", ".join(f"(select count(*) from {name})" for name in names)
    ((*rows,),) = session.rows(f"with {statements} select {counts}")
    return {p.entity if p.number else f"synthetic {p.entity}": n for p, n in zip(names.values(), rows, strict=True)}
