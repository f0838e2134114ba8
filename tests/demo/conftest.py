"""Empty databases on an embedded server, for the demo's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from rowcall.postgres.connect import Session, connect
from rowcall.postgres.embedded import EmbeddedServers

NewDatabase = Callable[[str], Session]


@pytest.fixture(scope="session")
def demo_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Server name -> DSN, for `legacy` (16) and `target` (18)."""
    project: Path = tmp_path_factory.mktemp("demo")
    servers = EmbeddedServers(project)
    servers.create({"legacy": 16, "target": 18})
    try:
        with servers.use():
            yield {name: servers.dsn(name) for name in servers.names()}
    finally:
        servers.remove()


@pytest.fixture(scope="session")
def new_database(demo_servers: dict[str, str]) -> Iterator[NewDatabase]:
    """A session on a new, empty database of the named server, each time that it is called."""
    with ExitStack() as sessions:
        made: list[str] = []

        def make(server: str) -> Session:
            made.append(f"{server}_{len(made)}")
            with psycopg.connect(demo_servers[server], autocommit=True) as admin:
                admin.execute(f"create database {made[-1]}".encode())
            return sessions.enter_context(connect(make_conninfo(demo_servers[server], dbname=made[-1]), "target"))

        yield make
