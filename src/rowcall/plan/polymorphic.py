"""A reference whose way depends on the row's content type, as DuckDB SQL."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence

from rowcall.mapping.model import Reference
from rowcall.plan.given import PLAIN
from rowcall.plan.paths import FIELDS
from rowcall.sql import literal

Fields = dict[str, str]


def by_type(reference: Reference, routes: Sequence[Fields], type_: str, content_types: MappingOf[int, str]) -> Fields:
    """The fields of the route that the row's content type picks; `type_` is DuckDB SQL of its number."""
    ids: dict[str, list[int]] = {}
    for number, type_name in content_types.items():
        ids.setdefault(type_name, []).append(number)
    branches = []
    for route, fields in zip(reference.routes, routes, strict=True):
        known = [str(n) for n in ids.get(route.content_type or "", [])]
        if reference.each:  # an element may name its type itself
            known.append(route.content_type or "")
        numbers = ", ".join(map(literal, known)) or "null"
        branches.append((f"{type_}::varchar in ({numbers})", fields))
    unknown = {
        "code": f"case when {type_} is null then 'null_reference' else 'unknown_type' end",
        "hop": "1",
        "seen": f"{type_}::varchar",
        "note": _unmapped(type_, content_types),
        PLAIN: f"{type_} is null",
    }
    return {
        field: f"case {' '.join(f'when {when} then {fields[field]}' for when, fields in branches)} "
        f"else {unknown.get(field, 'null')} end"
        for field in (*FIELDS, PLAIN)
    }


def _unmapped(type_: str, content_types: MappingOf[int, str]) -> str:
    known = " ".join(
        f"when {literal(str(n))} then {literal('not_mapped ' + name)}" for n, name in content_types.items()
    )
    named = f"case {type_}::varchar {known} else 'no_such_type' end" if known else "'no_such_type'"
    return f"case when {type_} is null then null else {named} end"
