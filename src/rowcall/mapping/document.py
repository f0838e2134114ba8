"""The shapes of rowcall.yaml: which keys each part has and what each may hold. Short forms become long ones here.

A shape knows nothing of the catalogs. `required` says which keys must be there, and what to write for each.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from rowcall.mapping.conversions import CONVERSIONS
from rowcall.mapping.model import Budget
from rowcall.mapping.tree import as_text
from rowcall.mapping.words import instead
from rowcall.rows import Reason

NULLABLE = (Reason.NULL_REFERENCE, Reason.SENTINEL_REFERENCE, Reason.DANGLING_REFERENCE, Reason.PARENT_EXCLUDED)
MISSING = (*NULLABLE, Reason.PARENT_QUARANTINED, Reason.UNKNOWN_TYPE)
_LABEL = re.compile(r"[^\W\d]\w*\.[^\W\d]\w*")


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def not_a_label(value: str) -> str | None:
    """What is wrong with a content type's label."""
    if _LABEL.fullmatch(value):
        return None
    message = f"{value!r} is no content type: write its label `app_label.model`, such as dispatch.plan"
    return message + (", and the number under `content_types: formerly:`" if value.isdigit() else "")


def _label(value: str) -> str:
    if wrong := not_a_label(value):
        raise ValueError(wrong)
    return value


def _uuid(value: object) -> UUID:
    try:
        found = UUID(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or not found.int:
        raise ValueError("is not a uuid that can name ids: write a random one, as `uuidgen` prints it")
    return found


def _budget(value: object) -> Budget:
    share = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value) if isinstance(value, str) else None
    if share and float(share[1]) <= 100:
        return Budget(share=float(share[1]) / 100)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Budget(rows=value)
    raise ValueError("is no error budget: write a share such as 5%, or a number of rows such as 100")


def _workers(value: object) -> int | None:
    if value == "auto":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise ValueError("is no number of workers: write auto, or a number such as 4")


def _identity(value: str) -> str:
    if not re.fullmatch(r"[^\s:/]+", value):
        raise ValueError("an identity has no spaces, `:` or `/` (ids are made of `identity:key`): write one word")
    return value


def _moment(value: object) -> str:
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


def _conversion(value: str) -> str:
    if value not in CONVERSIONS:
        raise ValueError(f"there is no conversion {value!r}: {instead(value, CONVERSIONS)}")
    return value


def _missing(value: object) -> object:
    if value is not None and not isinstance(value, list):
        raise ValueError("takes null or a list: write `missing: null`, or codes such as [dangling_reference]")
    return [reason.value for reason in NULLABLE] if value is None else value


def _code(value: object) -> Reason:
    known = {reason.value: reason for reason in MISSING}
    code = str(as_text(value))
    if code not in known:
        raise ValueError(f"{code!r} is no code that may become NULL: {instead(code, known)}")
    return known[code]


def _sentinel(value: object) -> str:
    if not isinstance(value, str | int | Decimal):
        raise ValueError("is no value to look for: write such as 0 or -1 (a NULL is a null_reference anyway)")
    return str(as_text(value))


class Else(BaseModel):
    """What a value map makes of a value that it does not list."""

    otherwise: Literal["reject", "keep", "use"]
    default: str | None = None


def _else(value: object) -> Else:
    if value is None or (isinstance(value, dict) and list(value) == ["value"]):
        return Else(otherwise="use", default=as_text(value["value"]) if isinstance(value, dict) else None)
    if value == "reject" or value == "keep":
        return Else(otherwise="reject" if value == "reject" else "keep")
    meant = as_text(value) if not isinstance(value, dict | list) else "X"
    raise ValueError(f"takes reject, keep, null or a value: write `else: {{value: {meant}}}` for a value")


Text = Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]
Texts = Annotated[list[Text], BeforeValidator(_listed), Field(min_length=1)]
Label = Annotated[Text, AfterValidator(_label)]
Conditions = dict[str, Text]


