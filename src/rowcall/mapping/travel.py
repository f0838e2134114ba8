"""A project file as it may travel: what it says, but neither its endpoints nor its comments."""

from __future__ import annotations

from pathlib import Path

from rowcall.errors import Faults
from rowcall.mapping.load import peek, read_text
from rowcall.mapping.map_files import inlined
from rowcall.mapping.model import VARIABLES, Endpoint
from rowcall.mapping.tree import as_text, json_text, parse


def without_endpoints(path: Path) -> str:
    """The file as YAML on one line that reads the same, with the same fingerprint; the entries of its map files stand in it. Where
    the servers are is left to the environment of whoever reads it; only the names of their schemas stay."""
    faults, endpoints = Faults(str(path)), peek(path)
    value = parse(read_text(path, faults), faults).value
    assert isinstance(value, dict)  # else peek had raised
    schemas = {"source": endpoints.source.schema, "target": endpoints.target.schema}
    value = inlined(value, path.parent)
    return _flow(value | {side: {"env": VARIABLES[side], "schema": schemas[side]} for side in schemas})


def nameless(endpoint: Endpoint) -> Endpoint:
    """An endpoint as it may travel: the names of variables and services do, a dsn does not."""
    return endpoint if endpoint.kind in ("env", "service") else Endpoint(endpoint.kind, "", endpoint.schema)


def _flow(value: object) -> str:
    """YAML's flow style: JSON, but that a key may be null."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return json_text(value)


def _key(key: object) -> str:
    return "null" if key is None else json_text(as_text(key))
