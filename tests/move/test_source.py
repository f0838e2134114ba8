"""A source that hides rows, is locked, or is changed by others while it is read: a clear error or a whole run, no silent loss."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest
from conftest import MakeProject, Project
from psycopg.conninfo import make_conninfo

from rowcall.errors import MappingError, SourceUnreadable
from rowcall.progress import Progress

SOURCE_SQL = """
create table office (id int primary key, name text);
insert into office select g, 'o' || g from generate_series(1, 50) g;
create table item (id int primary key, office_id int, body text);
insert into item select g, g % 50 + 1, 'b' || g from generate_series(1, 500) g;
"""
TARGET_SQL = """
create table office (id uuid primary key, name text);
create table item (id uuid primary key, office_id uuid not null references office, body text);
"""
MAPPING = """
office: {from: office, columns: {name: name}}
item: {from: item, columns: {body: body}, references: {office_id: {to: office, path: office_id}}}
"""


def made(make_project: MakeProject) -> Project:
    project = make_project(SOURCE_SQL, TARGET_SQL)
    project.write(MAPPING)
    return project


def untouched(project: Project) -> bool:
    return project.target.value("select not exists (select from item) and not exists (select from office)") is True


def as_reader(project: Project, monkeypatch: pytest.MonkeyPatch, grants: str) -> None:
    """The source is read as a role that is neither owner nor superuser."""
    role = f"reader_{project.source.value('select current_database()')}"
    project.source.execute(f"create role {role} login password 'r'; {grants.format(role=role)}")
    monkeypatch.setenv(project.variable("source"), make_conninfo(project.source_dsn, user=role, password="r"))


@pytest.mark.parametrize("table", ["item", "office"])
def test_a_row_level_policy_is_an_error_not_a_filter(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    project = made(make_project)
    project.source.execute(
        f"alter table {table} enable row level security; create policy few on {table} using (id <= 10)"
    )
    as_reader(project, monkeypatch, "grant select on item, office to {role}")
    for act in (project.check, project.run):
        with pytest.raises(SourceUnreadable) as caught:
            act()
        assert caught.value.sqlstate == "42501"
        assert "row level security" in str(caught.value)
        assert caught.value.hint
    assert untouched(project)


def test_a_missing_right_is_a_clear_error(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    project = made(make_project)
    as_reader(project, monkeypatch, "grant select on item to {role}")
    with pytest.raises((SourceUnreadable, MappingError)) as caught:
        project.run()
    assert "office" in str(caught.value)
    assert untouched(project)


def test_the_owner_sees_all_despite_a_policy(make_project: MakeProject) -> None:
    project = made(make_project)
    project.source.execute("alter table item enable row level security; create policy few on item using (id <= 10)")
    assert project.run().totals.migrated == 550


def test_a_lock_is_waited_for_and_then_told(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    project = made(make_project)
    monkeypatch.setattr("rowcall.postgres.snapshot.LOCK_PATIENCE", "1s")
    with project.source.transaction():
        project.source.execute("lock table item in access exclusive mode")
        started = time.monotonic()
        with pytest.raises(SourceUnreadable) as caught:
            project.run()
        assert time.monotonic() - started < 10
    assert "item" in str(caught.value)
    assert "lock" in str(caught.value)
    assert untouched(project)
    assert project.run().complete


@pytest.mark.parametrize("statement", ["truncate item, office", "alter table item drop column body", "drop table item"])
def test_nobody_takes_the_tables_away_while_they_are_read(
    make_project: MakeProject, small_chunks: None, statement: str
) -> None:
    project = made(make_project)
    intruder = threading.Thread(target=_intrude, args=(project.source_dsn, statement))
    waited: list[bool] = []

    def on_progress(progress: Progress) -> None:
        if progress.rows and not intruder.ident:
            intruder.start()
            waited.append(_comes_to_wait(project))

    result = project.run(on_progress=on_progress)
    assert waited == [True]
    assert result.complete
    assert result.totals.migrated == 550
    intruder.join(10)
    assert not intruder.is_alive()


def _intrude(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement.encode())


def _comes_to_wait(project: Project) -> bool:
    for _ in range(100):
        if project.source.value(
            "select exists (select from pg_locks where not granted and relation = 'item'::regclass)"
        ):
            return True
        if project.source.value(
            "select exists (select from pg_locks where not granted and relation = 'office'::regclass)"
        ):
            return True
        time.sleep(0.02)
    return False


def test_rows_that_come_and_go_during_a_run_belong_to_the_next_one(
    make_project: MakeProject, small_chunks: None
) -> None:
    project = made(make_project)

    def on_progress(progress: Progress) -> None:
        if progress.entity == "office" and progress.rows == 50:
            project.source.execute(
                "delete from item where id <= 100; update item set office_id = 999 where id between 101 and 200;"
                "insert into item values (501, 1, 'late'); delete from office where id = 7"
            )

    result = project.run(on_progress=on_progress)
    assert result.totals.migrated == 550
    assert "501" not in project.fates("item")


def test_a_view_is_read_too(make_project: MakeProject) -> None:
    project = make_project(
        SOURCE_SQL + "create view seen as select id, body from item where id <= 100",
        "create table item (id uuid primary key, body text)",
    )
    project.write("item: {from: seen, key: id, columns: {body: body}}")
    with pytest.raises(MappingError, match="key"):
        project.foreseen_run()
