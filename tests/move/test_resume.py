# ruff: noqa: E501
"""A run that is killed, interrupted or finds another source when it goes on ends as an undisturbed one would have."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from conftest import MakeProject, Project, set_chunk_rows, undisturbed

from rowcall.errors import Interrupted
from rowcall.ledger import Ledger
from rowcall.move.takeback import take_back
from rowcall.progress import Progress

SOURCE_SQL = """
create table office (id int primary key, name text);
insert into office select g, 'o' || g from generate_series(1, 300) g;
create table person (id int primary key, email text, boss_id int);
insert into person select g, 'e' || case when g % 97 = 0 then g / 2 else g end, nullif(g / 3, 0) from generate_series(1, {people}) g;
create table card (id int primary key, person_id int);
insert into card select g, g from generate_series(1, {people}) g;
create table item (id int primary key, office_id int, card_id int, doc text);
insert into item select g, g % 303 + 1, g % ({people} + 20) + 1, case when g % 50 = 0 then '[1,]' else '{{"g": ' || g || '}}' end
    from generate_series(1, {items}) g;
"""
TARGET_SQL = """
create table office (id uuid primary key, name text);
create table person (id uuid primary key, email text unique, boss_id uuid references person);
create table item (id uuid primary key, office_id uuid not null references office, person_id uuid references person, doc jsonb not null);
"""
MAPPING = """
office: {from: office, columns: {name: name}}
person: {from: person, columns: {email: email}, references: {boss_id: {to: person, path: boss_id}}}
item:
  from: item
  columns: {doc: {from: doc, convert: jsonb}}
  references:
    office_id: {to: office, path: office_id}
    person_id: {to: person, path: "card_id -> card.id, person_id -> person.id", missing: null}
"""
TABLES = {"office": "id", "person": "id", "item": "id"}
PROGRAM = """
import sys
from pathlib import Path
from rowcall.errors import Interrupted
from rowcall.ledger import Ledger
from rowcall.migration import Migration
from rowcall.move.chunking import chunk_ranges
chunk_ranges.__defaults__ = (500,)
try:
    result = Migration.open(Path(sys.argv[1])).run()
except Interrupted:
    sys.exit(130)
