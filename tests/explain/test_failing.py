"""Rows on which an expression of the mapping fails: what no query can tell is checked; found by generated worlds."""

from __future__ import annotations

from conftest import MakeProject, Project

PEOPLE = "create table person (id int primary key); insert into person values (1), (2);"
TARGET = """
create table people (id uuid primary key);
create table notes (id uuid primary key, to_id uuid not null references people);
"""


def _risky(make_project: MakeProject, where: str) -> Project:
    project = make_project(
        PEOPLE + "create table note (id int primary key, person_id int, kept bool, w int);"
        "insert into note values (1, 1, true, 1), (2, 9, false, 0), (3, 9, true, 1), (4, 1, true, 5)",
        TARGET,
    )
    project.write(
        f"""
        people: {{from: person}}
        notes: {{from: note, where: {{{where}}}, references: {{to_id: {{to: people, path: person_id}}}}}}
        """
    )
    return project


def test_a_condition_that_fails_where_another_excludes(make_project: MakeProject) -> None:
    """Row 2: `kept` is false, `risky` fails: neither in nor out. Postgres would never come to `risky`."""
    project = _risky(make_project, 'kept: kept, risky: "10 / w > 5"')
    project.foreseen_run()
    assert project.fates("notes") == {
        "1": "migrated",
        "2": "dangling_reference",
        "3": "dangling_reference",
        "4": "risky",
    }
    assert project.codes("notes", "2") == ["dangling_reference", "expression_failed"]
    assert project.prove()["notes", "dangling_reference"].kind == "checked"


def test_a_defect_beside_an_expression_that_fails(make_project: MakeProject) -> None:
    """Row 2: the rule fails, so nothing that is computed by an expression is told of it."""
    project = make_project(
        "create table thing (id int primary key, v text, w int); insert into thing values (1, '1', 1), (2, 'x', 0), (3, 'x', 1)",
        "create table things (id uuid primary key, v int)",
    )
    project.write(
        """things: {from: thing, rules: {risky: "10 / w > 5"}, columns: {v: {sql: "nullif(v, '')", convert: int}}}"""
    )
    project.foreseen_run()
    assert project.fates("things") == {"1": "migrated", "2": "expression_failed", "3": "not_convertible"}
    assert project.prove()["things", "not_convertible"].kind == "checked"


def test_a_rule_beside_an_expression_that_fails(make_project: MakeProject) -> None:
    """The same of a rule."""
    project = make_project(
        "create table thing (id int primary key, v int, w int); insert into thing values (1, 1, 1), (2, 0, 9), (3, 1, 9)",
        "create table things (id uuid primary key, v int)",
    )
    project.write("""things: {from: thing, rules: {sane: w < 3}, columns: {v: {sql: "10 / v"}}}""")
    project.foreseen_run()
    assert project.codes("things", "2") == ["expression_failed"]
    assert project.prove()["things", "rule_failed"].kind == "checked"
