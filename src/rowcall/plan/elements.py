"""The elements of a column that holds several references, as Postgres SQL: of an array, of JSON (values or keys), of a text.

Whoever judges reads the column as one text, in which each element stands between marks (`marked`); whoever checks the judge, proves
or tells a row's story asks for a row for each element (`elements_sql`, and an entity of such rows).
"""

from __future__ import annotations

import re

from rowcall.mapping.model import ALL, ARRAY, ELEMENT, JSON, KEYS, TYPE, Each, Entity, Reference
from rowcall.plan.keys import entity_key
from rowcall.rows import Reason
from rowcall.schema import Schema
from rowcall.sql import ident, literal

# In place of the elements, where a column cannot be taken apart: what is wrong with it.
FAULTS = {"!": Reason.NOT_CONVERTIBLE, "!json": Reason.MALFORMED_JSON, "!text": Reason.UNSTORABLE_TEXT}
# In a text; alone an id may be anything.
_PARTS = {TYPE: r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*", ELEMENT: r"[A-Za-z0-9_-]+"}
_SIGNS = re.compile(r"[!-/:-@[-^`{-~]")  # of ASCII, which both kinds of expressions let be escaped


def pattern(each: Each, part: str = "") -> str:
    """A regular expression for a packed element, alike in Postgres and RE2: one group, around a part or (none named) around all."""
    told = [
        _SIGNS.sub(r"\\\g<0>", piece) if n % 2 == 0 else _group(each, piece, part)
        for n, piece in enumerate(each.packed)
    ]
    return f"({''.join(told)})" if not part else f"^{''.join(told)}$"


def _group(each: Each, name: str, part: str) -> str:
    inner = _PARTS[name] if each.kind not in (ARRAY, JSON, KEYS) or name == TYPE else r"[^\n]+"
    return f"({inner})" if name == part else f"(?:{inner})"


def fault(each: Each, x: str) -> str | None:
    """SQL: which of FAULTS a column has, or NULL; None where it has none. What Postgres has as jsonb is sound."""
    if each.kind == ARRAY:
        return f"case when array_ndims({x}) > 1 then '!' end"
    if each.kind in (JSON, KEYS) and each.given != "jsonb":
        json, jsonb = (f"pg_input_is_valid(({x})::text, '{type_}')" for type_ in ("json", "jsonb"))
        return f"case when ({x}) is null or {jsonb} then null when {json} then '!text' else '!json' end"
    return None


def _sound(each: Each, x: str, sql: str) -> str:
    """SQL over the column, where it can be taken apart; else NULL."""
    wrong = fault(each, x)
    return f"case when ({wrong}) is null then {sql} end" if wrong else sql


def _texts(each: Each, x: str) -> str:
    """An array's elements as keys are read: see plan.keys.read_as."""
    if each.given != "numeric":
        return f"({x})::text[]"
    text = "case when v::text like '%.%' then rtrim(rtrim(v::text, '0'), '.') else v::text end"
    return f"case when ({x}) is not null then array(select {text} from unnest({x}) with ordinality t (v, o) order by o) end"


def marked(each: Each, mark: str) -> str:
    """SQL over the entity's row: the column as text, a mark before and behind each element (of an array: JSON of its elements), or
    one of FAULTS."""
    x = ident(each.column)
    if each.kind == ARRAY:
        sound = f"array_to_json({_texts(each, x)})::text"
    elif each.kind in (JSON, KEYS):
        begins, ends = f"{mark}a", f"{mark}b"
        leaf = _marked_keys if each.kind == KEYS else _marked_value
        text = f"({leaf_sql(f'({x})::jsonb', each.steps, leaf, begins, ends)})::text"
        sound = f"""replace(replace({text}, '"{begins}', '{mark}'), '{ends}"', '{mark}')"""
    else:
        return f"regexp_replace(({x})::text, {literal(pattern(each))}, {literal(mark + chr(92) + '1' + mark)}, 'g')"
    wrong = fault(each, x)
    return f"case when ({wrong}) is null then {sound} else ({wrong}) end" if wrong else sound


def leaf_sql(x: str, steps: tuple[str, ...], leaf: object, begins: str, ends: str) -> str:
    """JSON with its leaves marked: each step stands in a subquery of its own, so that what it works on is named once."""
    assert callable(leaf)
    if not steps:
        return str(leaf(x, begins, ends))
    step, rest = steps[0], steps[1:]
    inner = leaf_sql("e.j" if step == ALL else f"s.j -> {literal(step)}", rest, leaf, begins, ends)
    if step == ALL:
        each = f"select jsonb_agg({inner} order by e.o) from jsonb_array_elements(s.j) with ordinality e (j, o)"
        changed = f"when jsonb_typeof(s.j) = 'array' then coalesce(({each}), '[]')"
    else:
        there = f"jsonb_typeof(s.j) = 'object' and s.j ? {literal(step)}"
        changed = f"when {there} then jsonb_set(s.j, array[{literal(step)}], {inner})"
    return f"(select case {changed} else s.j end from (select {x} as j) s)"


def _marked_value(x: str, begins: str, ends: str) -> str:
    value = f"to_jsonb('{begins}' || (s.j #>> '{{}}') || '{ends}')"
    return f"(select case when jsonb_typeof(s.j) = 'null' then s.j else {value} end from (select {x} as j) s)"


def _marked_keys(x: str, begins: str, ends: str) -> str:
    each = f"select jsonb_object_agg('{begins}' || e.k || '{ends}', e.v) from jsonb_each(s.j) e (k, v)"
    return f"(select case when jsonb_typeof(s.j) = 'object' then coalesce(({each}), '{{}}') else s.j end from (select {x} as j) s)"


def elements_sql(each: Each, x: str) -> str:
    """SELECT pos bigint, raw text: a row for each element of x, in their order; raw is NULL where there is none."""
    if each.kind == ARRAY:
        return f"select o as pos, v as raw from unnest({_sound(each, x, _texts(each, x))}) with ordinality t (v, o)"
    if each.kind not in (JSON, KEYS):
        found = f"regexp_matches(({x})::text, {literal(pattern(each))}, 'g') with ordinality t (m, o)"
        return f"select o as pos, m[1] as raw from {found}"
    tables, orders = [f"(select {_sound(each, x, f'({x})::jsonb')} as j) s0"], []
    for n, step in enumerate(each.steps):
        if step == ALL:
            items = f"jsonb_array_elements(case jsonb_typeof(s{n}.j) when 'array' then s{n}.j end)"
            tables.append(f"lateral {items} with ordinality s{n + 1} (j, o)")
            orders.append(f"s{n + 1}.o")
        else:
            tables.append(f"lateral (select s{n}.j -> {literal(step)} as j) s{n + 1}")
    last = f"s{len(each.steps)}"
    raw = f"{last}.j #>> '{{}}'"
    if each.kind == KEYS:
        tables.append(f"lateral jsonb_object_keys(case jsonb_typeof({last}.j) when 'object' then {last}.j end) k (raw)")
        raw, orders = "k.raw", [*orders, 'k.raw collate "C"']
    order = f"order by {', '.join(orders)}" if orders else ""
    return f"select row_number() over ({order}) as pos, {raw} as raw from {', '.join(tables)}"


def element_part(each: Each, part: str, raw: str = "x.raw") -> str:
    """SQL: a part of an element (TYPE, ELEMENT); NULL where it is not packed so."""
    if not each.packed:
        if part == TYPE:
            return "null::text"
        return (
            f"case when {raw} !~ '^[[{{]' then {raw} end" if each.kind == JSON else raw
        )  # an object or array is no key
    return f"substring({raw} from {literal(pattern(each, part))})" if part in each.packed else "null::text"


def element_entity(entity: Entity, reference: Reference, schema: Schema) -> Entity:
    """An entity of the elements of a reference's column: its rows have a key, the key of the row and the place in it, and the
    columns ELEMENT and TYPE, in which the reference's paths begin."""
    each = reference.each
    assert each is not None
    key = entity_key(entity, schema).sql
    rows = f"select ({key})::text as rowcall_k, {ident(each.column)} as rowcall_x from {entity.relation()}"
    parts = ", ".join(f"{element_part(each, part)} as {ident(part)}" for part in (ELEMENT, TYPE))
    sql = (
        f"select s.rowcall_k, x.pos as rowcall_pos, x.raw as rowcall_raw, s.rowcall_k || ' #' || x.pos as rowcall_at, {parts} "
        f"from ({rows}) s cross join lateral ({elements_sql(each, 's.rowcall_x')}) x where x.raw is not null"
    )
    return Entity(
        entity.name, each.table(entity.name), entity.target, ("rowcall_at",), entity.id_column, entity.identity, sql=sql
    )
