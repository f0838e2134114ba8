"""Embedded servers: making, refusing, removing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from postgres.lab import AS_ROOT, ask, in_folder
from rowcall.errors import ServerError
from rowcall.postgres import embedded, embedded_programs
from rowcall.postgres.embedded import EmbeddedServers, bundled_binary


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
