"""Named queries in .sql files: `-- name: NAME` starts one. The files open in psql as they are."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def named_queries(package: str, file: str) -> dict[str, str]:
    """NAME -> SQL text of one .sql file beside the code."""
    queries: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in files(package).joinpath(file).read_text(encoding="utf-8").splitlines():
        if line.startswith("-- name: "):
            lines = queries.setdefault(line.removeprefix("-- name: ").strip(), [])
        else:
            lines.append(line)
    return {name: "\n".join(body).strip().rstrip(";") for name, body in queries.items()}
