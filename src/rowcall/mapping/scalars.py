"""Single values of rowcall.yaml: what each kind may be, as plain values, and what an editor is told of it."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints, WithJsonSchema

from rowcall.mapping.conversions import CONVERSIONS
from rowcall.mapping.model import Budget
from rowcall.mapping.tree import as_text
from rowcall.mapping.words import instead
from rowcall.rows import Reason

NULLABLE = (Reason.NULL_REFERENCE, Reason.SENTINEL_REFERENCE, Reason.DANGLING_REFERENCE, Reason.PARENT_EXCLUDED)
MISSING = (*NULLABLE, Reason.PARENT_QUARANTINED, Reason.UNKNOWN_TYPE)
_LABEL = re.compile(r"[^\W\d]\w*\.[^\W\d]\w*")


def as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def not_a_label(value: str) -> str | None:
    """What is wrong with a content type's label."""
    if _LABEL.fullmatch(value):
        return None
    message = f"{value!r} is no content type: write its label `app_label.model`, such as dispatch.plan"
    return message + (", and the number under `content_types: formerly:`" if value.isdigit() else "")


def read_label(value: str) -> str:
    if wrong := not_a_label(value):
        raise ValueError(wrong)
    return value


def read_uuid(value: object) -> UUID:
    try:
        found = UUID(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or not found.int:
        raise ValueError("is not a uuid that can name ids: write a random one, as `uuidgen` prints it")
    return found


def read_budget(value: object) -> Budget:
    share = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value) if isinstance(value, str) else None
    if share and float(share[1]) <= 100:
        return Budget(share=float(share[1]) / 100)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Budget(rows=value)
    raise ValueError("is no error budget: write a share such as 5%, or a number of rows such as 100")


def read_workers(value: object) -> int | None:
    if value == "auto":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise ValueError("is no number of workers: write auto, or a number such as 4")


def read_clean(value: object) -> list[str]:
    steps = value if isinstance(value, list) else [value]
    for step in steps:
        if step not in CLEANING:
            raise ValueError(f"{step!r} cleans nothing: write one or several of {', '.join(CLEANING)}")
    return [str(step) for step in steps]


def read_identity(value: str) -> str:
    if not re.fullmatch(r"[^\s:/]+", value):
        raise ValueError("an identity has no spaces, `:` or `/` (ids are made of `identity:key`): write one word")
    return value


def read_moment(value: object) -> str:
    """An ISO 8601 time with its offset, spelled for Postgres."""
    try:
        moment = datetime.fromisoformat(value.upper()) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None:
        raise ValueError("is no ISO 8601 time: write one with its offset, such as 2025-10-18T00:00:00Z")
    if moment.tzinfo is None:
        raise ValueError(f"has no offset, so it names no moment: write {moment.isoformat()}Z, or its offset")
    return moment.isoformat()


def read_conversion(value: str) -> str:
    if value not in CONVERSIONS:
        raise ValueError(f"there is no conversion {value!r}: {instead(value, CONVERSIONS)}")
    return value


def read_missing(value: object) -> object:
    if value is not None and not isinstance(value, list):
        raise ValueError("takes null or a list: write `missing: null`, or codes such as [dangling_reference]")
    return [reason.value for reason in NULLABLE] if value is None else value


def read_code(value: object) -> Reason:
    known = {reason.value: reason for reason in MISSING}
    code = str(as_text(value))
    if code not in known:
        raise ValueError(f"{code!r} is no code that may become NULL: {instead(code, known)}")
    return known[code]


def read_sentinel(value: object) -> str:
    if not isinstance(value, str | int | Decimal):
        raise ValueError("is no value to look for: write such as 0 or -1 (a NULL is a null_reference anyway)")
    return str(as_text(value))


class Else(BaseModel):
    """What a value map makes of a value that it does not list."""

    otherwise: Literal["reject", "keep", "use"]
    default: str | None = None


