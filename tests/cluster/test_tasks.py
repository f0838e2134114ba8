"""Tasks and outposts, with a cluster whose workers are threads of the test: what travels, leases, refusals, the end."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from conftest import MakeProject, Project, set_chunk_rows
from distributed.core import error_message
from psycopg.conninfo import conninfo_to_dict

from cluster.world import TABLES, at_home, world
from rowcall import migration
from rowcall.cluster import outpost
from rowcall.errors import ClusterFailed, Interrupted, LedgerConflict, RowcallError
from rowcall.ledger import Ledger
from rowcall.ledger.book import ChunkRecord
from rowcall.move.assignment import Assignment
from rowcall.move.pools import LocalPool, WorkerLost
from rowcall.move.station import Job, Station, Task
from rowcall.move.worker import Worker
from rowcall.postgres.errors import DriverError, stopped
from rowcall.progress import Progress
from rowcall.rows import Counts


class Threads(LocalPool):
    """A cluster of one process: this one. `lose` says which tasks are believed lost; they live on all the same."""

    settle: Callable[[Task], Counts] | None = staticmethod(outpost.settle)  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__(2)
        self.tasks: list[Task] = []
        self.futures: list[Future[Any]] = []
        self.lose: Callable[[Task], bool] = lambda _: False

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        (task,) = arguments
        self.tasks.append(task)
        self.futures.append(super().submit(work, pickle.loads(pickle.dumps(task))))
        if not self.lose(task):
            return self.futures[-1]
        lost: Future[Any] = Future()
        lost.set_exception(WorkerLost())
        return lost

    def over(self, job: Job) -> None:
        outpost.leave(job)


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Threads]:
    threads = Threads()

    @contextmanager
    def reach(*_: object) -> Iterator[Threads]:
        yield threads

    monkeypatch.setattr(migration, "reach", reach)
    set_chunk_rows(monkeypatch, 100)
    with threads:
        yield threads
    until(lambda: not outpost._outposts)


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    return world(make_project, 100, 200, 600)


@pytest.fixture
def expected(make_project: MakeProject, project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the project's run comes to at home. To be asked for before `pool`."""
    return at_home(make_project, project)


def refused(project: Project) -> RowcallError:
    with pytest.raises(RowcallError) as told:
        project.run()
    return told.value


