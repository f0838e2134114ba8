"""The rules of the house: imports run down only, one room speaks to Postgres, only the top prints."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import rowcall

ROOT = Path(rowcall.__file__).parent
# Rooms by floor; a module may import from floors below its own, and from its own room.
FLOORS = {
    "errors": 1, "schema": 1, "sql": 1, "version": 1, "loading": 1, "progress": 1,
    "rows": 2, "mapping": 2,
    "plan": 3, "postgres": 3, "workspace": 3, "rejected": 3,
    "ledger": 4, "survey": 5,
    "move": 5, "verify": 5, "explain": 5,
    "forecast": 6, "desk": 6, "cluster": 6, "repair": 6, "catching": 7, "healing": 7, "sample": 6, "opening": 7, "report": 7,
    "migration": 8,
    "cli": 9, "repair_commands": 9, "writing_commands": 9, "screen": 9, "options": 9, "server_commands": 9, "frame": 8, "demo": 9,
    "__main__": 10, "__init__": 10,
}  # fmt: skip
SIDEWAYS = {
    ("mapping", "rows"),
    ("options", "screen"),
    ("server_commands", "screen"),
    ("server_commands", "options"),
    ("repair_commands", "screen"),
    ("repair_commands", "options"),
    ("writing_commands", "screen"),
    ("writing_commands", "options"),
} | {("cli", room) for room in ("screen", "demo", "options", "server_commands", "repair_commands", "writing_commands")}
NEIGHBOURS = {"move", "verify", "explain"}
MODULES = sorted(ROOT.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Full names of what a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    return {
        name.split(".")[1] for name in imported(path) if name.startswith("rowcall.") and name.split(".")[1] in FLOORS
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_downward(path: Path) -> None:
    own = room(path)
    for other in rooms_imported(path) - {own}:
        assert FLOORS[other] < FLOORS[own] or (own, other) in SIDEWAYS, f"{own} imports {other}"


def test_every_module_has_a_floor() -> None:
    assert {room(path) for path in MODULES} == set(FLOORS)


@pytest.mark.parametrize("own", sorted(NEIGHBOURS))
def test_neighbours_do_not_import_each_other(own: str) -> None:
    for path in (ROOT / own).rglob("*.py"):
        assert not rooms_imported(path) & (NEIGHBOURS - {own}), path


def test_only_postgres_imports_a_driver() -> None:
    drivers = re.compile(r"^(psycopg|adbc_driver\w*)(\.|$)")
    guilty = [path for path in MODULES if room(path) != "postgres" and any(map(drivers.match, imported(path)))]
    assert not guilty


def test_only_the_command_line_prints() -> None:
    guilty = []
    for path in MODULES:
        calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
        if any(isinstance(c.func, ast.Name) and c.func.id == "print" for c in calls) and room(path) != "cli":
            guilty.append(path)
    assert not guilty


def test_plan_takes_no_connection() -> None:
    for path in (ROOT / "plan").rglob("*.py"):
        assert not {name for name in imported(path) if name.startswith("rowcall.postgres")}, path


def test_packages_define_nothing_in_init() -> None:
    for path in ROOT.rglob("__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert not [n for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef))], path


def test_modules_stay_small() -> None:
    """Split a file before 400 lines."""
    assert not [p.name for p in MODULES if len(p.read_text(encoding="utf-8").splitlines()) > 400]
