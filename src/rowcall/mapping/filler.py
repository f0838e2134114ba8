"""The shape of a column: how it is filled."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from rowcall.mapping.conversions import CONVERSIONS
from rowcall.mapping.scalars import (
    ANY,
    CLEAN,
    CLEANING,
    JSON,
    MAP_OR_FILE,
    Else,
    Text,
    Texts,
    read_clean,
    read_conversion,
    read_else,
)
from rowcall.mapping.shape import Shape


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
