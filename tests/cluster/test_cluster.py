"""A run on a Dask cluster ends as the same run at home, whatever happens to its workers."""

from __future__ import annotations

from collections.abc import Sequence

import dask
import distributed  # noqa: F401  its defaults must stand before dask.config.set, which takes away on leaving what was not there
import pytest
from conftest import MakeProject, set_chunk_rows

from cluster.world import TABLES, at_home, certified, killing, lab, world


def test_a_cluster_ends_as_this_machine_would(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TLS, whose certificates are where Dask's own settings say."""
    set_chunk_rows(monkeypatch, 500)
    project = world(make_project, 600, 1500, 6000)
    expected = at_home(make_project, project)
    tls = certified(project.folder)
    with lab(project, threads=2, settings=tls) as there, dask.config.set(tls):
        assert there.address.startswith("tls://" if tls else "tcp://")
        result = project.run(executor="dask", scheduler=there.address)
    assert result.complete
    assert project.state(TABLES) == expected
    assert project.migration.verify().ok


def killed(make_project: MakeProject, items: int, at: Sequence[int]) -> None:
    """A run whose workers are killed at so many lines of the ledger ends as one that nobody disturbs."""
    project = world(make_project, 600, 1500, items)
    expected = at_home(make_project, project)
    with lab(project) as there, killing(there, project, at) as kills:
        result = project.run(executor="dask", scheduler=there.address)
    assert len(kills) == len(at)
    assert result.complete
    assert all(e.counts.conserved for e in result.entities)
    assert project.state(TABLES) == expected
    assert project.migration.verify().ok


def test_killed_workers_change_nothing(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    set_chunk_rows(monkeypatch, 250)
    killed(make_project, 6_000, [500, 2500, 5000])


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_twenty_killed_workers_change_nothing(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    set_chunk_rows(monkeypatch, 250)
    killed(make_project, 100_000, range(1000, 100_000, 5_000))
