# ruff: noqa: E501
"""Rows for which another row stands, in runs that come later."""

from __future__ import annotations

import pytest
from conftest import MakeProject, Project, uid

from rowcall.repair import Request

PEOPLE = """
users: {from: usr, to: people, merge: {to: users, path: 'id -> persons.id, stays -> usr.id'}, columns: {name: name, email: {sql: lower(email)}}}
pats: {from: pat, to: people, merge: {to: users, path: 'id -> pu.id, uid -> usr.id'}, columns: {name: name, email: {sql: lower(email)}}}
visit: {from: visit, references: {pat_id: {to: pats, path: pat_id}}}
"""
PEOPLE_VIEWS = """views:
  persons: select id, first_value(id) over (partition by lower(email) order by id desc) as stays from usr
  pu: select p.id, u.id as uid from pat p join usr u on lower(u.email) = lower(p.email)
"""


@pytest.fixture
def people(make_project: MakeProject) -> Project:
    project = make_project(
        """create table usr (id int primary key, name text, email text); create table pat (id int primary key, name text, email text);
        create table visit (id int primary key, pat_id int)""",
        """create table people (id uuid primary key, name text not null, email text unique);
        create table visit (id uuid primary key, pat_id uuid not null references people)""",
    )
    project.write(PEOPLE, PEOPLE_VIEWS)
    return project


def test_nobody_goes_before_the_row_that_is_to_stand_for_him_is_there(people: Project) -> None:
    people.source.execute("insert into pat values (1, 'Ben', 'b@x'); insert into visit values (1, 1)")
    people.run()
    people.source.execute("insert into usr values (2, 'Ben', 'b@x')")
    people.run()  # the new row's e-mail is still that of the old one, which the visit needs
    assert people.fates("users") | people.fates("pats") == {"2": "refused_by_target", "1": "migrated"}
    assert (
        people.fates("visit"),
        people.target.value("select count(*) from visit join people on people.id = pat_id"),
    ) == ({"1": "migrated"}, 1)
    assert people.target.value("select count(*) from rowcall.kept_row") == 2
    assert people.target.value("select entity_uuid from rowcall.migration_mappings where entity_type = 'pats'") == uid(
        "pats", 1
    )
    assert people.target.value("select count(*) from rowcall.merged") == 0
    assert people.migration.verify().ok
    people.run(restart=True)
    assert (people.fates("users"), people.fates("pats")) == ({"2": "migrated"}, {"1": "merged"})


def test_a_later_run_keeps_what_a_repair_merged(people: Project) -> None:
    """The rejection names a row that is merged itself."""
    people.source.execute(
        "insert into usr values (9, 'nine', 'Q@x'), (10, null, 'q@x'); insert into pat values (7, 'seven', 'q@X')"
    )
    people.source.execute("insert into visit values (4, 7)")
    people.run()
    assert people.rejections("pats", "7")[0]["parent_key"] == "9"
    healing = people.migration.healing
    healing.apply(Request("users", "null_in_required", "set_value", {"value": "Ten"}, reason="asked", follow=True))
    merged = "select source_key, into_key, target_id from rowcall.merged order by 1"
    before = people.target.rows(merged)
    assert before == [("7", "10", uid("users", 10)), ("9", "10", uid("users", 10))]
    people.source.execute("insert into usr values (18, 'new', 'G@x')")
    people.run()
    assert people.target.rows(merged) == before
    assert people.migration.verify().ok


def test_what_was_asked_before_rows_were_read_anew_is_void(people: Project) -> None:
    people.source.execute(
        "insert into usr values (1, null, 'a@x'); insert into pat values (2, 'Ann', 'A@x'); insert into visit values (2, 2)"
    )
    people.run()
    people.source.execute("update usr set name = 'Ann' where id = 1")
    assert not all(c.proof and c.proof.held for c in people.migration.prove())
    assert people.run().exit_code == 0  # it takes up what was mended: nothing is asked of what is over
    people.source.execute("insert into usr values (3, null, 'c@x')")
    people.run()
    people.source.execute("update usr set name = 'Cid' where id = 3")
    people.migration.prove()
    retried = people.run(retry=True)
    assert (retried.unproven, retried.open, retried.exit_code) == (0, 0, 0)
