"""The JSON Schema that editors use says what the shapes say: it takes what they take, and marks what they refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from mapping_world import VALID
from ruamel.yaml import YAML

from rowcall.demo import mapping_yaml
from rowcall.mapping.json_schema import json_schema, shapes

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json_schema()
FILES = [*sorted((ROOT / "examples").glob("*/rowcall.yaml"))]


def read(text: str) -> Any:
    """As an editor reads it: keys of a value map are texts there."""
    return YAML(typ="safe", pure=True).load(re.sub(r"\{(\d+): ", r"{'\1': ", text))


def faults(text: str) -> list[str]:
    """Where what is at fault stands."""
    found = Draft202012Validator(SCHEMA).iter_errors(_texts(read(text)))
    return sorted({path for error in found for path in _places(error)})


def _places(error: ValidationError) -> Iterator[str]:
    """Of several forms that a part may have each says what is wrong: as an editor does."""
    yield "/".join(map(str, error.absolute_path))
    for one in error.context or ():
        yield from _places(one)


def _texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {"null" if key is None else str(key): _texts(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_texts(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_the_examples_are_without_fault(file: Path) -> None:
    assert faults(file.read_text()) == []


@pytest.mark.parametrize("text", [mapping_yaml(1), VALID], ids=["demo", "world"])
def test_other_project_files_are_without_fault(text: str) -> None:
    assert faults(text) == []


@pytest.mark.parametrize(
    ("part", "instead", "where"),
    [
        ("rowcall: 1", "rowcall: 2", "rowcall"),
        ("project: dispatch", "projekt: dispatch", ""),
        ("error_budget: 20%", "error_budget: many", "error_budget"),
        ("source: {embedded: legacy}", "source: legacy", "source"),
        ("    from: auth_user\n", "    from: 7\n", "entities/profiles"),
        ("    impact: operational\n    where:", "    impakt: operational\n    where:", "entities/profiles"),
        ("convert: jsonb", "convert: yaml", "entities/system_messages"),
        ("sentinels: [0]", "sentinels: 0", "entities/case_states"),
        ("      absent: not_a_doctor\n", "      missing: not_a_doctor\n", "entities/doctors"),
        ("    from: auth_user\n", "    from: auth_user\n    ids: uuid1\n", "entities/profiles"),
    ],
)  # fmt: skip
def test_a_mistake_is_marked_where_it_is(part: str, instead: str, where: str) -> None:
    text = mapping_yaml(1)
    assert part in text
    found = faults(text.replace(part, instead, 1))
    assert any(path == where or path.startswith(f"{where}/") for path in found), found


def test_every_key_is_explained() -> None:
    """An editor shows it, and the reference in the documents is made of it."""
    for shape in shapes():
        for key, field in shape.model_fields.items():
            assert field.description, f"{shape.__name__}.{key}"
