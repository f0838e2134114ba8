"""`rowcall plan --sample`: some rows before and after, masked unless asked, and nothing is written."""

from __future__ import annotations

import pytest
from conftest import MakeProject, Project

from rowcall.errors import UsageError
from rowcall.plan.show import plan_text
from rowcall.sample import Samples

SOURCE = """
create table person (id int primary key, name text, note text, kind int);
insert into person select g, 'Name' || g, case g when 3 then 'far too long' else 'n' || g end, g % 3 from generate_series(1, 30) g;
create table visit (id int primary key, person_id int);
insert into visit values (1, 2), (2, 99);
"""
TARGET = """
create type kind as enum ('one', 'two');
create table persons (id uuid primary key, label text not null, note varchar(5), kind kind, made int not null default 7);
create table visits (id uuid primary key, person_id uuid not null references persons);
"""
MAPPING = """
persons:
  from: person
  where: {not_the_first: id > 1}
  columns: {label: {sql: upper(name)}, note: note, kind: {from: kind, map: {0: null, 1: one, 2: two}}}
visits: {from: visit, references: {person_id: {to: persons, path: person_id}}}
"""


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    made = make_project(SOURCE, TARGET)
    made.write(MAPPING)
    return made


def sample(project: Project, entity: str, *, show_values: bool = False) -> Samples:
    return project.migration.sample(entity, show_values=show_values)


def test_ten_rows_before_and_after(project: Project) -> None:
    found = sample(project, "persons", show_values=True)
    assert [row.key for row in found.rows] == [str(n) for n in range(1, 11)]
    fates = {row.key: row.fate for row in found.rows}
    assert (fates["1"], fates["2"], fates["3"]) == ("not_the_first", "migrated", "too_long")
    second = found.rows[1]
    assert second.before == {"id": "2", "name": "Name2", "note": "n2", "kind": "2"}
    assert {c: v for c, v in second.after.items() if c != "id"} == {"label": "NAME2", "note": "n2", "kind": "two"}
    assert found.rows[0].after == {}
    assert found.fillers["label"] == "upper(name)"
    assert found.reads == {"note": "note", "kind": "kind"}


def test_a_reference_shows_where_it_begins(project: Project) -> None:
    found = sample(project, "visits", show_values=True)
    assert (found.fillers["person_id"], found.reads) == ("persons", {"person_id": "person_id"})
    assert found.rows[0].before["person_id"] == "2"


def test_a_row_for_which_another_stands(project: Project) -> None:
    project.write(
        MAPPING.replace("  from: person\n", "  from: person\n  merge: {to: persons, path: kind -> person.id}\n")
    )
    found = sample(project, "persons")
    assert (found.fillers["id"], "id" in found.reads) == ("uuid5", False)
    assert [row.fate for row in found.rows[:4]] == ["not_the_first", "migrated", "too_long", "merged"]


def test_values_are_masked_and_ids_are_not(project: Project) -> None:
    text = repr(sample(project, "persons")) + str(sample(project, "persons").as_json())
    assert "Name2" not in text
    assert "NAME2" not in text
    assert len(sample(project, "visits").rows[0].after["person_id"] or "") == 36


def test_nothing_is_written_and_a_lost_parent_is_seen(project: Project) -> None:
    assert [row.fate for row in sample(project, "visits").rows] == ["migrated", "dangling_reference"]
    assert project.target.value("select count(*) from persons") == 0
    assert project.target.value("select to_regclass('rowcall.settlement') is null")


def test_an_entity_that_is_none(project: Project) -> None:
    with pytest.raises(UsageError, match="has no entity 'person'"):
        sample(project, "person")


def test_the_plan_tells_how_many_values_nothing_reads(project: Project) -> None:
    project.source.execute(
        "alter table person add column fax text; update person set fax = '1' where id <= 6; analyze person"
    )
    plan = project.migration.plan()
    persons = next(entity for entity in plan.as_json()["entities"] if entity["name"] == "persons")
    assert (persons["unread_columns"], persons["unread_rows"]) == (["fax"], {"fax": 6})
    assert persons["unfilled_columns"] == ["made"]
    assert "never read, with the rows that hold a value: fax (about 6)" in plan_text(plan)
