"""Two embedded servers of these tests' own, and another command that uses them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest

from postgres.lab import USE_AND_WAIT, in_folder, python_with, running
from rowcall.postgres.embedded import EmbeddedServers


@pytest.fixture
def command() -> Iterator[Callable[[EmbeddedServers], subprocess.Popen[str]]]:
    """Another command that uses the servers until it is ended."""
    started: list[subprocess.Popen[str]] = []

    def start(servers: EmbeddedServers) -> subprocess.Popen[str]:
        process = python_with(USE_AND_WAIT, servers.folder.parents[1])
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """Two servers in a folder that as root nobody else can reach (pytest makes it 0700)."""
    servers = EmbeddedServers(tmp_path_factory.mktemp("project"))
    servers.create({"legacy": 16, "target": 18}, databases={"target": "new home"})
    yield servers
    servers.remove()
    assert not servers.folder.exists()
    assert not servers.outside.exists()
    assert in_folder(servers.folder, servers.outside) == []


@pytest.fixture
def servers(made: EmbeddedServers) -> Iterator[EmbeddedServers]:
    """The same two servers, stopped before and after each test."""
    assert running(made) == {}
    yield made
    assert running(made) == {}, "a server was left running"
