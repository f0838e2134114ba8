"""The shapes of rowcall.yaml: which keys each part has and what each may hold. Short forms become long ones here.

A shape knows nothing of the catalogs. `required` says which keys must be there, and what to write for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from rowcall.mapping.conversions import CONVERSIONS
from rowcall.mapping.scalars import (
    ANY,
    CLEAN,
    CLEANING,
    DELETED,
    IDS,
    JSON,
    MAP_OR_FILE,
    MISSING,
    Conditions,
    DeletedShape,
    Else,
    IdsShape,
    Label,
    Rows,
    Text,
    Texts,
    read_clean,
    read_code,
    read_conversion,
    read_deleted,
    read_else,
    read_identity,
    read_ids,
    read_missing,
    read_moment,
    read_sentinel,
    read_uuid,
    read_workers,
)  # fmt: skip
from rowcall.rows import Reason


@dataclass(frozen=True)
class Inner:
    """A part within a part: the key holds `one`, a `list` of them, or a `map` of names to them."""

    shape: type[Shape]
    how: Literal["one", "list", "map"] = "one"


class Shape(BaseModel):
    """A part of the file. `kind` names it in a fault; `inner` says which keys hold further parts, `short` what may stand in its
    place."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)
    required: ClassVar[dict[str, str]] = {}
    kind: ClassVar[str] = "a mapping"
    inner: ClassVar[dict[str, Inner]] = {}
    short: ClassVar[tuple[str, ...]] = ()  # JSON types

    @classmethod
    def long(cls, raw: object) -> object:
        """The long form of what stands there."""
        return raw

    @classmethod
    def keys(cls) -> list[str]:
        return [field.alias or name for name, field in cls.model_fields.items()]


class EndpointShape(Shape):
    kind = "where a server is, such as `{env: SOURCE_DSN}`"
    env: Text | None = Field(default=None, description="an environment variable that holds a DSN")
    service: Text | None = Field(default=None, description="a service of pg_service.conf")
    dsn: Text | None = Field(default=None, description='a DSN such as "host=... dbname=...", without a password')
    embedded: Text | None = Field(default=None, description="a server of the project folder, as the demo has them")
    schema_: Text = Field(
        default="public", alias="schema", description="the schema of tables that are named without one"
    )


class ContentTypesShape(Shape):
    kind = "`table:` and `formerly:`"
    table: Text | None = Field(
        default=None, description="Django's table of content types; django_content_type unless written"
    )
    formerly: dict[Label, list[int]] | None = Field(default=None, description="type -> the ids that it had before")


class CutoffShape(Shape):
    kind = "`{column: <source column>, at: <time>}`"
    required = {
        "column": "write the source column that holds the time",
        "at": "write a time, such as 2025-10-18T00:00:00Z",
    }
    column: Text | None = Field(default=None, description="the source column that holds the time")
    at: Annotated[str, BeforeValidator(read_moment)] | None = Field(
        default=None, description="an ISO 8601 time with its offset"
    )


