"""What is said where a cluster cannot be used; nothing has begun then."""

from __future__ import annotations

import socket
import sys

import pytest
from cli.conftest import rowcall
from conftest import MakeProject, Project

from cluster.world import world
from rowcall.cluster import cluster
from rowcall.errors import ClusterFailed, RowcallError, UsageError


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    return world(make_project, 10, 10, 10)


def refused(project: Project, **options: str) -> RowcallError:
    with pytest.raises(RowcallError) as told:
        project.run(**options)
    assert project.target.value("select to_regnamespace('rowcall') is null")
    return told.value


def test_both_options_or_neither(project: Project) -> None:
    for options in ({"executor": "dask"}, {"scheduler": "tcp://127.0.0.1:1"}):
        assert "go together" in refused(project, **options).message
    done = rowcall("-p", project.folder, "run", "--executor", "dask")
    assert done.code == 2
    assert done.err.startswith("rowcall: --executor dask and --scheduler ADDRESS go together\n  next: ")
    assert rowcall("-p", project.folder, "run", "--executor", "cloud").code == 2


def test_a_scheduler_that_does_not_answer(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECTING", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    error = refused(project, executor="dask", scheduler=address)
    assert type(error) is ClusterFailed
    assert error.exit_code == 1
    assert error.message == f"the scheduler at {address} does not answer"


@pytest.mark.parametrize("address", ["tls://127.0.0.1:8786", "http://x", "nonsense://x:1", "tcp://", "x y"])
def test_an_address_that_is_none(project: Project, address: str) -> None:
    error = refused(project, executor="dask", scheduler=address)
    assert type(error) is UsageError
    assert error.message == f"{address} cannot be used as a scheduler's address"


def test_dask_is_an_extra(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    error = refused(project, executor="dask", scheduler="tcp://127.0.0.1:1")
    assert error.exit_code == 2
    assert "pip install 'rowcall[dask]'" in error.hint
