# ruff: noqa: E501
"""A run on a target that is complete takes up what changed at the source since: the same end as a run that begins anew, but for what
somebody changed in the target."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from conftest import MakeProject, Project, uid

from rowcall.errors import BudgetExceeded, Interrupted
from rowcall.migration import RunResult
from rowcall.progress import Progress
from rowcall.report.text import story_text

SOURCE_SQL = """
create table office (id int primary key, name text, closed boolean not null default false);
insert into office select g, 'o' || g, g % 40 = 0 from generate_series(1, 400) g;
create table person (id int primary key, email text, boss_id int);
insert into person select g, 'e' || case when g % 97 = 0 then g / 2 else g end, nullif(g / 3, 0) from generate_series(1, 1000) g;
create table card (id int primary key, person_id int);
insert into card select g, g from generate_series(1, 1000) g;
create table item (id int primary key, office_id int, card_id int, doc text);
insert into item select g, g % 403 + 1, g % 1020 + 1, case when g % 50 = 0 then '[1,]' else '{"g": ' || g || '}' end
    from generate_series(1, 5000) g;
create table note (id int primary key, item_id int, said text);
insert into note select g, g * 3, 'n' || g from generate_series(1, 1500) g;
"""
TARGET_SQL = """
create table office (id uuid primary key, name text);
create table person (id uuid primary key, email text unique, boss_id uuid references person);
create table item (id uuid primary key, office_id uuid not null references office, person_id uuid references person, doc jsonb not null);
create table note (id uuid primary key, item_id uuid not null references item, said varchar(40));
"""
MAPPING = """
office: {from: office, columns: {name: name}, where: {open: not closed}, deleted: delete}
person: {from: person, columns: {email: email}, references: {boss_id: {to: person, path: boss_id, missing: null}}, deleted: delete}
item:
  from: item
  deleted: delete
  columns: {doc: {from: doc, convert: jsonb}}
  references:
    office_id: {to: office, path: office_id}
    person_id: {to: person, path: "card_id -> card.id, person_id -> person.id", missing: null}
note:
  from: note
  deleted: delete
  columns: {said: said}
  references: {item_id: {to: item, path: item_id}}
"""
TABLES = {"office": "id", "person": "id", "item": "id", "note": "id"}
# One percent of each: inserted, changed, deleted; so that rows turn from every outcome into every other.
MOVED = """
delete from note where id % 100 = 7;
delete from item where id % 100 = 13;
delete from person where id % 100 = 31;
delete from office where id % 100 = 77;
update office set closed = not closed where id % 100 = 39;
update office set name = name || '!' where id % 100 = 5;
update person set email = 'moved' || id where id % 100 = 2;
update person set boss_id = id - 1 where id % 100 = 3;
update card set person_id = person_id % 1000 + 1 where id % 100 = 4;
update item set office_id = office_id % 400 + 1 where id % 100 = 50;
update item set doc = case when doc = '[1,]' then '{}' else '[1,]' end where id % 200 = 0;
update note set said = 'other ' || id where id % 100 = 1;
insert into office select 1000 + g, 'new' || g from generate_series(1, 4) g;
insert into person select 10000 + g, 'new' || g, 10001 + g from generate_series(1, 40) g;
insert into card select 10000 + g, 10000 + g from generate_series(1, 40) g;
insert into item select 30000 + g, 1000 + g % 6, 10000 + g, '{"new": true}' from generate_series(1, 200) g;
insert into note select 10000 + g, 30000 + g, repeat('n', g) from generate_series(1, 60) g;
"""


def contents(project: Project) -> Mapping[str, dict[str, str]]:
    """Table, or part of the ledger -> key -> the whole row as text."""
    found = {table: dict(project.target.rows(f"select id::text, t::text from {table} t")) for table in TABLES}
    found["lines"] = dict(
        project.target.rows(
            "select entity || ' ' || source_key, concat_ws(' ', outcome, target_id, cause) from rowcall.settlements"
        )
    )
    found["quarantine"] = dict(
        project.target.rows("select entity || ' ' || source_key, q::text from rowcall.quarantine q")
    )
    found["nulled"] = dict(
        project.target.rows(
            "select concat_ws(' ', entity, source_key, target_column), concat_ws(' ', code, hop, value) from rowcall.nulled_reference"
        )
    )
    return found


def fresh(
    make_project: MakeProject, project: Project, mapping: str = MAPPING, target_sql: str = TARGET_SQL
) -> Mapping[str, dict[str, str]]:
    other = make_project(target_sql=target_sql, source_of=project.source_dsn)
    other.write(mapping)
    assert other.run().complete
    return contents(other)


def nothing(result: RunResult, but: str = "") -> bool:
    """Whether a run took nothing up; a server's own housekeeping may be a transaction, after which it looks."""
    lines = result.caught_up.entities if result.caught_up else ()
    return not any(rows for e in lines for name, rows in vars(e).items() if name not in ("entity", but))


