"""The JSON Schema of a project file, made from the shapes that read it: what an editor knows while one writes.

Draft 2020-12: https://json-schema.org/draft/2020-12
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rowcall.mapping.document import DocumentShape
from rowcall.mapping.shape import Inner, Shape

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Of the whole file; every part is a definition."""
    parts = {name(shape): _object(shape) for shape in shapes() if shape is not DocumentShape}
    return {"$schema": DIALECT, "title": "rowcall.yaml", **_object(DocumentShape), "$defs": dict(sorted(parts.items()))}


def shapes(shape: type[Shape] = DocumentShape) -> Iterator[type[Shape]]:
    """The document's shape and those of all parts in it, each once."""
    found = [shape]
    for one in found:
        found += [part for part in dict.fromkeys(inner.shape for inner in one.inner.values()) if part not in found]
    yield from found


def name(shape: type[Shape]) -> str:
    return shape.__name__.removesuffix("Shape")


def _object(shape: type[Shape]) -> dict[str, Any]:
    made = shape.model_json_schema(by_alias=True)
    properties = {key: _property(made["properties"][key], shape.inner.get(key)) for key in made["properties"]}
    found = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | ({"required": list(shape.required)} if shape.required else {})


def _property(made: dict[str, Any], inner: Inner | None) -> dict[str, Any]:
    """A key: what it holds, or may be left out with `null`, and what is said of it."""
    told = {"description": made["description"]}
    if inner is None:
        return {key: value for key, value in made.items() if key not in ("title", "default")} | told
    reference: dict[str, Any] = {"$ref": f"#/$defs/{name(inner.shape)}"}
    part = {"anyOf": [*({"type": kind} for kind in inner.shape.short), reference]} if inner.shape.short else reference
    held = {
        "one": part,
        "list": {"type": "array", "items": part},
        "map": {"type": "object", "additionalProperties": part},
    }
    return {"anyOf": [held[inner.how], {"type": "null"}]} | told