class FillerShape(Shape):
    """How a column is filled: exactly one of from, sql, value, content_type."""

    kind = 'a source column, or a mapping such as `{sql: "..."}` or `{value: ...}`'
    short = ("string",)
    ways: ClassVar[tuple[str, ...]] = ("from_", "sql", "value", "content_type", "json_", "python")
    from_: Text | None = Field(default=None, alias="from", description="a source column")
    sql: Text | None = Field(default=None, description="an SQL expression over the source row")
    value: Any = Field(default=None, description="a constant; a list or mapping is JSON")
    content_type: Text | None = Field(default=None, description="the source column that holds a content type's id")
    json_: Annotated[Any, WithJsonSchema(JSON)] = Field(
        default=None,
        alias="json",
        description="JSON of source columns: a mapping or list of columns, {sql: ...}, {value: ...}",
    )
    python: Text | None = Field(
        default=None, description="a function of a Python file in the project's folder, such as functions.full_name"
    )
    of: Texts | None = Field(default=None, description="the source columns that the function takes, as Arrow arrays")
    clean: Annotated[list[str], BeforeValidator(read_clean), WithJsonSchema(CLEAN)] = Field(
        default=[], description=f"steps that clean a text, in this order: {', '.join(CLEANING)}"
    )
    lookup: Text | None = Field(
        default=None,
        description="a unique column of a source table, such as dispatch_status.id, in which the value is looked up",
    )
    take: Text | None = Field(default=None, description="the column of the row that was found")
    format: Text | None = Field(
        default=None, description="the format of a text that is a time, such as DD.MM.YYYY HH24:MI"
    )
    zone: Text | None = Field(default=None, description="the time zone of a time that has none, such as Europe/Zurich")
    default: Any = Field(default=None, description="what stands for a NULL, as the source's type")
    convert: Annotated[Text, AfterValidator(read_conversion), WithJsonSchema({"enum": sorted(CONVERSIONS)})] | None = (
        Field(default=None, description="a conversion of a text, which may fail")
    )
    map: dict[str | None, Any] | None = Field(
        default=None,
        description="source value -> target value; null: for a NULL; or a CSV file with the columns source and target",
        json_schema_extra=MAP_OR_FILE,
    )
    else_: Annotated[Else | None, BeforeValidator(read_else), WithJsonSchema(ANY)] = Field(
        default=None,
        alias="else",
        description="what becomes of values that are not listed: reject, keep, null or {value: X}",
    )  # None: not said

    @classmethod
    def long(cls, raw: object) -> object:
        return {"from": raw} if isinstance(raw, str) else raw

    @property
    def keeps(self) -> bool:
        """Whether values that the map does not list reach the target as they are, as text."""
        return self.else_ is not None and self.else_.otherwise == "keep"

    @model_validator(mode="after")
    def _whole(self) -> FillerShape:
        given = set(self.ways) & self.model_fields_set
        if len(given) != 1:
            raise ValueError(f"{'nothing' if not given else 'more than one thing'} fills this column: "
                             f"write exactly one of {', '.join(way.rstrip('_') for way in self.ways)}")  # fmt: skip
        self._together(given)
        if "else_" in self.model_fields_set and self.map is None:
            raise ValueError("`else` belongs to a value map: write `map:` too, or leave `else` out")
        if self.map is not None and "value" in given:
            raise ValueError("a constant needs no value map: write the value that is meant")
        return self

    def _together(self, given: set[str]) -> None:
        """What goes with what."""
        steps = {"clean", "lookup", "take", "format", "zone", "default"} & self.model_fields_set
        if ("python" in given) != (self.of is not None):
            raise ValueError("`python` names a function, and `of` the source columns that it takes: write both")
        if steps and given & {"value", "content_type", "python"}:
            raise ValueError(f"`{min(steps)}` needs a value of the row: write it beside `from` or `sql`")
        if steps - {"default"} and "json_" in given:
            raise ValueError(f"`{min(steps - {'default'})}` is for one value: write it beside `from` or `sql`")
        if (self.lookup is None) != (self.take is None):
            raise ValueError(
                "`lookup` says where to look, and `take` which column of the row that is found: write both"
            )
        if self.format is not None and self.lookup is not None:
            raise ValueError("a format is for the row's own text: leave `format` out, or write `sql`")


class WayShape(Shape):
    """One way of a polymorphic reference."""

    kind = "a path, or `{to: <entity>, path: <path>}`"
    required = {"path": "write the hops, such as `object_id -> dispatch_plan.id`"}
    short = ("string", "array")
    to: Text | None = Field(default=None, description="the parent's entity, where it differs from the reference's")
    path: Texts | None = Field(default=None, description="hops such as `object_id -> dispatch_plan.id`")

    @classmethod
    def long(cls, raw: object) -> object:
        return {"path": raw} if isinstance(raw, str | list) else raw


class ReferenceShape(Shape):
    """A reference: `path`, `paths`, or `type` with `by_type`."""

    kind = "`{to: <entity>, path: <path>}`"
    inner = {"by_type": Inner(WayShape, "map")}
    to: Text | None = Field(default=None, description="the parent's entity")
    path: Texts | None = Field(
        default=None, description="the way to the parent: hops, separated by commas or as a list"
    )
    paths: Annotated[list[Texts], Field(min_length=1)] | None = Field(
        default=None, description="several ways to one parent"
    )
    type: Text | None = Field(default=None, description="the source column that holds a content type's id")
    by_type: dict[Label, Any] | None = Field(default=None, description="content type -> the way to the parent")
    sentinels: list[Annotated[str, BeforeValidator(read_sentinel), WithJsonSchema({"type": ["string", "number"]})]] = (
        Field(default=[], description="values that cannot be meant, such as 0; compared as text, at every hop")
    )
    missing: Annotated[
        list[Annotated[Reason, BeforeValidator(read_code)]],
        BeforeValidator(read_missing),
        WithJsonSchema({"anyOf": [{"type": "null"}, {"type": "array", "items": {"enum": [r.value for r in MISSING]}}]}),
    ] = Field(default=[], description="codes whose rows get a NULL; null: the usual ones")

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


class SourceShape(Shape):
    """Where rows come from: a table, or a query over a base table."""

    kind = "a source table, or `{query: <SELECT>, base: <table>}`"
    required = {
        "query": "write a SELECT, or the source table alone",
        "base": "write the table for whose rows the query accounts, such as `base: dispatch_case`",
    }
    short = ("string",)
    query: Text | None = Field(default=None, description="one SELECT")
    base: Text | None = Field(default=None, description="the table for whose rows it accounts")
    absent: Text = Field(
        default="not_returned", description="the rule that excludes rows of the base table which it does not return"
    )


