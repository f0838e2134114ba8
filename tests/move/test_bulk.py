"""Bulk load: keys go before the rows come and are back, exactly as they were, whatever happens in between."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from _thread import interrupt_main
from collections.abc import Callable
from threading import Event

import pytest
from conftest import MakeProject, Project, set_chunk_rows

from rowcall.errors import Interrupted, TargetRefused
from rowcall.ledger import EntityRecord, KeyBook
from rowcall.postgres.connect import Session, connect
from rowcall.postgres.embedded import EmbeddedServers
from rowcall.postgres.read import Reader
from rowcall.progress import Progress
from rowcall.schema import TableKey

Dump = Callable[[Project], str]

SOURCE_SQL = """
create table office (id int primary key, name text);
insert into office select g, 'o' || g from generate_series(1, 300) g;
create table item (id int primary key, office_id int, n int, name text, doc text, at timestamptz);
insert into item select g, g % 303 + 1, g, 'name ' || g, '{{"g": ' || g || '}}', now() from generate_series(1, {items}) g;
"""
# Every kind of key and index that there is, and what a definition alone does not tell: comments, parameters, dependents.
TARGET_SQL = """
create schema other;
create table other.kind (n int primary key);
insert into other.kind select generate_series(0, 9);
create table office (id uuid primary key, name text not null);
create table item (
    id uuid, office_id uuid not null, n int not null, name text not null, doc jsonb not null, at timestamptz,
    kind int generated always as (n % 10) stored, code text,
    constraint "The Key" primary key (id) with (fillfactor = 70),
    constraint once unique (n) deferrable initially deferred,
    constraint named unique nulls not distinct (name, n) include (at),
    constraint needed unique (n, id),
    constraint apart exclude using btree (n with =),
    constraint home foreign key (office_id) references office on delete cascade on update restrict deferrable,
    constraint full_sort foreign key (kind) references other.kind match full,
    constraint plain_sort foreign key (kind) references other.kind on delete restrict
);
alter table item add constraint sort foreign key (kind) references other.kind not valid;
create index on item (name text_pattern_ops desc nulls last) where n % 2 = 0;
create index "by doc" on item using gin (doc jsonb_path_ops) with (fastupdate = off);
create unique index folded on item (lower(name) collate "C", (n + 1));
create unique index rare on item (code) nulls not distinct where code is not null;
create index clustered on item (at);
alter table item cluster on clustered;
create index ranged on item using brin (at) with (pages_per_range = 4);
create index counted on item ((n * 2));
alter index counted alter column 1 set statistics 500;
comment on constraint "The Key" on item is 'it''s the key';
comment on index "by doc" is '100 % "documents"';
comment on constraint home on item is 'where it lives';
comment on index once is 'an index''s own';
create table heir (id uuid primary key, n int, item uuid, foreign key (n, item) references item (n, id));
create view per_office as select o.*, count(i.id) from office o left join item i on i.office_id = o.id group by o.id;
create table published (id uuid primary key, v int unique);
create publication p for table published;
"""
MAPPING = """
office: {from: office, columns: {name: name}}
item:
  from: item
  columns: {n: n, name: name, doc: {from: doc, convert: jsonb}, at: at}
  references: {office_id: {to: office, path: office_id}}
published: {from: office, columns: {v: id}}
"""
ITEMS = """
create table item (id int primary key, n int, name text);
insert into item select g, g, 'n' || g from generate_series(1, 400) g"""
TARGET = "create table item (id uuid primary key, n int, name text);"
KEYS = "select string_agg(indexname || ' ' || indexdef, '|' order by indexname) from pg_indexes where schemaname = 'public'"
PROGRAM = """
import sys
from pathlib import Path
from rowcall.migration import Migration
from rowcall.move.chunking import chunk_ranges
chunk_ranges.__defaults__ = (400,)
migration = Migration.open(Path(sys.argv[1]))
migration.undo() if sys.argv[2:] == ["undo"] else migration.run()
"""


@pytest.fixture
def dump(pair: EmbeddedServers) -> Dump:
    """pg_dump --schema-only of a project's target, without the ledger."""

    def dumped(project: Project) -> str:
        words = [str(pair.binary("target", "pg_dump")), "--schema-only", "--exclude-schema=rowcall", project.target_dsn]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        return "\n".join(
            line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))
        )

    return dumped


