"""Reads a server's catalog into rowcall.schema values, and asks a server about the mapping's SQL and literals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import cached_property
from typing import Any

import psycopg

from rowcall.postgres.connect import Session
from rowcall.postgres.errors import stopped
from rowcall.postgres.queries import named_queries
from rowcall.schema import Check, Column, ForeignKey, Schema, Selected, Table, Type, Unique
from rowcall.sql import ident, qualified

Rows = dict[int, list[tuple[Any, ...]]]


def read_schema(session: Session, default: str = "public") -> Schema:
    """The whole database (without system schemas and rowcall's own)."""
    try:
        return _read(session, default)
    except psycopg.Error as error:
        raise stopped(error, session.side, "the catalog") from None


def _read(session: Session, default: str) -> Schema:
    queries, version = named_queries("rowcall.postgres", "catalog.sql"), session.server_version
    words = {
        "generated": "a.attgenerated <> ''" if version >= 120000 else "false",
        "nulls_distinct": "not i.indnullsnotdistinct" if version >= 150000 else "true",
    }
    groups: dict[str, Rows] = {}
    for part in ("columns", "uniques", "foreign_keys", "checks", "triggers"):
        sql = queries[part]
        for word, text in words.items():
            sql = sql.replace("{" + word + "}", text)
        groups[part] = defaultdict(list)
        for oid, *rest in session.rows(sql):
            groups[part][oid].append(tuple(rest))
    types = _types(session.rows(queries["types"]))
    # A column of such a domain may still hold NULL (of an outer join), but COPY takes none: so it is the target's matter.
    strict = frozenset(oid for oid, type_ in types.items() if type_.required and session.side == "target")
    tables = [_table(row, groups, types, strict) for row in session.rows(queries["tables"])]
    return Schema({t.qualified: t for t in tables}, default, version, str(session.value("show server_encoding")))


def _types(rows: Sequence[tuple[Any, ...]]) -> dict[int, Type]:
    plain: dict[int, Type] = {}
    bases: dict[int, tuple[int, int, str]] = {}
    for oid, name, schema, kind, category, element, base, modifier, formatted, not_null, send, labels in rows:
        plain[oid] = Type(
            oid, name, schema, name, ident(schema, name), send or "", -1, kind, category, tuple(labels or ()), element,
            not_null=not_null,
        )  # fmt: skip
        if base:
            bases[oid] = (base, modifier, formatted)
    return {oid: _with_base(oid, plain, bases) for oid in plain}


def _with_base(oid: int, plain: Mapping[int, Type], bases: Mapping[int, tuple[int, int, str]]) -> Type:
    own = plain[oid]
    if oid not in bases or bases[oid][0] not in plain:
        return own
    base, modifier, formatted = bases[oid]
    return _altered(own, base=_modified(_with_base(base, plain, bases), modifier, formatted))


def _altered(original: Type, **changes: Any) -> Type:
    return Type(**{**vars(original), **changes})


def typed(types: Mapping[int, Type], oid: int, modifier: int, formatted: str) -> Type:
    """A type with its modifier: `formatted` is format_type()'s spelling, which casts as it stands."""
    return _modified(types[oid], modifier, formatted)


def _modified(base: Type, modifier: int, formatted: str) -> Type:
    sql = formatted if modifier != -1 and base.schema == "pg_catalog" else base.sql
    return _altered(base, modifier=modifier, formatted=formatted, sql=sql)


def _table(row: tuple[Any, ...], groups: Mapping[str, Rows], types: Mapping[int, Type], strict: Set[int]) -> Table:
    """`strict` holds the types that are NOT NULL by themselves."""
    oid, schema, name, kind, row_security, estimate = row
    columns = tuple(
        Column(n, typed(types, t, m, f), not_null or t in strict, default and not generated, generated, identity)
        for n, t, m, f, not_null, default, generated, identity in groups["columns"][oid]
        if t in types
    )
    uniques = tuple(Unique(n, tuple(c), primary, nulls) for n, primary, nulls, c in groups["uniques"][oid] if c)
    return Table(
        schema,
        name,
        columns,
        kind,
        next((u for u in uniques if u.primary), None),
        uniques,
        tuple(ForeignKey(n, tuple(c), t, tuple(to), d, rule) for n, t, d, rule, c, to in groups["foreign_keys"][oid]),
        tuple(Check(n, e) for n, e in groups["checks"][oid]),
        tuple(n for (n,) in groups["triggers"][oid]),
        row_security,
        estimate,
    )


def read_room(session: Session) -> tuple[int, str]:
    """(how many more sessions the server takes of this role, what tells it from other servers)."""
    ((free, server),) = session.rows(named_queries("rowcall.postgres", "catalog.sql")["room"])
    return max(free, 0), server


class ServerProbe:
    """Asks the source for the types of expressions and the target whether literals fit (mapping.check's Probe)."""

    def __init__(self, source: Session, target: Session) -> None:
        self.source, self.target = source, target

    @cached_property
    def _known(self) -> Mapping[int, Type]:
        return _types(self.source.rows(named_queries("rowcall.postgres", "catalog.sql")["types"]))

    def types(self, relation: str, expressions: Sequence[str]) -> Sequence[Type | str]:
        """For each expression over a row of the source's relation (SQL for FROM): its type, or why the server refuses it."""
        return [self._type(relation, expression) for expression in expressions]

    def _type(self, relation: str, expression: str) -> Type | str:
        try:
            ((_, oid, modifier),) = self._described(f"select ({expression}\n) from {relation} limit 0")
        except psycopg.Error as error:
            return _said(error)
        return self._typed(oid, modifier)

    def query(self, sql: str) -> Selected | str:
        """What a SELECT on the source returns and reads, or why the server refuses it."""
        try:
            described = self._described(f"select q.* from (\n{sql}\n) q limit 0")
            plan = self.source.value(f"explain (verbose, format json) select q.* from (\n{sql}\n) q")
        except psycopg.Error as error:
            return _said(error)
        columns = []
        for name, oid, modifier in described:
            type_ = self._typed(oid, modifier)
            if isinstance(type_, str):
                return f"{name}: {type_}"
            columns.append(Column(name, type_))
        return Selected(tuple(columns), self._readable(sorted(set(_relations(plan)))))

    def _readable(self, tables: Sequence[str]) -> tuple[str, ...]:
        """Those of them that the role may read by itself: not what a view reads for it."""
        allowed = "select has_table_privilege(%s, 'select')"
        return tuple(t for t in tables if self.source.value(allowed, [qualified(t)]))

    def _described(self, sql: str) -> list[tuple[str, int, int]]:
        """(name, oid, modifier) of each column."""
        with self.source.connection.cursor() as cursor:
            cursor.execute(sql.encode())
            result = cursor.pgresult
            assert result is not None
            return [(c.name, c.type_code, result.fmod(n)) for n, c in enumerate(cursor.description or [])]

    def _typed(self, oid: int, modifier: int) -> Type | str:
        if oid not in self._known:
            return f"its type (oid {oid}) is not supported"
        formatted = str(self.source.value("select format_type(%s, %s)", [oid, modifier]))
        return typed(self._known, oid, modifier, formatted)

    def literals(self, values: Sequence[tuple[str, Type]]) -> Sequence[str | None]:
        """For each (text, type): None where the target accepts the text, else its reason."""
        return [self._literal(text, type_) for text, type_ in values]

    def _literal(self, text: str, type_: Type) -> str | None:
        try:
            self.target.rows(f"select %s::{type_.sql}", [text])
        except psycopg.Error as error:
            return _said(error)
        return None

    def bytes(self, text: str, type_: Type) -> bytes:
        """A literal in the binary form that the target stores."""
        return bytes(self.target.value(f"select {type_.send}(%s::{type_.sql})", [text]))


def _relations(plan: object) -> Iterator[str]:
    """The tables in a plan, as EXPLAIN (VERBOSE, FORMAT JSON) tells it.
    https://www.postgresql.org/docs/current/sql-explain.html"""
    if isinstance(plan, list):
        for part in plan:
            yield from _relations(part)
    elif isinstance(plan, dict):
        if "Relation Name" in plan and "Schema" in plan:
            yield f"{plan['Schema']}.{plan['Relation Name']}"
        for part in plan.values():
            yield from _relations(part)


def _said(error: psycopg.Error) -> str:
    """The server's words about the mapping's own text, on one line."""
    return " ".join((error.diag.message_primary or "the server refuses it").split())
