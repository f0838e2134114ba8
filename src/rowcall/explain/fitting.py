"""Which remedies fit a cause, by what is wrong and what the target allows. docs/remedies.md says what each does."""

from __future__ import annotations

from collections.abc import Iterator

from rowcall.explain.causes import Cause
from rowcall.plan.plan import Plan
from rowcall.rows import Reason

ALWAYS = ("archive", "accept")
_PARENTLESS = (Reason.NULL_REFERENCE, Reason.SENTINEL_REFERENCE, Reason.CYCLIC_PATH, Reason.DANGLING_REFERENCE)
_BY_CODE: dict[Reason, tuple[str, ...]] = {
    **dict.fromkeys(_PARENTLESS, ("link_parent", "stub_parent", "set_null")),
    Reason.AMBIGUOUS_REFERENCE: ("pick_parent", "link_parent", "set_null"),
    Reason.PARENT_EXCLUDED: ("link_parent", "stub_parent", "set_null"),
    Reason.PARENT_QUARANTINED: ("follow_parent", "link_parent", "set_null"),
    Reason.UNKNOWN_TYPE: ("set_null",),
    Reason.NULL_IN_REQUIRED: ("set_value",),
    Reason.MALFORMED_JSON: ("repair_json", "set_null", "set_value"),
    Reason.NOT_CONVERTIBLE: ("map_values", "set_null", "set_value"),
    Reason.OUT_OF_RANGE: ("set_null", "set_value"),
    Reason.TOO_LONG: ("clip_text", "set_null", "set_value"),
    Reason.NOT_IN_ENUM: ("map_values", "set_null", "set_value"),
    Reason.DUPLICATE_KEY: ("set_null", "set_value"),
    Reason.UNSTORABLE_TEXT: ("strip_unstorable", "set_null", "set_value"),
}


def fitting(cause: Cause, plan: Plan) -> tuple[str, ...]:
    """Names of remedies, the most telling first; those that need a nullable column only where all its columns are."""
    return tuple(_fitting(cause, plan))


def _fitting(cause: Cause, plan: Plan) -> Iterator[str]:
    table = plan.knowledge.target.tables[plan.mapping.entity(cause.entity).target]
    columns = [table.column(group.column) for group in cause.groups if group.column]
    nullable = bool(columns) and all(column is not None and not column.not_null for column in columns)
    for name in _BY_CODE.get(Reason(cause.code), ()):
        if name != "set_null" or nullable:
            yield name
    yield from ALWAYS
