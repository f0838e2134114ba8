"""Tables that the mapping makes of others, for its paths to walk on: its views, and the rows that a hop picks of several."""

from __future__ import annotations

import re

from rowcall.mapping.desk import Desk, Probe, no_column
from rowcall.mapping.model import VIEW, Loc
from rowcall.mapping.words import too_long
from rowcall.schema import Column, Table
from rowcall.sql import ident, qualified

FIRST, LATEST, MAJORITY = "first", "latest", "majority"


def read_views(desk: Desk, probe: Probe) -> None:
    """The views of the mapping, as tables of the source."""
    for name, sql in (desk.draft.document.views or {}).items():
        if (table := _view(desk, name, sql.strip("; \t\r\n"), ("views", name), probe)) is not None:
            _add(desk, name, table)


def _view(desk: Desk, name: str, sql: str, loc: Loc, probe: Probe) -> Table | None:
    default = desk.draft.source.schema if desk.draft.source else desk.source.default
    if wrong := too_long(name):
        desk.draft.say_key(loc, wrong)
    elif not re.fullmatch(r"[^\W\d][\w$]*", name):
        desk.draft.say_key(loc, f"{name!r} is no name for a view: write letters, digits and `_`")
    elif f"{default}.{name}" in desk.source.tables:
        desk.draft.say_key(loc, f"the source has a table {name!r} already: write another name")
    answer = probe.query(sql)
    if isinstance(answer, str):
        desk.draft.say(loc, f"the source does not take this query ({answer}): write one SELECT")
        return None
    names = [column.name for column in answer.columns]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        desk.draft.say(loc, f"two columns are named {twice[0]!r}: give them other names, by AS")
        return None
    return Table(VIEW, name, answer.columns, "q", sql=sql, reads=answer.tables)


def picked(desk: Desk, table: Table, to_column: str, pick: str, by: str | None, onward: str | None) -> Table | str:
    """Of several rows with one value in `to_column`, those that `pick` names, as a table; what is wrong, where it cannot be.

    `first` and `latest` are one row each, in the order of the column `by` (NULL is neither) and of the primary key; `majority`
    are the rows that hand on what most of them do in the column `onward`: several values where as many rows hand these on.
    """
    name = f"{table.qualified} {pick} {by or onward or ''} of {to_column}"
    relation, at = qualified(table.qualified) if not table.sql else f"(\n{table.sql}\n)", ident("t", to_column)
    if pick == MAJORITY:
        if by is not None:
            return "a majority is counted by what rows hand on, not by a column: write `majority` alone"
        if onward is None:
            return "a majority is of what rows hand on: write the next hop behind it"
        votes = f"count({ident('t', onward)}) over (partition by {at}, {ident('t', onward)}) as rowcall_votes"
        most = f"select v.*, max(rowcall_votes) over (partition by {ident('v', to_column)}) as rowcall_most"
        listed = ", ".join(ident("w", c.name) for c in table.columns)
        sql = f"select {listed} from ({most} from (select t.*, {votes} from {relation} t) v) w where rowcall_votes = rowcall_most"
        return _add(desk, name, _derived(table, name, sql))
    if by is None:
        return f"write which column tells the {pick} row: `{pick} <column>`"
    if table.column(by) is None:
        return no_column(table, by)
    if table.primary_key is None:
        return f"{table.name} has no primary key, by which rows with the same {by} could be told apart: write a view that picks one"
    way = "desc" if pick == LATEST else "asc"
    order = ", ".join([f"{ident('t', by)} {way}", *(f"{ident('t', c)} {way}" for c in table.primary_key.columns)])
    known = f"{at} is not null and {ident('t', by)} is not null"
    sql = f"select distinct on ({at}) t.* from {relation} t where {known} order by {at}, {order}"
    return _add(desk, name, _derived(table, name, sql))


def _derived(table: Table, name: str, sql: str) -> Table:
    """No column of it is unique, as far as paths are concerned: that there is no row is no contradiction to other ways."""
    columns = tuple(Column(c.name, c.type, c.not_null) for c in table.columns)
    reads = table.reads or (table.qualified,)
    base = table.base or ("" if table.sql else table.qualified)
    return Table(VIEW, name, columns, "q", base=base, sql=sql, reads=reads)


def _add(desk: Desk, name: str, table: Table) -> Table:
    desk.views[name] = table
    desk.source = desk.source.beside([table])
    desk.relations[table.qualified] = f"(\n{table.sql}\n) v"
    return table