Load = Literal["auto", "bulk", "live"]
Deletions = Annotated[DeletedShape, BeforeValidator(read_deleted), WithJsonSchema(DELETED)]


class EntityShape(Shape):
    kind = "a mapping with `from:`, `to:`, `columns:`"
    required = {"from": "write the source table, such as `from: dispatch_record`"}
    inner = {
        "from": Inner(SourceShape),
        "cutoff": Inner(CutoffShape),
        "columns": Inner(FillerShape, "map"),
        "references": Inner(ReferenceShape, "map"),
    }
    from_: Any = Field(default=None, alias="from", description="the source table, or a query")
    to: Text | None = Field(default=None, description="the target table; the entity's name unless written")
    key: Texts | None = Field(default=None, description="the source's key; its primary key unless written")
    rows: Literal["unique", "counted"] | None = Field(
        default=None,
        description="of a table without a key in the catalog: unique: the `key` is one, and is checked before rows are read; "
        "counted: there is none, and equal rows are told apart by counting them",
    )
    id: Text | None = Field(default=None, description="the target's uuid key column; its primary key unless written")
    identity: Annotated[Text, AfterValidator(read_identity)] | None = Field(
        default=None, description="the word that ids are made with; the entity's name unless written"
    )
    ids: Annotated[
        IdsShape,
        BeforeValidator(read_ids),
        WithJsonSchema(IDS),
    ] = Field(
        default=IdsShape(), description="how ids are made: uuid5 (of the key), uuid4 (chance), {uuid7: <time column>}"
    )
    impact: Text | None = Field(default=None, description="a free label for reports")
    error_budget: Rows | None = Field(
        default=None, description="how many quarantined rows stop the run: 5%, or a number"
    )
    where: Conditions | None = Field(
        default=None, description="name -> SQL condition; a row for which it is not true is excluded"
    )
    rules: Conditions | None = Field(
        default=None, description="name -> SQL condition that must be true, else rule_failed"
    )
    load: Load | None = Field(default=None, description="how the target table is filled")
    deleted: Deletions | None = Field(
        default=None,
        description="what a later run does with rows that the source has deleted: keep, delete, {mark: <target column>}",
    )
    cutoff: Any = Field(default=None, description="rows that are later are after_cutoff")
    columns: dict[str, Any] | None = Field(default=None, description="target column -> how it is filled")
    references: dict[str, Any] | None = Field(default=None, description="target column -> how its parent is found")


class RepairShape(Shape):
    kind = "`{cause: <entity>/<code>, remedy: <name>, set: {...}, reason: <text>}`"
    required = {
        "cause": "write which rows are meant, such as `cause: orders/dangling_reference`",
        "remedy": "write the name of a remedy, such as `remedy: stub_parent`",
    }
    cause: Text | None = Field(default=None, description="which rows are meant: entity/code")
    remedy: Text | None = Field(default=None, description="the name of a remedy")
    set_: dict[str, Any] = Field(default={}, alias="set", description="its settings")
    reason: str = Field(default="", description="why, for the audit")
    follow: bool = Field(default=False, description="the victims behind the rows come home in the same repair")


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
    inner = {
        "source": Inner(EndpointShape),
        "target": Inner(EndpointShape),
        "content_types": Inner(ContentTypesShape),
        "repairs": Inner(RepairShape, "list"),
        "entities": Inner(EntityShape, "map"),
    }
    rowcall: Literal[1] | None = Field(default=None, description="the version of this language")
    project: Text | None = Field(default=None, description="a name")
    namespace: Annotated[UUID, BeforeValidator(read_uuid)] | None = Field(
        default=None, description="a random uuid, from which all ids are made: keep it secret"
    )
    source: Any = Field(default=None, description="where the legacy server is")
    target: Any = Field(default=None, description="where the new server is")
    error_budget: Rows | None = Field(
        default=None, description="how many quarantined rows stop the run: 5%, or a number"
    )
    load: Load = Field(default="auto", description="how target tables are filled")
    deleted: Deletions = Field(
        default=DeletedShape(),
        description="what a later run does with rows that the source has deleted: keep, delete, {mark: <target column>}",
    )
    workers: Annotated[
        int | None,
        BeforeValidator(read_workers),
        WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1}]}),
    ] = Field(default=None, description="how many chunks are worked on at a time")  # None: auto
    content_types: Any = Field(default=None, description="about Django's content types")
    views: dict[str, Text] | None = Field(
        default=None, description="name -> SELECT over the source, on which paths walk as on a table"
    )
    remedies: dict[str, dict[str, dict[str, Any] | None]] | None = Field(
        default=None, description="cause -> remedy -> settings that it takes where none are given"
    )
    repairs: list[Any] | None = Field(default=None, description="repairs that run applies, in this order")
    entities: Annotated[dict[str, Any], Field(min_length=1)] | None = Field(default=None, description="name -> entity")
