"""`rowcall servers start|stop`."""

from __future__ import annotations

from pathlib import Path

import typer

from rowcall.errors import UsageError
from rowcall.options import Json, Project, Quiet, project_path
from rowcall.postgres.embedded import EmbeddedServers
from rowcall.screen import Screen

servers_app = typer.Typer(no_args_is_help=True, help="Start or stop the embedded servers of a demo folder.")


@servers_app.command("start")
def servers_start(project: Project = None, json: Json = False, quiet: Quiet = False) -> None:
    """Start them; they stay until `servers stop`."""
    screen, servers = _servers(project, json, quiet)
    servers.start_detached()
    screen.document({"running": list(servers.names())})
    screen.show(f"running: {', '.join(servers.names())}")


@servers_app.command("stop")
def servers_stop(project: Project = None, json: Json = False, quiet: Quiet = False) -> None:
    """Stop them."""
    screen, servers = _servers(project, json, quiet)
    stopped = servers.stop()
    screen.document({"stopped": stopped})
    screen.show("stopped" if stopped else "still in use by another command, which stops them when it ends")


def _servers(project: Path | None, json: bool, quiet: bool) -> tuple[Screen, EmbeddedServers]:
    screen = Screen(json, quiet)
    path = project_path(project)
    servers = EmbeddedServers(path if path.is_dir() else path.parent, screen.say)
    if not servers.exists():
        raise UsageError(f"{path} has no embedded servers", hint="make a project with `rowcall demo`")
    return screen, servers
