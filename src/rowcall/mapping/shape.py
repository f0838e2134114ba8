"""What every part of rowcall.yaml is: its keys, and what may stand in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict


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
