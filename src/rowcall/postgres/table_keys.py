"""Reads the indexes, keys and foreign keys of tables, each with the statements that make it anew exactly as it is.

A constraint is made of an index that was built before (ALTER TABLE ... USING INDEX), so that storage parameters survive and
the lock that it takes is short; a foreign key is added NOT VALID and then validated:
https://www.postgresql.org/docs/current/sql-altertable.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg

from rowcall.postgres.connect import Session
from rowcall.postgres.errors import stopped
from rowcall.postgres.queries import named_queries
from rowcall.schema import TableKey
from rowcall.sql import ident, literal, qualified


def read_keys(session: Session, tables: Iterable[str]) -> tuple[TableKey, ...]:
    """All keys that stand on these tables ("schema.table"), and the foreign keys that refer to them."""
    queries, version, names = named_queries("rowcall.postgres", "table_keys.sql"), session.server_version, list(tables)
    distinct = "not i.indnullsnotdistinct" if version >= 150000 else "true"
    enforced = "or not k.conenforced or k.conperiod" if version >= 180000 else ""
    try:
        with session.transaction():
            session.execute("set local search_path = ''")
            indexes = session.rows(queries["indexes"].replace("{nulls_distinct}", distinct), [names])
            foreign = session.rows(queries["foreign_keys"].replace("{enforced}", enforced), [names, names])
    except psycopg.Error as error:
        raise stopped(error, session.side, "the catalog") from None
    return (*(_index(*row) for row in indexes), *(_foreign_key(*row) for row in foreign))


def _index(
    table: str, name: str, kind: str, definition: str, unique: bool, deferrable: bool | None, deferred: bool | None,
    comment: str | None, constraint_comment: str | None, columns: Sequence[str] | None, parts: Sequence[str],
    only: str | None, nulls_distinct: bool, stays: str,
) -> TableKey:  # fmt: skip
    attach = []
    if kind != "index":
        when = " deferrable" * bool(deferrable) + " initially deferred" * bool(deferred)
        words = "primary key" if kind == "primary key" else "unique"
        attach.append(f"{_alter(table)} add constraint {ident(name)} {words} using index {ident(name)}{when}")
    attach += _comments(f"index {ident(table.split('.', 1)[0], name)}", comment)
    attach += _comments(f"constraint {ident(name)} on {qualified(table)}", constraint_comment)
    drop = f"drop index {ident(table.split('.', 1)[0], name)}" if kind == "index" else _dropped(table, name)
    return TableKey(
        table, name, kind, drop, definition, tuple(attach), unique, tuple(columns) if columns else None, tuple(parts), only,
        nulls_distinct, stays=stays,
    )  # fmt: skip


def _foreign_key(
    table: str, name: str, definition: str, refers_to: str, index: str | None, deferrable: bool, on_delete: str,
    columns: Sequence[str], to_columns: Sequence[str], comment: str | None, stays: str,
) -> TableKey:  # fmt: skip
    build = f"{_alter(table)} add constraint {ident(name)} {definition} not valid"
    attach = [f"{_alter(table)} validate constraint {ident(name)}"]
    attach += _comments(f"constraint {ident(name)} on {qualified(table)}", comment)
    return TableKey(
        table, name, "foreign key", _dropped(table, name), build, tuple(attach),
        columns=tuple(columns), refers_to=refers_to, rests_on=index or "", to_columns=tuple(to_columns),
        deferrable=deferrable, on_delete=on_delete, stays=stays,
    )  # fmt: skip


def _dropped(table: str, constraint: str) -> str:
    return f"{_alter(table)} drop constraint {ident(constraint)}"


def _alter(table: str) -> str:
    return f"alter table {qualified(table)}"


def _comments(what: str, comment: Any) -> list[str]:
    return [f"comment on {what} is {literal(comment)}"] if comment is not None else []
