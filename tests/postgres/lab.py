"""What the tests of embedded servers share."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from rowcall.postgres import embedded
from rowcall.postgres.embedded import EmbeddedServers
from rowcall.postgres.embedded_postmaster import processes

AS_ROOT = os.geteuid() == 0
PYTHONPATH = os.pathsep.join([str(Path(embedded.__file__).parents[2]), *filter(None, sys.path)])

USE_AND_WAIT = """
import sys, time
from pathlib import Path
from rowcall.postgres.embedded import EmbeddedServers
with EmbeddedServers(Path(sys.argv[1])).use():
    print("ready", flush=True)
    time.sleep(60)
"""


def ask(servers: EmbeddedServers, name: str, query: str) -> object:
    with psycopg.connect(servers.dsn(name), autocommit=True) as connection:
        row = connection.execute(query).fetchone()
    return None if row is None else row[0]


def tell(servers: EmbeddedServers, name: str, statement: str) -> None:
    with psycopg.connect(servers.dsn(name), autocommit=True) as connection:
        connection.execute(statement)


def running(servers: EmbeddedServers) -> dict[str, int]:
    """The postmasters that run, by server."""
    found = {name: servers._postmaster(name).pid() for name in servers.names()}
    return {name: pid for name, pid in found.items() if pid is not None}


def in_folder(*folders: Path) -> list[str]:
    return [line for _, line in processes() if "postgres" in line and any(str(folder) in line for folder in folders)]


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert holds()


def python_with(*arguments: str | Path, python: str = sys.executable) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    return subprocess.Popen([python, "-c", *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=environment)
