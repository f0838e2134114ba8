"""Which remedies fit a cause, by what is wrong and what the target allows. docs/remedies.md says what each does."""

from __future__ import annotations

from collections.abc import Iterable

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


def fitting(plan: Plan, entity: str, code: str, columns: Iterable[str | None]) -> tuple[str, ...]:
    """Names of remedies, the most telling first, for rows of this cause at these columns of the target; what leaves a column
    empty fits only where all of them may be NULL."""
    table = plan.knowledge.target.tables[plan.mapping.entity(entity).target]
    found = [table.column(name) for name in columns if name]
    nullable = bool(found) and all(column is not None and not column.not_null for column in found)
    names = _BY_CODE.get(Reason(code), ())
    return tuple(name for name in names if name != "set_null" or nullable) + ALWAYS