sys.exit(0 if result.complete else 1)
"""


def made(make_project: MakeProject, people: int, items: int) -> Project:
    project = make_project(SOURCE_SQL.format(people=people, items=items), TARGET_SQL)
    project.write(MAPPING)
    return project


def fresh(make_project: MakeProject, project: Project) -> str:
    """The state that an undisturbed run on the same source reaches."""
    return undisturbed(make_project, project, TARGET_SQL, MAPPING, TABLES)


def start(project: Project) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(project.folder)], env=environment, stderr=subprocess.DEVNULL
    )


def settled(project: Project) -> int:
    if not project.target.value("select to_regclass('rowcall.settlement') is not null"):
        return 0
    return int(project.target.value("select count(*) from rowcall.settlement") or 0)


def end_after(project: Project, lines: int, how: signal.Signals) -> int:
    """Runs the program until the ledger has so many lines, ends it, and returns its exit code."""
    process = start(project)
    while process.poll() is None and settled(project) < lines:
        time.sleep(0.005)
    time.sleep(random.random() * 0.05)
    process.send_signal(how)
    return process.wait(30)


def test_killed_again_and_again_it_ends_the_same(make_project: MakeProject) -> None:
    project = made(make_project, 4000, 14000)
    expected = fresh(make_project, project)
    codes = [end_after(project, lines, signal.SIGKILL) for lines in (1, 300, 6000, 12000)]
    assert codes == [-signal.SIGKILL] * 4
    assert 0 < settled(project) < 18300
    assert start(project).wait(60) == 0
    assert project.state(TABLES) == expected
    assert project.target.value("select count(*) from item") == project.target.value(
        "select count(*) from rowcall.settlements where entity = 'item' and outcome = 'migrated'"
    )
    assert project.migration.verify().ok


def test_ctrl_c_keeps_what_is_settled(make_project: MakeProject) -> None:
    project = made(make_project, 2000, 10000)
    expected = fresh(make_project, project)
    assert end_after(project, 3000, signal.SIGINT) == 130
    assert project.migration.status().state == "interrupted"
    before = settled(project)
    assert 3000 <= before < 12300
    project.run()
    assert project.state(TABLES) == expected


def interrupted(project: Project, entity: str, rows: int) -> None:
    """Runs until so many rows of an entity are done, then Ctrl-C."""

    def on_progress(progress: Progress) -> None:
        if progress.entity == entity and progress.rows >= rows:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        project.run(on_progress=on_progress)
    assert caught.value.exit_code == 130


# name -> (entity and rows at which the run is interrupted, what changes then, what the notice names)
CHANGES = {
    "nothing": ("item", 300, "select 1", ""),
    "rows of the entity": (
        "item", 500,
        "insert into item values (-5, 1, 1, '{}'), (100000, 1, 1, '{}'); update item set doc = '[]' where id in (50, 60, 990); "
        "delete from item where id in (7, 100, 995)",
        "item",
    ),
    "rows not read yet": ("item", 100, "update item set doc = 'x' where id > 900; delete from item where id = 950", ""),
    "a parent": ("item", 300, "delete from office where id in (3, 5); insert into office values (301, 'new')", "office"),
    "a hop": ("item", 300, "update card set person_id = person_id + 1 where id < 40; delete from card where id = 41", "card"),
    "a group": ("item", 300, "update person set boss_id = 9999 where id = 5; insert into person values (0, 'e8', null)", "person"),
    "a value that was free": ("person", 0, "update person set email = 'e1' where id = 400", ""),
    "everything is gone": ("item", 300, "truncate item", "item"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_source_that_moved_gives_the_result_of_a_fresh_run(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    set_chunk_rows(monkeypatch, 100)
    entity, rows, change, told = CHANGES[name]
    project = made(make_project, 400, 1000)
    interrupted(project, entity, rows)
    project.source.execute(change)
    project.notes.clear()
    result = project.run()
    assert result.complete
    assert all(e.counts.conserved for e in result.entities)
    assert project.state(TABLES) == fresh(make_project, project)
    assert project.migration.verify().ok
    notices = [note for note in project.notes if "source changed" in note]
    assert bool(notices) is bool(told)
    assert told in "".join(notices)


@pytest.mark.parametrize("change", ["update v set t = 'V15' where id = 5", "delete from v where id = 9"])
def test_unique_values_that_move_between_settled_and_open_chunks(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """A lower key that is not settled yet takes a value that a settled row has, or gives one free."""
    set_chunk_rows(monkeypatch, 10)
    sql = "create table v (id int primary key, t text); insert into v select g, 'v' || g from generate_series(1, 100) g; update v set t = 'v9' where id = 19"
    target = "create table v (id uuid primary key, t text unique)"
    project = make_project(sql, target)
    project.write("v: {from: v, columns: {t: {sql: lower(t)}}}", "workers: 1")
    interrupted(project, "v", 30)
    ledger = Ledger(project.target)
    first, second = [c for c in ledger.chunks() if c.state == "settled"][:2]
    take_back(ledger, ledger.entities()[0], first)  # as if two workers had ended in another order
    assert (first.id, second.id) == (1, 2)
    project.source.execute(change)
    assert project.run().complete
    again = make_project(target_sql=target, source_of=project.source_dsn)
    again.write("v: {from: v, columns: {t: {sql: lower(t)}}}")
    again.run()
    assert project.state({"v": "id"}) == again.state({"v": "id"})


def test_a_complete_run_is_left_alone(make_project: MakeProject) -> None:
    project = made(make_project, 100, 100)
    project.run()
    before = project.state(TABLES)
    assert project.run().complete
    assert project.state(TABLES) == before
