"""A run on a Dask cluster ends as the same run at home, whatever happens to its workers."""

from __future__ import annotations

import pytest
from conftest import MakeProject, set_chunk_rows

from cluster.world import TABLES, at_home, lab, world


def test_a_cluster_ends_as_this_machine_would(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    set_chunk_rows(monkeypatch, 500)
    project = world(make_project, 600, 1500, 6000)
    expected = at_home(make_project, project)
    with lab(project, threads=2) as there:
        result = project.run(executor="dask", scheduler=there.address)
    assert result.complete
    assert project.state(TABLES) == expected
    assert project.migration.verify().ok