def until(true: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def sessions(project: Project) -> int:
    """Connections to the project's databases, but for the test's own two."""
    sql = "select count(*) from pg_stat_activity where datname = current_database() and backend_type = 'client backend'"
    return int(project.source.value(sql)) + int(project.target.value(sql)) - 2


# -- what travels -------------------------------------------------------------------------------------------------------


def test_a_task_holds_no_dsn_and_no_key(pool: Threads, make_project: MakeProject) -> None:
    project = make_project(
        "create table person (ssn text primary key); insert into person select 'SSN-' || g from generate_series(1, 500) g",
        "create table person (id uuid primary key, ssn text)",
    )
    project.write("person: {from: person, columns: {ssn: ssn}}")
    assert project.run().complete
    assert len(pool.tasks) > 1
    fields = [conninfo_to_dict(dsn) for dsn in (project.source_dsn, project.target_dsn)]
    secrets = {"SSN-"} | {
        str(f[k]) for f in fields for k in ("host", "port", "password", "passfile", "dbname") if f.get(k)
    }
    assert len(secrets) > 4
    for task in pool.tasks:
        for seen in (pickle.dumps(task).decode("latin-1"), repr(task)):
            assert [secret for secret in secrets if secret in seen] == []


def test_a_dsn_of_the_project_file_does_not_travel(
    pool: Threads, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = {"source": project.source_dsn, "target": project.target_dsn}
    file = project.folder / "rowcall.yaml"
    text = file.read_text()
    for side, dsn in sides.items():
        parts = conninfo_to_dict(dsn)
        monkeypatch.setenv("PGPASSWORD", str(parts.pop("password", "")))
        plain = " ".join(f"{k}={v}" for k, v in parts.items())
        text = text.replace(f"{side}: {{env: {project.variable(side)}}}", f'{side}: {{dsn: "{plain}"}}  # hunter2')
    file.write_text(text)
    error = refused(project)
    assert "ROWCALL_SOURCE is not set there" in error.message
    assert error.exit_code == 2
    mapping = Ledger(project.target).mapping() or ""
    assert "hunter2" not in mapping
    assert not [
        v for dsn in sides.values() for k, v in conninfo_to_dict(dsn).items() if k == "port" and str(v) in mapping
    ]


def test_rows_of_the_target_that_change_while_the_run_goes_on(
    pool: Threads, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every machine reads them at a time of its own."""
    project = make_project(
        "create table note (id int primary key, mail text); insert into note select g, 'ann@x' from generate_series(1, 300) g",
        "create table profiles (id uuid primary key default gen_random_uuid(), email text);"
        "insert into profiles (email) values ('ann@x'); create table note (id uuid primary key, author uuid references profiles)",
    )
    project.write("note: {from: note, references: {author: {to: profiles by email, path: mail}}}")
    loads = outpost.Outpost._load_step

    def late(self: outpost.Outpost, *args: Any) -> None:
        project.target.execute("insert into profiles (email) values ('ann@x')")
        loads(self, *args)

    monkeypatch.setattr(outpost.Outpost, "_load_step", late)
    assert "profiles by email changed while the run went on" in refused(project).message


# -- at least once ------------------------------------------------------------------------------------------------------


def test_a_task_that_is_done_twice(
    expected: str, pool: Threads, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    twins: list[Future[Any]] = []

    def twice(work: Callable[..., Any], task: Task) -> Future[Any]:
        twins.append(pool.executor.submit(work, task))
        return pool.executor.submit(work, task)

    monkeypatch.setattr(pool, "submit", twice)
    assert project.run().complete
    assert project.state(TABLES) == expected
    assert {type(twin.result()) for twin in twins} == {Counts}


def test_lost_workers_that_live_on_come_to_nothing(expected: str, pool: Threads, project: Project) -> None:
    """They race with those who took their chunks over, under a new lease."""
    pool.lose = lambda task: task.chunk % 2 == 0 and not any(t.chunk == task.chunk for t in pool.tasks[:-1])
    assert project.run().complete
    assert project.state(TABLES) == expected
    assert len({(t.chunk, t.epoch) for t in pool.tasks}) > len({t.chunk for t in pool.tasks})


def test_who_loses_every_worker_gives_up(pool: Threads, project: Project) -> None:
    pool.lose = lambda task: task.entity == "item"
    with pytest.raises(ClusterFailed, match="lost its workers"):
        project.run()
    assert Ledger(project.target).run().state == "interrupted"


def test_a_lease_that_is_renewed_midway_fences_the_commit(
    pool: Threads, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = Worker.settle

    def late(worker: Worker, work: Assignment, chunk: ChunkRecord, snapshot: int) -> Counts:
        if chunk.id == 1:
            Ledger(project.target).renew(1)
        return settle(worker, work, chunk, snapshot)

    monkeypatch.setattr(Worker, "settle", late)
    with pytest.raises(LedgerConflict, match="taken over"):
        project.run()
    assert project.target.value("select count(*) from rowcall.settlement where chunk = 1") == 0
    lines = "select count(*) from office o left join rowcall.settlement s on s.target_id = o.id where s is null"
    assert project.target.value(lines) == 0


def test_what_an_earlier_command_still_has_under_way_is_void(expected: str, pool: Threads, project: Project) -> None:
    def stop(at: Progress) -> None:
        if at.entity == "item" and at.rows > 100:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        project.migration.run(stop)
    old = pool.tasks[-1]
    with pytest.raises(LedgerConflict):
        outpost.settle(old)  # the run is interrupted
    pool.executor = Threads().executor
    assert project.run().complete
    assert project.state(TABLES) == expected
    with pytest.raises(LedgerConflict):
        outpost.settle(old)


def test_no_straggler_comes_in_behind_an_undo(pool: Threads, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers elsewhere are still at their chunks when the command that gave them is gone, and `undo` is called."""
    settle, writing = Ledger.settle, Event()

    def late(ledger: Ledger, chunk: ChunkRecord, *more: Any) -> None:
        if chunk.entity == "item":
            writing.set()
            time.sleep(1)
        settle(ledger, chunk, *more)

    def look() -> None:
        if writing.is_set():
            raise ClusterFailed("gone")

    monkeypatch.setattr(Ledger, "settle", late)
    monkeypatch.setattr(pool, "look", look)
    for call in ("give_up", "over"):
        monkeypatch.setattr(pool, call, lambda *_: None)
    with pytest.raises(ClusterFailed, match="gone"):
        project.run()
    assert not all(future.done() for future in pool.futures)
    project.migration.undo()
    for future in pool.futures:
        future.exception(30)
    assert {t: project.target.value(f"select count(*) from {t}") for t in TABLES} == dict.fromkeys(TABLES, 0)


# -- refusals -----------------------------------------------------------------------------------------------------------


def test_another_version(pool: Threads, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outpost, "__version__", "9.9")
    assert "rowcall 9.9, the run has" in refused(project).message


def test_another_target(
    pool: Threads, project: Project, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = outpost._places

    def elsewhere(job: Job, folder: Path) -> Any:
        monkeypatch.setenv("ROWCALL_TARGET", project.source_dsn)
        return place(job, folder)

    monkeypatch.setattr(outpost, "_places", elsewhere)
    error = refused(project)
    assert "another target" in error.message
    assert error.exit_code == 2


def test_another_source(pool: Threads, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    place = outpost._places

    def elsewhere(job: Job, folder: Path) -> Any:
        monkeypatch.setenv("ROWCALL_SOURCE", project.target_dsn)
        return place(job, folder)

    monkeypatch.setattr(outpost, "_places", elsewhere)
    assert "snapshot is not there" in refused(project).message


def test_another_mapping(pool: Threads, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Ledger.mapping
    monkeypatch.setattr(
        Ledger, "mapping", lambda ledger: (original(ledger) or "").replace("lower(word)", "upper(word)")
    )
    assert "another mapping" in refused(project).message


def sent(task: Task) -> str:
    """All that Dask would send and log of a task's error."""
    try:
        outpost.settle(task)
    except RowcallError as error:
        message = error_message(error)
        return str({k: getattr(v, "data", v) for k, v in message.items()})
    raise AssertionError("no error")


def test_what_nobody_foresaw_leaves_without_its_words(
    pool: Threads, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> Counts:
        raise KeyError("SSN-123")

    monkeypatch.setattr(Station, "settle", fails)
    error = refused(project)
    assert isinstance(error, ClusterFailed)
    assert "KeyError at outpost.py" in error.message
    assert "SSN" not in str(error)


def test_no_row_is_in_an_error_that_dask_sends(
    pool: Threads, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver's message quotes the row; it is the context of the error that is told instead."""
    project.target.execute("alter table office add constraint odd check (name <> 'o7')")
    quotes: list[str] = []
    told: list[str] = []

    def quoted(worker: Worker, *_: object) -> Counts:
        try:
            worker.session.execute("insert into office values (gen_random_uuid(), 'o7')")
        except DriverError as error:
            quotes.append(str(error))
            raise stopped(error, "target", "public.office") from None
        return Counts()

    def settle(task: Task) -> Counts:
        told.append(sent(task))
        raise ClusterFailed("enough")

    monkeypatch.setattr(Worker, "settle", quoted)
    monkeypatch.setattr(pool, "settle", settle)
    refused(project)
    assert "o7" in quotes[0]
    assert any("TargetRefused" in error for error in told)
    assert not any("o7" in error for error in told)


# -- the end ------------------------------------------------------------------------------------------------------------


def test_nothing_stays_open_behind_a_run(pool: Threads, project: Project) -> None:
    before = sessions(project)
    assert project.run().complete
    until(lambda: not outpost._outposts)
    until(lambda: sessions(project) == before)


def test_an_outpost_sees_by_itself_that_the_run_is_over(
    pool: Threads, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outpost, "WATCH", 0.2)
    pool.over = lambda job: None  # type: ignore[method-assign]
    before = sessions(project)
    assert project.run().complete
    until(lambda: sessions(project) == before)
