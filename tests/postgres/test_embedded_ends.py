"""Embedded servers: kills, signals, and commands that share them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable

import psycopg
import pytest

from postgres.lab import USE_AND_WAIT, ask, in_folder, python_with, running, tell, wait_until
from rowcall.errors import ServerError
from rowcall.postgres import embedded
from rowcall.postgres.embedded import EmbeddedServers


def test_a_killed_server_comes_back_with_its_data(servers: EmbeddedServers) -> None:
    with servers.use():
        tell(servers, "legacy", "create table survivor as select generate_series(1, 1000) as id")
        with psycopg.connect(servers.dsn("legacy"), autocommit=True) as busy:
            busy.execute("select 1")
            os.kill(running(servers)["legacy"], signal.SIGKILL)
        wait_until(lambda: set(running(servers)) == {"target"})
    with servers.use():
        assert ask(servers, "legacy", "select count(*) from survivor") == 1000
        tell(servers, "legacy", "drop table survivor")


def test_a_killed_server_with_a_busy_backend_is_cleared_away(servers: EmbeddedServers) -> None:
    with servers.use():
        busy = psycopg.connect(servers.dsn("legacy"), autocommit=True)
        # A loop that never waits, so that the backend does not see that its postmaster is gone.
        busy.pgconn.send_query(b"do $$ begin loop perform 1; end loop; end $$")
        time.sleep(0.1)
        os.kill(running(servers)["legacy"], signal.SIGKILL)
        wait_until(lambda: set(running(servers)) == {"target"})
        with EmbeddedServers(servers.folder.parents[1]).use():
            assert ask(servers, "legacy", "select 1") == 1
        busy.close()


def test_a_lock_file_that_names_a_foreign_process_does_not_stop_a_start(
    servers: EmbeddedServers,
) -> None:
    lock_file = servers._postmaster("legacy").data / "postmaster.pid"
    with servers.use():
        lines = lock_file.read_text().splitlines()
    foreign = subprocess.Popen(["sleep", "60"])
    try:
        lock_file.write_text("\n".join([str(foreign.pid), *lines[1:]]) + "\n")
        with servers.use():
            assert ask(servers, "legacy", "select 1") == 1
        assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()


def test_servers_of_a_killed_command_are_adopted(
    servers: EmbeddedServers, command: Callable[[EmbeddedServers], subprocess.Popen[str]]
) -> None:
    killed = command(servers)
    before = running(servers)
    killed.kill()
    killed.wait()
    assert running(servers) == before
    assert set(before) == {"legacy", "target"}
    with servers.use():
        assert running(servers) == before
        assert ask(servers, "target", "select 1") == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, None)])
def test_a_command_that_is_ended_stops_its_servers(
    servers: EmbeddedServers,
    command: Callable[[EmbeddedServers], subprocess.Popen[str]],
    number: signal.Signals,
    code: int | None,
) -> None:
    ended = command(servers)
    assert set(running(servers)) == {"legacy", "target"}
    ended.send_signal(number)
    assert ended.wait(timeout=20) == (code if code is not None else ended.returncode)
    assert running(servers) == {}


def test_the_last_one_out_stops_the_servers(
    servers: EmbeddedServers, command: Callable[[EmbeddedServers], subprocess.Popen[str]]
) -> None:
    with servers.use():
        with EmbeddedServers(servers.folder.parents[1]).use():
            before = running(servers)
        assert running(servers) == before
        other = command(servers)
    assert running(servers) == before
    other.terminate()
    other.wait(timeout=20)
    assert running(servers) == {}


def test_two_commands_that_start_at_once_share_the_servers(
    servers: EmbeddedServers,
) -> None:
    both = [python_with(USE_AND_WAIT, servers.folder.parents[1]) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    assert len(in_folder(servers.folder, servers.outside)) == 2
    for process in both:
        process.terminate()
    for process in both:
        assert process.wait(timeout=20) == 143
        process.communicate()


def test_detached_servers_stay_until_they_are_stopped(servers: EmbeddedServers) -> None:
    servers.start_detached()
    before = running(servers)
    assert set(before) == {"legacy", "target"}
    with servers.use():
        assert running(servers) == before
    assert running(servers) == before
    assert servers.stop()
    assert running(servers) == {}
    assert servers.stop()


def test_stop_leaves_the_servers_to_a_command_that_uses_them(servers: EmbeddedServers) -> None:
    notes: list[str] = []
    servers.start_detached()
    with servers.use():
        assert not EmbeddedServers(servers.folder.parents[1], notes.append).stop()
        assert ask(servers, "legacy", "select 1") == 1
        with pytest.raises(ServerError, match="another command"):
            servers.remove()
    assert running(servers) == {}
    assert len(notes) == 1


def test_a_port_that_somebody_took_is_replaced(servers: EmbeddedServers) -> None:
    def port() -> int:
        return embedded.ServerFile.read(servers.folder / "legacy").port

    with servers.use():
        kept = port()
    with servers.use():
        assert port() == kept
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", kept))
        thief.listen()
        with servers.use():
            assert port() != kept
            assert ask(servers, "legacy", "select 1") == 1
