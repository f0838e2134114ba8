"""The number of workers follows the machine and what both servers still take."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import MakeProject, Project
from psycopg.conninfo import make_conninfo

from rowcall.errors import ConnectionFailed
from rowcall.plan.show import plan_text
from rowcall.plan.workers import Machine, Room, Workers, cpus, staff
from rowcall.progress import Progress

ROLE = "create role {0} login password 'x' connection limit {1}; grant {0} to current_user; grant all on schema public to {0}"


def made(make_project: MakeProject, more: str = "") -> Project:
    project = make_project(
        "create table t (k int primary key); insert into t select generate_series(1, 300)",
        "create table t (id uuid primary key)",
    )
    project.write("t: {from: t}", more)
    return project


def as_role(project: Project, monkeypatch: pytest.MonkeyPatch, name: str, limit: int) -> None:
    """From here on the target is used by a role that may open so many sessions."""
    project.target.execute(ROLE.format(name, limit))
    project.target.execute(f"alter table t owner to {name}")
    database = project.target.value("select current_database()")
    project.target.execute(f"grant all on database {database} to {name}")
    monkeypatch.setenv(project.variable("target"), make_conninfo(project.target_dsn, user=name, password="x"))


def sessions(project: Project) -> int:
    """Sessions on the source's database but for the test's own."""
    return int(
        project.source.value(
            "select count(*) - 1 from pg_stat_activity where datid is not null and datname = current_database()"
        )
    )


def test_the_plan_says_how_many_and_why(make_project: MakeProject) -> None:
    plan = made(make_project).migration.plan()
    assert 1 <= plan.workers.number <= cpus()
    last = plan_text(plan).splitlines()[-1]
    assert last.startswith(f"workers: {plan.workers.number} (auto: ")
    assert plan.as_json()["workers"] == {"number": plan.workers.number, "why": plan.workers.why}


def test_as_many_as_the_mapping_says(make_project: MakeProject, small_chunks: None) -> None:
    project, most = made(make_project, "workers: 5"), list[int]()

    def on_progress(progress: Progress) -> None:
        most.append(sessions(project))

    assert project.run(on_progress=on_progress).totals.migrated == 300
    assert max(most) == 5 + 2  # beside the workers: the catalog's session, and the one that exports the snapshot


def test_another_number_is_no_other_mapping(make_project: MakeProject) -> None:
    project = made(make_project)
    project.check()
    project.write("t: {from: t}", "workers: 1")
    assert project.run().forecast_matched is True
    project.write("t: {from: t}", "workers: 2")
    assert project.run().complete


@pytest.mark.parametrize("more", ["", "workers: 1"])
def test_a_role_that_may_open_few_sessions(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    project = made(make_project, more)
    as_role(project, monkeypatch, f"few_{project.folder.name}_{len(more)}", 6)
    assert project.migration.plan().workers.number == 1
    assert project.check().counts["t"].source == 300
    assert project.run().complete


@pytest.mark.parametrize(
    ("more", "limit", "told"), [("", 5, "not even one fits"), ("workers: 2", 7, "2 do not fit, 1 would")]
)
def test_too_few_connections_are_told_at_once(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, more: str, limit: int, told: str
) -> None:
    project = made(make_project, more)
    as_role(project, monkeypatch, f"none_{project.folder.name}_{len(more)}", limit)
    plan = project.migration.plan()
    assert f"workers: none ({told}: " in plan_text(plan)
    for command in (project.check, project.run):
        with pytest.raises(ConnectionFailed, match=told) as caught:
            command()
        assert caught.value.side == "target"
        assert "`workers`" in caught.value.hint


def test_a_session_for_questions_is_opened_when_there_is_one(make_project: MakeProject, small_chunks: None) -> None:
    project, most = made(make_project, "workers: 1"), list[int]()

    def on_progress(progress: Progress) -> None:
        count = "select count(*) from pg_stat_activity where datname = current_database()"
        most.append(int(project.target.value(count)))

    project.run(on_progress=on_progress)
    assert max(most) == 1 + 1 + 1 + 1  # the test's own, the command's, its reader's, the worker's


FREE = Room(90, "a")


@pytest.mark.parametrize(
    ("wanted", "machine", "number", "lacking"),
    [
        (None, Machine(2, FREE, Room(90, "b")), 2, ""),
        (None, Machine(64, FREE, Room(90, "b")), 8, ""),
        (None, Machine(64, FREE, Room(20, "b")), 3, ""),
        (None, Machine(64, Room(8, "a"), Room(90, "b")), 2, ""),
        (None, Machine(64, FREE, Room(22, "a")), 2, ""),  # one server for both
        (None, Machine(64, FREE, Room(5, "b")), 1, ""),  # where there is room for one only, it is taken
        (None, Machine(1, FREE, Room(4, "b")), 0, "target"),
        (None, Machine(1, Room(2, "a"), Room(90, "b")), 0, "source"),
        (20, Machine(2, FREE, Room(90, "b")), 20, ""),
        (20, Machine(2, FREE, Room(42, "b")), 0, "target"),
    ],
)  # fmt: skip
def test_the_number_by_the_room_there_is(wanted: int | None, machine: Machine, number: int, lacking: str) -> None:
    found: Workers = staff(wanted, machine)
    assert (found.number, found.lacking) == (number, lacking)


@pytest.mark.parametrize(
    ("quota", "most"), [("50000 100000", 1), ("100000 100000", 1), ("max 100000", 10**6), ("", 10**6)]
)
def test_the_quota_of_a_container(tmp_path: Path, quota: str, most: int) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert 1 <= cpus(file) <= most
    assert cpus(tmp_path / "none") >= 1