def wal(project: Project) -> int:
    return int(project.target.value("select pg_current_wal_insert_lsn() - '0/0'"))


@pytest.fixture
def moved(make_project: MakeProject) -> Project:
    project = make_project(SOURCE_SQL, TARGET_SQL)
    project.write(MAPPING)
    assert project.run().complete
    project.source.execute(MOVED)
    return project


def test_ends_as_a_run_that_begins_anew(make_project: MakeProject, moved: Project) -> None:
    result = moved.run()
    assert contents(moved) == fresh(make_project, moved)
    assert result.caught_up
    assert {e.entity for e in result.caught_up.entities if e.inserted and e.updated and e.removed and e.gone} == set(
        TABLES
    )
    assert not any(e.kept for e in result.caught_up.entities)
    assert moved.migration.verify().ok
    moved.prove()
    assert nothing(moved.run())
    moved.source.execute("create table unrelated ()")
    assert nothing(moved.run())
    moved.migration.undo()
    assert {table: moved.target.value(f"select count(*) from {table}") for table in TABLES} == dict.fromkeys(TABLES, 0)


def test_what_somebody_changed_in_the_target_stays_and_is_told(make_project: MakeProject, moved: Project) -> None:
    """0.1 % of the rows are edited by hand, some of them rows that the source changed or deleted, too."""
    edits = """
        update note set said = 'edited' where id in (select entity_uuid from rowcall.migration_mappings
            where entity_type = 'note' and legacy_id::int % 100 in (1, 7, 12) order by legacy_id::int limit 9);
        update person set email = 'edited' || email where id in (select entity_uuid from rowcall.migration_mappings
            where entity_type = 'person' and legacy_id in ('102', '131', '500'));
        delete from note where id = (select entity_uuid from rowcall.migration_mappings where entity_type = 'note' and legacy_id = '1201');
    """
    moved.target.execute(edits)
    before = contents(moved)
    result = moved.run()
    found, wanted = contents(moved), fresh(make_project, moved)
    assert result.caught_up
    kept = {(entity, key): why for entity, key, why in moved.target.rows(
        "select e.name, k.source_key, k.why from rowcall.kept_row k join rowcall.entity e on e.id = k.entity"
    )}  # fmt: skip
    # What the source did not touch (note 12, person 500) is no conflict; what it deleted stays, and so do the parents of what stays.
    edited = {("note", k) for k in ("1", "7", "101", "107", "201", "207")} | {("person", "102"), ("person", "131")}
    assert {row for row, why in kept.items() if why == "edited"} == edited
    assert {row for row, why in kept.items() if why == "removed"} == {("note", "1201")}
    assert sum(a.rows for a in result.kept) == len(kept)
    for table in TABLES:
        ids = {str(uid(table, key)) for entity, key in kept if entity == table}
        untouched = {str(uid("note", 12)), str(uid("note", 112)), str(uid("note", 212)), str(uid("person", 500))}
        assert {i: row for i, row in found[table].items() if i not in ids | untouched} == {
            i: row for i, row in wanted[table].items() if i not in ids | untouched
        }
        assert {i: found[table].get(i) for i in ids | untouched} == {i: before[table].get(i) for i in ids | untouched}
    assert {row: why for row, why in kept.items() if why not in ("edited", "removed")} == {}
    told = moved.migration.explain("note", "1")
    assert told.kept == "edited"
    assert "changed by somebody in the target" in story_text(told).plain
    again = moved.run()
    assert nothing(again, but="kept")
    assert again.kept == result.kept  # as long as they differ


@pytest.mark.parametrize("phase", ["judge", "run"])
def test_an_interruption_changes_nothing(moved: Project, phase: str) -> None:
    before = contents(moved)

    def interrupt(progress: Progress) -> None:
        if progress.phase == phase and progress.entity == "note":
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as told:
        moved.run(on_progress=interrupt)
    assert "nothing was changed" in told.value.hint
    assert contents(moved) == before
    assert moved.migration.status().state == "complete"
    assert moved.run().caught_up


def test_an_error_budget_that_is_spent_changes_nothing(moved: Project) -> None:
    before = contents(moved)
    moved.write(MAPPING.replace("note:", "note:\n  error_budget: 1"))
    with pytest.raises(BudgetExceeded):
        moved.run()
    assert contents(moved) == before
