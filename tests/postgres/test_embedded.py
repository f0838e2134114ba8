"""Embedded servers, for real: each test starts the servers of the wheel."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from rowcall.errors import ServerError
from rowcall.postgres import embedded, embedded_programs
from rowcall.postgres.embedded import EmbeddedServers, bundled_binary
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

NORMAL_USER = """
import sys
from pathlib import Path
import psycopg
from rowcall.postgres.embedded import EmbeddedServers
project, notes = Path(sys.argv[1]), []
servers = EmbeddedServers(project, notes.append)
servers.create({"legacy": 16})
with servers.use(), psycopg.connect(servers.dsn("legacy")) as connection:
    home = connection.execute("show data_directory").fetchone()[0]
assert home == str(project / ".rowcall/servers/legacy/data"), home
assert notes == [] and not servers.outside.exists()
servers.remove()
print("as a normal user: ok")
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


def test_two_versions_run_at_once_and_stop_with_the_command(servers: EmbeddedServers) -> None:
    with servers.use():
        assert ask(servers, "legacy", "select current_setting('server_version_num')::int / 10000") == 16
        assert ask(servers, "target", "select current_setting('server_version_num')::int / 10000") == 18
        assert ask(servers, "legacy", "select current_database()") == "legacy"
        assert ask(servers, "target", "select current_database()") == "new home"
        assert ask(servers, "target", "select getdatabaseencoding() || current_setting('timezone')") == "UTF8UTC"
        assert len(in_folder(servers.folder, servers.outside)) == 2
    assert in_folder(servers.folder, servers.outside) == []


def test_only_the_password_opens_a_server(servers: EmbeddedServers, monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.use():
        for name in servers.names():
            for wrong in ("password=wrong", "password=''"):
                with pytest.raises(psycopg.OperationalError):
                    psycopg.connect(f"{servers.dsn(name)} {wrong} passfile=/dev/null connect_timeout=5")
            assert (
                ask(servers, name, "select count(*) from pg_hba_file_rules where auth_method <> 'scram-sha-256'") == 0
            )
            assert ask(servers, name, "show listen_addresses") == "127.0.0.1"
            assert ask(servers, name, "show unix_socket_directories") == ""


def test_the_callers_environment_does_not_bend_a_dsn(servers: EmbeddedServers, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {
        "PGPASSWORD": "of my own server",
        "PGHOSTADDR": "192.0.2.1",
        "PGSSLMODE": "require",
    }.items():
        monkeypatch.setenv(variable, value)
    with servers.use():
        assert ask(servers, "legacy", "select 1") == 1


def test_a_dsn_works_for_adbc_and_for_psql(servers: EmbeddedServers) -> None:
    dbapi = pytest.importorskip("adbc_driver_postgresql.dbapi")
    with servers.use():
        dsn = servers.dsn("target")
        with dbapi.connect(dsn) as connection, connection.cursor() as cursor:
            cursor.execute("select 42::int8")
            assert cursor.fetchall() == [(42,)]
        psql = [str(servers.binary("target", "psql")), "-XAtw", dsn, "-c", "select 42"]
        assert subprocess.run(psql, capture_output=True, text=True, check=True).stdout == "42\n"
        shown = subprocess.run([servers.binary("legacy", "pg_dump"), "--version"], capture_output=True, text=True)
        assert " 16." in shown.stdout


def test_secrets_are_private_and_stand_nowhere_else(servers: EmbeddedServers) -> None:
    for name in servers.names():
        folder = servers.folder / name
        password = (folder / "password").read_text().strip()
        assert len(password) >= 32
        assert password not in servers.dsn(name)
        assert password not in (folder / "server.json").read_text()
        for secret in ("password", "passfile"):
            assert stat.S_IMODE((folder / secret).stat().st_mode) == 0o600
        home = servers._postmaster(name).home
        assert not (home / "initial-password").exists()
        assert stat.S_IMODE((home / "data").stat().st_mode) == 0o700


@pytest.mark.skipif(not AS_ROOT, reason="only as root the servers run as another user")
def test_as_root_the_servers_run_as_an_unprivileged_user(servers: EmbeddedServers) -> None:
    with servers.use():
        for name, pid in running(servers).items():
            assert Path(f"/proc/{pid}").stat().st_uid != 0
            assert servers._postmaster(name).home.parent == servers.outside
    assert stat.S_IMODE(servers.outside.stat().st_mode) == 0o711


def test_row_values_stay_out_of_the_log(servers: EmbeddedServers) -> None:
    with servers.use():
        for statement in ("select 'Jane Roe'::int", "do $$ begin raise exception 'Jane Roe'; end $$"):
            with pytest.raises(psycopg.Error):
                tell(servers, "target", statement)
    log = servers._postmaster("target").log.read_text()
    assert "Jane" not in log
    assert "database system is ready" in log


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


def test_a_server_that_does_not_start_points_at_its_log(servers: EmbeddedServers) -> None:
    conf = servers._postmaster("legacy").data / "postgresql.conf"
    sound = conf.read_text()
    with conf.open("a") as file:
        file.write("no_such_setting = 1\n")
    try:
        with pytest.raises(ServerError, match=r"server\.log"), servers.use():
            pass
    finally:
        conf.write_text(sound)


def test_a_server_is_not_made_twice(servers: EmbeddedServers) -> None:
    with pytest.raises(ServerError, match="already"):
        servers.create({"legacy": 18})


@pytest.mark.parametrize("name", ["", "../out", "Legacy", "a b", "x" * 32])
def test_a_name_that_is_no_plain_word_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ServerError, match="cannot name"):
        EmbeddedServers(tmp_path).create({name: 18})
    assert list(tmp_path.iterdir()) == []


def test_a_project_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / ".rowcall").write_text("a file in the way")
    with pytest.raises(ServerError, match="cannot be made"):
        EmbeddedServers(tmp_path).create({"only": 18})


