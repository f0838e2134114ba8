"""Two entities that fill one table, whose references in the same column lead to different parents."""

from __future__ import annotations

import pytest
from conftest import MakeProject, Project

SOURCE = """
create table u (id int primary key); create table o (id int primary key);
create table a (id int primary key, u int); create table b (id int primary key, o int);
insert into u values (1), (2); insert into o values (1); insert into a values (1, 1), (2, 2); insert into b values (1, 1);
"""
TARGET = """
create table u (id uuid primary key); create table o (id uuid primary key);
create table t (id uuid primary key, owner uuid not null);
"""
ENTITIES = """
u: {from: u}
o: {from: o}
a: {from: a, to: t, references: {owner: {to: u, path: u}}}
b: {from: b, to: t, references: {owner: {to: o, path: o}}}
"""


@pytest.fixture
def shared(make_project: MakeProject) -> Project:
    project = make_project(SOURCE, TARGET)
    project.write(ENTITIES)
    project.foreseen_run()
    return project


def broken(project: Project) -> dict[str, int]:
    return {r.entity: r.broken for r in project.migration.verify().references}


def test_each_entitys_rows_are_held_against_its_own_parents(shared: Project) -> None:
    assert shared.migration.verify().ok
    first = "select min(t.id::text)::uuid from t join u on u.id = t.owner"
    shared.target.execute(f"update t set owner = (select id from o) where id = ({first})")
    assert broken(shared) == {"a": 1, "b": 0}


def test_a_row_of_nobody_may_lead_to_a_parent_of_either(shared: Project) -> None:
    shared.target.execute(
        "insert into t select gen_random_uuid(), id from o union all select gen_random_uuid(), id from u"
    )
    assert broken(shared) == {"a": 0, "b": 0}
    shared.target.execute("insert into t select gen_random_uuid(), gen_random_uuid()")
    assert broken(shared) == {"a": 1, "b": 1}
