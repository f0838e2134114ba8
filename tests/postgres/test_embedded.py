"""Embedded servers, for real: each test starts the servers of the wheel. What they are and who may use them."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from postgres.lab import AS_ROOT, PYTHONPATH, ask, in_folder, running, tell
from rowcall.postgres import embedded_programs
from rowcall.postgres.embedded import EmbeddedServers, bundled_binary

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