def made(make_project: MakeProject, items: int = 3000, mapping: str = MAPPING) -> Project:
    project = make_project(SOURCE_SQL.format(items=items), TARGET_SQL)
    project.write(mapping)
    return project


def names(project: Project, table: str) -> set[str]:
    rows = project.target.rows(
        "select ic.relname from pg_index i join pg_class ic on ic.oid = i.indexrelid where i.indrelid = %s::regclass "
        "union select conname from pg_constraint where conrelid = %s::regclass and contype = 'f'", [table, table],
    )  # fmt: skip
    return {name for (name,) in rows}


def test_keys_are_away_while_rows_come_and_back_as_they_were(
    make_project: MakeProject, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_chunk_rows(monkeypatch, 500)
    project = made(make_project)
    before, seen = dump(project), list[set[str]]()

    def look(progress: Progress) -> None:
        if progress.entity == "item" and 0 < progress.rows < progress.total:
            seen.append(names(project, "item"))

    result = project.run(on_progress=look)
    assert result.complete
    # These stay: exclusion, not validated, matched in full, clustered by, with a statistics target, referred to by another table.
    assert seen[0] == {"apart", "sort", "full_sort", "clustered", "counted", "needed"}
    assert dump(project) == before
    assert project.migration.verify().ok
    project.migration.undo()
    assert dump(project) == before
    assert project.target.value("select count(*) from item") == 0


KEPT = "select exists (select from pg_locks where relation = 'item'::regclass and mode = 'ShareUpdateExclusiveLock')"


@pytest.mark.parametrize("load", ["auto", "live"])
def test_autovacuum_is_kept_away_while_rows_come_in_bulk(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, load: str
) -> None:
    set_chunk_rows(monkeypatch, 100)
    project, seen = make_project(ITEMS, TARGET), set[bool]()
    project.write("item: {from: item, columns: {n: n, name: name}}", f"load: {load}")

    def look(progress: Progress) -> None:
        if 0 < progress.rows < progress.total:
            seen.add(bool(project.target.value(KEPT)))
            project.target.execute("update item set n = n where false")  # whoever works there is not held up

    assert project.run(on_progress=look).complete
    assert seen == {load == "auto"}
    assert not project.target.value(KEPT)


def test_the_plan_says_what_goes_and_what_stays_and_why(make_project: MakeProject) -> None:
    project = made(make_project)
    loads = {load["table"]: load for load in project.migration.plan().as_json()["loads"]}
    item, published = loads["public.item"], loads["public.published"]
    assert item["mode"] == "bulk"
    assert {"The Key", "once", "named", "folded", "home", "by doc"} <= set(item["taken"])
    assert item["stays"]["clustered"] == "the table is clustered by it"
    assert item["stays"]["needed"] == "the foreign key heir_n_item_fkey of public.heir needs it"
    assert loads["public.office"]["stays"]["office_pkey"] == "another object, such as a view, depends on it"
    assert published["stays"]["published_pkey"] == "the table is published by it"
    assert published["taken"] == ["published_v_key"]


def test_live_takes_nothing(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    set_chunk_rows(monkeypatch, 500)
    project = made(make_project)
    project.write(MAPPING, "load: live")
    every, seen = names(project, "item"), list[set[str]]()
    project.run(on_progress=lambda p: seen.append(names(project, "item")))
    assert all(found == every for found in seen)
    assert project.target.value("select count(*) from rowcall.taken_key") == 0
    assert all(load["mode"] == "live" for load in project.migration.plan().as_json()["loads"])


def test_an_occupied_table_is_loaded_live_unless_asked(make_project: MakeProject) -> None:
    project = made(make_project)
    own = "insert into office values (gen_random_uuid(), 'own')"
    project.target.execute(own)
    assert {ld["table"]: ld["mode"] for ld in project.migration.plan().as_json()["loads"]}["public.office"] == "live"
    project.write(MAPPING.replace("office: {from: office,", "office: {from: office, load: bulk,"))
    assert {ld["table"]: ld["mode"] for ld in project.migration.plan().as_json()["loads"]}["public.office"] == "bulk"
    assert project.run().complete
    assert project.target.value("select count(*) from office") == 301


def start(project: Project, *words: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(project.folder), *words], env=environment, stderr=subprocess.DEVNULL
    )


def kill_while_away(project: Project) -> bool:
    """Starts a run and kills it at a random moment at which keys are away; whether there was one."""
    process, begun = start(project), time.monotonic()
    while process.poll() is None and time.monotonic() - begun < 60:
        ready = project.target.value("select to_regclass('rowcall.taken_key') is not null")
        if ready and project.target.value("select exists (select from rowcall.taken_key where state <> 'back')"):
            break
        time.sleep(0.002)
    time.sleep(random.random() * 1.2)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    for _ in range(200):  # the server needs a moment to notice
        if not project.target.value(
            "select exists (select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() "
            "and backend_type = 'client backend')"
        ):
            break
        time.sleep(0.05)
    return bool(project.target.value("select exists (select from rowcall.taken_key where state <> 'back')"))


def killed_and_restored(project: Project, dump: Dump, kills: int) -> int:
    """Kills so many runs; each is then finished or undone, by turns. How many had keys away when they were killed."""
    before, away = dump(project), 0
    for number in range(kills):
        away += kill_while_away(project)
        how = ("undo",) if number % 2 else ()
        assert start(project, *how).wait(120) == 0
        assert dump(project) == before
        if not number % 2:
            assert project.migration.verify().ok
            project.migration.undo()
    assert dump(project) == before
    return away


def test_killed_at_any_moment_run_or_undo_restores_the_keys(make_project: MakeProject, dump: Dump) -> None:
    assert killed_and_restored(made(make_project, 20_000), dump, 2) >= 1


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_soak_killed_twenty_five_times(make_project: MakeProject, dump: Dump) -> None:
    assert killed_and_restored(made(make_project, 60_000), dump, 25) >= 8


@pytest.mark.timeout(60)
def test_ctrl_c_while_steps_wait_to_be_finished(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [f"t{number}" for number in range(6)]
    project = make_project(
        "; ".join(f"create table {t} (id int primary key); insert into {t} values (1)" for t in tables),
        "; ".join(f"create table {t} (id uuid primary key)" for t in tables),
    )
    project.write("\n".join(f"{t}: {{from: {t}}}" for t in tables))
    monkeypatch.setattr("rowcall.move.finish._analyze", lambda *_: time.sleep(0.5))

    def press(progress: Progress) -> None:
        if progress.entity == "t5" and progress.rows:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        project.run(on_progress=press)
    assert project.run().complete
    assert not KeyBook(project.target).missing()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("ends", ["ctrl-c", "a failure beside it"])
def test_the_end_does_not_wait_for_a_look_at_the_source(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    project = made(make_project, 100)
    under_way = Event()

    def look(_: object, record: EntityRecord, source: Reader, target: Session) -> None:
        if record.name != "item":
            return
        under_way.set()
        if ends == "ctrl-c":
            interrupt_main()
        source.table("select pg_sleep(600)")

    def fail(_: object, key: TableKey, __: object) -> None:
        if key.table == "public.item":
            assert under_way.wait(30)
            raise TargetRefused(key.table, "enough")

    with monkeypatch.context() as patch:
        patch.setattr("rowcall.verify.glance.Glances.look", look)
        if ends != "ctrl-c":
            patch.setattr("rowcall.move.bulk._attach", fail)
        with pytest.raises(Interrupted if ends == "ctrl-c" else TargetRefused):
            project.run()
    assert project.run().complete
    assert not KeyBook(project.target).missing()


def test_a_table_at_which_others_work_stops_the_run_before_anything_is_done(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, dump: Dump
) -> None:
    monkeypatch.setattr("rowcall.move.bulk.LOCK_PATIENCE", "50ms")
    project = made(make_project)
    before = dump(project)
    with connect(project.target_dsn, "target") as vacuum, vacuum.transaction():
        vacuum.execute("lock table item in share update exclusive mode")
        with pytest.raises(TargetRefused, match="exclusive lock") as caught:
            project.run()
    assert "load: live" in caught.value.hint
    assert dump(project) == before
    assert project.run().complete
    assert dump(project) == before
