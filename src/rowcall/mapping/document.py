"""The shapes of rowcall.yaml: which keys each part has and what each may hold. Short forms become long ones here.

A shape knows nothing of the catalogs. `required` says which keys must be there, and what to write for each.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from rowcall.mapping.filler import FillerShape
from rowcall.mapping.scalars import (
    DELETED,
    IDS,
    Conditions,
    DeletedShape,
    IdsShape,
    Label,
    Rows,
    Text,
    Texts,
    read_deleted,
    read_identity,
    read_ids,
    read_moment,
    read_uuid,
    read_workers,
)  # fmt: skip
from rowcall.mapping.shape import Inner, Shape
from rowcall.mapping.ways import MergeShape, ReferenceShape


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
        "merge": Inner(MergeShape),
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
    merge: Any = Field(
        default=None,
        description="a row of this table that stands for the row, too: rows that find one are merged with it",
    )
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