def read_else(value: object) -> Else:
    if value is None or (isinstance(value, dict) and list(value) == ["value"]):
        return Else(otherwise="use", default=as_text(value["value"]) if isinstance(value, dict) else None)
    if value == "reject" or value == "keep":
        return Else(otherwise="reject" if value == "reject" else "keep")
    meant = as_text(value) if not isinstance(value, dict | list) else "X"
    raise ValueError(f"takes reject, keep, null or a value: write `else: {{value: {meant}}}` for a value")


# What an editor is told of a value (see mapping.json_schema) where its validator takes more than its type says.
TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
TEXTS: dict[str, Any] = {"anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}]}
BUDGET: dict[str, Any] = {
    "anyOf": [{"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$"}, {"type": "integer", "minimum": 0}]
}
IDS: dict[str, Any] = {
    "anyOf": [
        {"enum": ["uuid5", "uuid4"]},
        {"type": "object", "properties": {"uuid7": TEXT}, "required": ["uuid7"], "additionalProperties": False},
    ]
}
DELETED: dict[str, Any] = {
    "anyOf": [
        {"enum": ["keep", "delete"]},
        {"type": "object", "properties": {"mark": TEXT}, "required": ["mark"], "additionalProperties": False},
    ]
}
# https://www.postgresql.org/docs/current/functions-string.html; {x} is the text so far.
CLEANING = {
    "trim": r"btrim({x}, E' \t\n\r\f\v\u00a0')",
    "collapse": r"regexp_replace({x}, '\s+', ' ', 'g')",
    "printable": r"regexp_replace({x}, '[\x01-\x08\x0B\x0C\x0E-\x1F\x7F]', '', 'g')",
    "nfc": "normalize({x}, nfc)",
    "lower": "lower({x})",
    "upper": "upper({x})",
    "empty": "nullif({x}, '')",
}
_STEP: dict[str, Any] = {"enum": list(CLEANING)}
CLEAN: dict[str, Any] = {"anyOf": [_STEP, {"type": "array", "items": _STEP, "minItems": 1}]}
JSON: dict[str, Any] = {"anyOf": [TEXT, {"type": "object"}, {"type": "array"}]}
MAP_OR_FILE: dict[str, Any] = {"anyOf": [TEXT, {"type": "object"}, {"type": "null"}]}
ANY: dict[str, Any] = {}

Text = Annotated[str, StringConstraints(min_length=1, pattern=r"\S"), WithJsonSchema(TEXT)]
Texts = Annotated[list[Text], BeforeValidator(as_list), Field(min_length=1), WithJsonSchema(TEXTS)]
Label = Annotated[Text, AfterValidator(read_label)]
Conditions = dict[str, Text]
Rows = Annotated[Budget, BeforeValidator(read_budget), WithJsonSchema(BUDGET)]


class DeletedShape(BaseModel):
    """What becomes of target rows whose source row is gone: `choice`, and for mark the target column."""

    choice: str = "keep"
    column: str | None = None


def read_deleted(value: object) -> DeletedShape:
    if value in ("keep", "delete"):
        return DeletedShape(choice=str(value))
    if isinstance(value, dict) and list(value) == ["mark"] and isinstance(value["mark"], str):
        return DeletedShape(choice="mark", column=value["mark"])
    raise ValueError(
        "says not what becomes of rows that the source deletes: write keep (the default), delete, or "
        "`{mark: <target column that takes the time, or true>}`"
    )


class IdsShape(BaseModel):
    """How ids are made: `version`, and of 7 the source column that holds the time."""

    version: int = 5
    column: str | None = None


def read_ids(value: object) -> IdsShape:
    versions = {"uuid5": 5, "uuid4": 4}
    if isinstance(value, str) and value in versions:
        return IdsShape(version=versions[value])
    if isinstance(value, dict) and list(value) == ["uuid7"] and isinstance(value["uuid7"], str):
        return IdsShape(version=7, column=value["uuid7"])
    raise ValueError(
        "is no way to make ids: write uuid5 (the default), uuid4, or `{uuid7: <source column that holds a time>}`"
    )