class Shape(BaseModel):
    """A part of the file. `kind` names it in a fault."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)
    required: ClassVar[dict[str, str]] = {}
    kind: ClassVar[str] = "a mapping"

    @classmethod
    def long(cls, raw: object) -> object:
        """The long form of what stands there."""
        return raw

    @classmethod
    def keys(cls) -> list[str]:
        return [field.alias or name for name, field in cls.model_fields.items()]


class EndpointShape(Shape):
    kind = "where a server is, such as `{env: SOURCE_DSN}`"
    env: Text | None = None
    service: Text | None = None
    dsn: Text | None = None
    embedded: Text | None = None
    schema_: Text = Field("public", alias="schema")


class ContentTypesShape(Shape):
    kind = "`table:` and `formerly:`"
    table: Text | None = None
    formerly: dict[Label, list[int]] | None = None


class CutoffShape(Shape):
    kind = "`{column: <source column>, at: <time>}`"
    required = {
        "column": "write the source column that holds the time",
        "at": "write a time, such as 2025-10-18T00:00:00Z",
    }
    column: Text | None = None
    at: Annotated[str, BeforeValidator(_moment)] | None = None


class FillerShape(Shape):
    """How a column is filled: exactly one of from, sql, value, content_type."""

    kind = 'a source column, or a mapping such as `{sql: "..."}` or `{value: ...}`'
    from_: Text | None = Field(None, alias="from")
    sql: Text | None = None
    value: Any = None
    content_type: Text | None = None
    convert: Annotated[Text, AfterValidator(_conversion)] | None = None
    map: dict[str | None, Any] | None = None
    else_: Annotated[Else | None, BeforeValidator(_else)] = Field(None, alias="else")  # None: not said

    @classmethod
    def long(cls, raw: object) -> object:
        return {"from": raw} if isinstance(raw, str) else raw

    @property
    def keeps(self) -> bool:
        """Whether values that the map does not list reach the target as they are, as text."""
        return self.else_ is not None and self.else_.otherwise == "keep"

    @model_validator(mode="after")
    def _whole(self) -> FillerShape:
        given = {"from_", "sql", "value", "content_type"} & self.model_fields_set
        if len(given) != 1:
            raise ValueError(f"{'nothing' if not given else 'more than one thing'} fills this column: "
                             "write exactly one of from, sql, value, content_type")  # fmt: skip
        if "else_" in self.model_fields_set and self.map is None:
            raise ValueError("`else` belongs to a value map: write `map:` too, or leave `else` out")
        if self.map is not None and "value" in given:
            raise ValueError("a constant needs no value map: write the value that is meant")
        return self


class WayShape(Shape):
    """One way of a polymorphic reference."""

    kind = "a path, or `{to: <entity>, path: <path>}`"
    required = {"path": "write the hops, such as `object_id -> dispatch_plan.id`"}
    to: Text | None = None
    path: Texts | None = None

    @classmethod
    def long(cls, raw: object) -> object:
        return {"path": raw} if isinstance(raw, str | list) else raw


class ReferenceShape(Shape):
    """A reference: `path`, `paths`, or `type` with `by_type`."""

    kind = "`{to: <entity>, path: <path>}`"
    to: Text | None = None
    path: Texts | None = None
    paths: Annotated[list[Texts], Field(min_length=1)] | None = None
    type: Text | None = None
    by_type: dict[Label, Any] | None = None
    sentinels: list[Annotated[str, BeforeValidator(_sentinel)]] = []
    missing: Annotated[list[Annotated[Reason, BeforeValidator(_code)]], BeforeValidator(_missing)] = []

    @model_validator(mode="after")
    def _whole(self) -> ReferenceShape:
        given = [name for name in ("path", "paths", "by_type") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"{' and '.join(given) or 'nothing'} says how to find the parent: "
                             "write exactly one of path, paths, by_type")  # fmt: skip
        if (self.type is None) != (self.by_type is None):
            raise ValueError("`type` and `by_type` go together: write `type: <content type column>` and its paths")
        if self.to is None and self.by_type is None:
            raise ValueError("`to` is missing: write `to: <entity>`, the parent's entity")
        return self


class IdsShape(BaseModel):
    """How ids are made: `version`, and of 7 the source column that holds the time."""

    version: int = 5
    column: str | None = None


def _ids(value: object) -> IdsShape:
    versions = {"uuid5": 5, "uuid4": 4}
    if isinstance(value, str) and value in versions:
        return IdsShape(version=versions[value])
    if isinstance(value, dict) and list(value) == ["uuid7"] and isinstance(value["uuid7"], str):
        return IdsShape(version=7, column=value["uuid7"])
    raise ValueError(
        "is no way to make ids: write uuid5 (the default), uuid4, or `{uuid7: <source column that holds a time>}`"
    )


class SourceShape(Shape):
    """Where rows come from: a table, or a query over a base table."""

    kind = "a source table, or `{query: <SELECT>, base: <table>}`"
    required = {
        "query": "write a SELECT, or the source table alone",
        "base": "write the table for whose rows the query accounts, such as `base: dispatch_case`",
    }
    query: Text | None = None
    base: Text | None = None
    absent: Text = "not_returned"


Load = Literal["auto", "bulk", "live"]


class EntityShape(Shape):
    kind = "a mapping with `from:`, `to:`, `columns:`"
    required = {"from": "write the source table, such as `from: dispatch_record`"}
    from_: Any = Field(None, alias="from")
    to: Text | None = None
    key: Texts | None = None
    id: Text | None = None
    identity: Annotated[Text, AfterValidator(_identity)] | None = None
    ids: Annotated[IdsShape, BeforeValidator(_ids)] = IdsShape()
    impact: Text | None = None
    error_budget: Annotated[Budget, BeforeValidator(_budget)] | None = None
    where: Conditions | None = None
    rules: Conditions | None = None
    load: Load | None = None
    cutoff: Any = None
    columns: dict[str, Any] | None = None
    references: dict[str, Any] | None = None


class RepairShape(Shape):
    kind = "`{cause: <entity>/<code>, remedy: <name>, set: {...}, reason: <text>}`"
    required = {
        "cause": "write which rows are meant, such as `cause: orders/dangling_reference`",
        "remedy": "write the name of a remedy, such as `remedy: stub_parent`",
    }
    cause: Text | None = None
    remedy: Text | None = None
    set_: dict[str, Any] = Field({}, alias="set")
    reason: str = ""
    follow: bool = False


class DocumentShape(Shape):
    kind = "a mapping with `rowcall: 1`, `project:`, `namespace:`, `source:`, `target:`, `entities:`"
    required = {
        "rowcall": "write `rowcall: 1`, the version of this language",
        "project": "write a name for the project",
        "namespace": "write a random uuid, as `uuidgen` prints it; the ids are made from it",
        "source": "write where the legacy server is, such as `{env: SOURCE_DSN}`",
        "target": "write where the new server is, such as `{env: TARGET_DSN}`",
        "entities": "write at least one entity, such as `cases: {from: dispatch_case}`",
    }
    rowcall: Literal[1] | None = None
    project: Text | None = None
    namespace: Annotated[UUID, BeforeValidator(_uuid)] | None = None
    source: Any = None
    target: Any = None
    error_budget: Annotated[Budget, BeforeValidator(_budget)] | None = None
    load: Load = "auto"
    workers: Annotated[int | None, BeforeValidator(_workers)] = None  # None: auto
    content_types: Any = None
    remedies: dict[str, dict[str, dict[str, Any] | None]] | None = None
    repairs: list[Any] | None = None
    entities: Annotated[dict[str, Any], Field(min_length=1)] | None = None
