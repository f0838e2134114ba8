"""The shapes of references: ways to other rows."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from rowcall.mapping.scalars import (
    MISSING,
    Label,
    Text,
    Texts,
    read_code,
    read_missing,
    read_sentinel,
)
from rowcall.mapping.shape import Inner, Shape
from rowcall.rows import Reason

Sentinels = list[Annotated[str, BeforeValidator(read_sentinel), WithJsonSchema({"type": ["string", "number"]})]]


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


class EachShape(Shape):
    """Where the elements of a reference stand."""

    kind = "a source column, or `{of: <column>, at: <place in JSON>}`"
    required = {"of": "write the source column that holds the elements"}
    short = ("string",)
    of: Text | None = Field(default=None, description="the source column that holds them: an array, JSON or a text")
    at: Text | None = Field(default=None, description="where the values are in JSON, such as $.watchers[*].user")
    keys_: Text | None = Field(
        default=None, alias="keys", description="the object in JSON whose keys are meant, such as $.by_user"
    )
    packed: Text | None = Field(default=None, description="how one element is written, such as {type}:{id}")

    @classmethod
    def long(cls, raw: object) -> object:
        return {"of": raw} if isinstance(raw, str) else raw

    @model_validator(mode="after")
    def _whole(self) -> EachShape:
        if self.at is not None and self.keys_ is not None:
            raise ValueError("`at` is for values and `keys` for keys: write one of both")
        return self


class ReferenceShape(Shape):
    """A reference: `path`, `paths`, or `type` with `by_type`."""

    kind = "`{to: <entity>, path: <path>}`"
    inner = {"by_type": Inner(WayShape, "map"), "each": Inner(EachShape)}
    each: Any = Field(default=None, description="of a column with several references: where its elements stand")
    to: Text | None = Field(default=None, description="the parent's entity")
    path: Texts | None = Field(
        default=None, description="the way to the parent: hops, separated by commas or as a list"
    )
    paths: Annotated[list[Texts], Field(min_length=1)] | None = Field(
        default=None, description="several ways to one parent"
    )
    type: Text | None = Field(default=None, description="the source column that holds a content type's id")
    by_type: dict[Label, Any] | None = Field(default=None, description="content type -> the way to the parent")
    sentinels: Sentinels = Field(
        default=[], description="values that cannot be meant, such as 0; compared as text, at every hop"
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
        if self.each is not None and self.type is not None:
            raise ValueError("the type of an element stands in it (`packed`): leave `type` out")
        if self.each is None and (self.type is None) != (self.by_type is None):
            raise ValueError("`type` and `by_type` go together: write `type: <content type column>` and its paths")
        if self.to is None and self.by_type is None:
            raise ValueError("`to` is missing: write `to: <entity>`, the parent's entity")
        return self


class MergeShape(Shape):
    """How a row of the same target table is found that stands for this one."""

    kind = "`{to: <entity>, path: <path>}`"
    required = {
        "to": "write the entity whose rows stand for these, such as `to: profiles`",
        "path": "write the hops from a row to the one that stands for it",
    }
    to: Text | None = Field(default=None, description="the entity whose rows stay; it may be this one")
    path: Texts | None = Field(default=None, description="the way to the row that stays: hops, as in a reference")
    sentinels: Sentinels = Field(default=[], description="values that cannot be meant, such as 0; compared as text")
