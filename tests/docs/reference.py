"""docs/mapping-reference.md, made from the shapes that read a project file: `python tests/docs/reference.py` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rowcall.mapping.document import DocumentShape
from rowcall.mapping.json_schema import name, shapes
from rowcall.mapping.shape import Shape

FILE = Path(__file__).resolve().parents[2] / "docs" / "mapping-reference.md"
TITLES = {
    "Document": "The file", "Endpoint": "A server", "ContentTypes": "Content types", "Repair": "A repair",
    "Entity": "An entity", "Source": "A query as a source", "Cutoff": "A cutoff", "Filler": "A column",
    "Reference": "A reference", "Way": "A way by content type", "Merge": "Rows that are one",
    "Each": "The elements of a reference",
}  # fmt: skip


def page() -> str:
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Every key of rowcall.yaml"
    yield ""
    yield "Made from the model that reads the file, as the [JSON Schema](commands.md#schema) is. [mapping.md](mapping.md) explains."
    for shape in shapes():
        yield from ("", f"## {TITLES[name(shape)]}", "")
        if shape is not DocumentShape:
            short = {"string": "a text", "array": "a list"}
            told = " or ".join(short[kind] for kind in shape.short)
            yield from (f"{shape.kind[0].upper()}{shape.kind[1:]}." + (f" In short: {told}." if told else ""), "")
        yield from ("| key | is |", "|---|---|")
        yield from (
            _line(shape, field.alias or key, field.description or "") for key, field in shape.model_fields.items()
        )


def _line(shape: type[Shape], key: str, told: str) -> str:
    part = f"; see {TITLES[name(shape.inner[key].shape)].lower()}" if key in shape.inner else ""
    required = " Required" if key in shape.required else ""
    return f"| `{key}` | {told}{part}{'.' if required else ''}{required} |"


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
