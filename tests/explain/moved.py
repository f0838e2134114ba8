"""A source that moves on by chance: rows deleted, changed, and new ones that are much like those that there are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from random import Random

import psycopg
from conftest import Project

from rowcall.postgres.connect import Session
from rowcall.sql import ident

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TYPES = "django_content_type"
LEDGER = {
    "lines": "select entity || ' ' || source_key, concat_ws(' ', outcome, target_id, cause) from rowcall.settlements",
    "quarantine": "select entity || ' ' || source_key, to_jsonb(q) - 'decided_at' from rowcall.quarantine q",
    "nulled": "select concat_ws(' ', e.name, source_key, target_column), concat_ws(' ', code, hop, value) "
    "from rowcall.nulled_reference join rowcall.entity e on e.id = entity",
    "merged": "select concat_ws(' ', e.name, source_key), concat_ws(' ', into_entity, into_key, target_id) "
    "from rowcall.merged m join rowcall.entity e on e.id = m.entity",
}  # fmt: skip


def move_on(source: Session, chance: Random) -> None:
    """Changes about half of a source's rows."""
    for table in _tables(source):
        columns, key = _columns(source, table)
        rows = [
            dict(zip(columns, row, strict=True)) for row in source.rows(f"select {_texts(columns)} from {ident(table)}")
        ]
        for row in rows:
            does = chance.random()
            if table == TYPES and chance.random() < 0.9:
                continue
            if does < 0.12:
                _try(source, f"delete from {ident(table)} where {_is(key)}", [row[k] for k in key])
            elif does < 0.35:
                column = chance.choice([c for c in columns if c not in key] or columns)
                given = [chance.choice(rows)[column], *(row[k] for k in key)]
                _try(source, f"update {ident(table)} set {ident(column)} = %s where {_is(key)}", given)
            elif does < 0.5 and key:
                new = {**chance.choice(rows), **{k: _next(row[k], chance) for k in key}}
                _try(
                    source,
                    f"insert into {ident(table)} ({_listed(columns)}) values ({', '.join(['%s'] * len(columns))})",
                    [*new.values()],
                )


def _next(value: str, chance: Random) -> str:
    return str(int(value) + chance.choice((20, 40, 60))) if value.isdigit() else f"{value}{chance.choice('xyz')}"


def _try(source: Session, sql: str, params: Sequence[str | None]) -> None:
    """The source has rules of its own."""
    with suppress(psycopg.Error), source.transaction():
        source.execute(sql, params)


def _tables(source: Session) -> list[str]:
    return [
        name
        for (name,) in source.rows(
            "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1"
        )
    ]


def _columns(source: Session, table: str) -> tuple[list[str], list[str]]:
    """A table's columns, and those of its primary key."""
    rows = source.rows(
        "select a.attname, coalesce(a.attnum = any(i.indkey), false) from pg_attribute a "
        "left join pg_index i on i.indrelid = a.attrelid and i.indisprimary "
        "where a.attrelid = %s::regclass and a.attnum > 0 and not attisdropped and attgenerated = '' order by a.attnum",
        [ident(table)],
    )
    return [name for name, _ in rows], [name for name, key in rows if key]


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(map(ident, columns))


def _texts(columns: Sequence[str]) -> str:
    return ", ".join(f"{ident(c)}::text" for c in columns)


def _is(key: Sequence[str]) -> str:
    return " and ".join(f"{ident(k)} = %s" for k in key) or "false"


def contents(project: Project) -> Mapping[str, dict[str, str]]:
    """Of every target table and part of the ledger: its rows as text, in which uuids are named by whose they are."""
    lines = "select entity, source_key, target_id from rowcall.settlements where outcome = 'migrated'"
    names = {str(u): f"<{e} {k}>" for e, k, u in project.target.rows(lines)}

    def named(text: str) -> str:
        return UUID.sub(lambda found: names.get(found[0], found[0]), text)

    found = {part: {named(str(k)): named(str(v)) for k, v in project.target.rows(sql)} for part, sql in LEDGER.items()}
    for table in _tables(project.target):
        rows = sorted(named(str(row)) for (row,) in project.target.rows(f"select t::text from {ident(table)} t"))
        found[table] = dict(enumerate(rows))  # type: ignore[arg-type]
    return found
