"""Value maps that stand in CSV files of the project: read in the place where the project file names them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

from rowcall.errors import UsageError
from rowcall.mapping.model import Loc

HEADER = ["source", "target"]


def with_map_files(filler: object, folder: Path, loc: Loc, say: Callable[[Loc, str], None]) -> object:
    """How a column is filled, with the file's entries where its `map` names a file; what is wrong with that is said."""
    if not isinstance(filler, dict) or not isinstance(filler.get("map"), str):
        return filler
    try:
        entries = _read(folder, filler["map"])
    except ValueError as error:
        say((*loc, "map"), f"{filler['map']}: {error}")
        entries = {}
    return filler | {"map": entries}


def inlined(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same for a whole project file, of which nothing is wrong. Raises UsageError where it needs more than that file."""
    entities = document.get("entities")
    if not isinstance(entities, dict):
        return document
    return document | {"entities": {name: _entity(entity, folder) for name, entity in entities.items()}}


def _entity(entity: object, folder: Path) -> object:
    if not isinstance(entity, dict) or not isinstance(entity.get("columns"), dict):
        return entity
    if any(isinstance(filler, dict) and "python" in filler for filler in entity["columns"].values()):
        raise UsageError(
            "the mapping has Python functions, which the machines of a cluster do not have",
            hint="run without `--executor dask`, or write the columns in SQL",
        )
    columns = {name: with_map_files(filler, folder, (), _unheard) for name, filler in entity["columns"].items()}
    return entity | {"columns": columns}


def _unheard(_: Loc, __: str) -> None:
    pass


def _read(folder: Path, name: str) -> dict[str, str | None]:
    """Source value -> target value; an empty cell is an empty text at the source, and a NULL in the target. Raises ValueError."""
    try:
        text = (folder / name).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"{error.strerror}: write a CSV file beside the project file, or the map itself") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8: save it as UTF-8") from None
    lines = csv.reader(StringIO(text, newline=""), strict=True)
    entries: dict[str, str | None] = {}
    try:
        if next(lines, None) != HEADER:
            raise ValueError(f"its first line is not `{','.join(HEADER)}`: write it above the values")
        for cells in filter(None, lines):
            if any("\0" in cell for cell in cells):
                raise ValueError(f"line {lines.line_num} has a NUL, which no text of Postgres has: take it out")
            if len(cells) != len(HEADER):
                raise ValueError(f"line {lines.line_num} has {len(cells)} cells, not 2: write source and target")
            if cells[0] in entries:
                raise ValueError(f"line {lines.line_num} has a source value of a line before it: write each once")
            entries[cells[0]] = cells[1] or None
    except csv.Error as error:
        raise ValueError(f"line {lines.line_num} is no CSV ({error})") from None
    return entries