def test_using_what_was_never_made_says_so(tmp_path: Path) -> None:
    servers = EmbeddedServers(tmp_path)
    assert not servers.exists()
    assert servers.names() == ()
    assert servers.stop()
    servers.remove()
    with pytest.raises(ServerError, match="no embedded servers"), servers.use():
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_missing_wheel_or_version_is_told_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServerError, match="no embedded Postgres 12"):
        bundled_binary("psql", 12)
    with pytest.raises(ServerError, match="no nosuch of Postgres 18"):
        bundled_binary("nosuch")
    monkeypatch.setattr(embedded_programs, "PACKAGE", "no_such_package")
    with pytest.raises(ServerError, match="pip install"):
        bundled_binary("psql")


def test_a_deleted_project_is_made_anew_and_nothing_outside_changes(
    tmp_path: Path, command: Callable[[EmbeddedServers], subprocess.Popen[str]]
) -> None:
    """Also with programs that the unprivileged user cannot reach, in an environment folder next to the project."""
    project, environment = tmp_path / "its 'project'", tmp_path / "environment"
    wheel = embedded_programs.wheel()
    for part in ("pginstall18", ".dylibs"):
        if (wheel / part).is_dir():
            shutil.copytree(wheel / part, environment / wheel.name / part)
    if wheel.with_name(f"{wheel.name}.libs").is_dir():
        shutil.copytree(wheel.with_name(f"{wheel.name}.libs"), environment / f"{wheel.name}.libs")
    environment.chmod(0o700)
    outside = [path for path in (*tmp_path.parents, *tmp_path.rglob("*"), embedded.OUTSIDE) if path.exists()]
    before = {path: path.stat().st_mode for path in outside}
    notes: list[str] = []
    servers = EmbeddedServers(project, notes.append)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded_programs, "wheel", lambda: environment / wheel.name)
        servers.create({"only": 18})
        left = command(servers)
        left.kill()
        left.wait()
        shutil.rmtree(project)
        servers.create({"only": 18})
        with servers.use():
            assert ask(servers, "only", "select 1") == 1
            assert len(in_folder(servers.folder, servers.outside)) == 1
        assert (servers.outside / "programs").is_dir() == AS_ROOT
        shutil.rmtree(project)
        servers.remove()
    assert not servers.outside.exists()
    assert len(notes) == (2 if AS_ROOT else 0)
    assert {path: path.stat().st_mode for path in outside} == before


@pytest.mark.skipif(not AS_ROOT, reason="only as root data lies outside of the project")
def test_a_folder_put_in_the_way_by_somebody_else_is_refused(tmp_path: Path) -> None:
    servers = EmbeddedServers(tmp_path / "project")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    servers.outside.symlink_to(elsewhere)
    try:
        with pytest.raises(ServerError, match="not a folder of yours"):
            servers.create({"only": 18})
        servers.remove()
        assert list(elsewhere.iterdir()) == []
    finally:
        servers.outside.unlink()


@pytest.mark.skipif(not AS_ROOT, reason="every other test here ran as a normal user")
def test_as_a_normal_user_all_is_inside_the_project() -> None:
    account = embedded_programs.unprivileged()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [
        Path(sys.executable),
        *map(Path, filter(None, [shutil.which(version, path="/usr/local/bin:/usr/bin")])),
    ]
    python = next((path for path in candidates if embedded_programs._runs(path, account)), None)
    if python is None or not embedded_programs._runs(bundled_binary("postgres", 16), account):
        pytest.skip(
            f"user {account.name} can run no {version}, or not the wheel's programs: NOT TESTED as a normal user"
        )
    project = Path("/var/tmp") / f"rowcall-test-{os.getpid()}"
    project.mkdir(mode=0o700)
    account.own(project)
    try:
        done = subprocess.run(
            [python, "-c", NORMAL_USER, project],
            env={"PYTHONPATH": PYTHONPATH},  # no HOME
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            **account.options,
        )
    finally:
        shutil.rmtree(project)
    assert (done.stdout, done.stderr, done.returncode) == ("as a normal user: ok\n", "", 0)
