"""The judge asks the target's Postgres, a proof the source's: where they differ, no query can tell."""

from __future__ import annotations

from conftest import MakeProject


def test_what_only_one_of_the_servers_accepts(make_project: MakeProject) -> None:
    """Source 16, target 18: from 17 on an interval may be infinity."""
    project = make_project(
        "create table thing (id int primary key, v text); insert into thing values (1, '1 day'), (2, 'infinity'), (3, 'x')",
        "create table things (id uuid primary key, v interval)",
    )
    project.write("things: {from: thing, columns: {v: {from: v, convert: interval}}}")
    project.foreseen_run()
    assert project.fates("things") == {"1": "migrated", "2": "migrated", "3": "not_convertible"}
    assert project.prove()["things", "not_convertible"].kind == "checked"
