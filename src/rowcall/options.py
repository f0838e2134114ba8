"""What every command takes: the project, --json and --quiet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rowcall.migration import FILE, Migration
from rowcall.screen import Screen

Project = Annotated[
    Path | None, typer.Option("-p", "--project", help="The project folder, or its file.", show_default=FILE)
]
Json = Annotated[bool, typer.Option("--json", help="The result as one JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no messages.")]
chosen: dict[str, Path | None] = {}


def project_path(project: Path | None) -> Path:
    """The project that the command names, before or behind its own name."""
    return project or chosen.get("project") or Path(".")


def open_project(project: Path | None, screen: Screen) -> Migration:
    return Migration.open(project_path(project), screen.say)
