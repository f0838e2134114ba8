"""Ways of references and their proofs; found by generated worlds."""

from __future__ import annotations

import pytest
from conftest import MakeProject

PEOPLE = "create table person (id int primary key); insert into person values (1), (2);"
TARGET = """
create table people (id uuid primary key);
create table notes (id uuid primary key, to_id uuid not null references people);
"""


def test_an_empty_table_on_a_path(make_project: MakeProject) -> None:
    project = make_project(
        PEOPLE + "create table link (id int primary key, person_id int);"
        "create table note (id int primary key, link_id int); insert into note values (1, 7)",
        TARGET,
    )
    project.write(
        """
        people: {from: person}
        notes: {from: note, references: {to_id: {to: people, path: "link_id -> link.id, person_id -> person.id"}}}
        """
    )
    project.foreseen_run()
    assert project.fates("notes") == {"1": "dangling_reference"}


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_backward_way_of_one_type_and_a_forward_way_of_another(
    make_project: MakeProject, order: tuple[int, int]
) -> None:
    ways = {
        1: 'app.back: "id -> link.note_id, person_id -> person.id"',
        2: "app.front: person_id",
    }
    project = make_project(
        PEOPLE + "create table django_content_type (id int primary key, app_label text, model text);"
        "insert into django_content_type values (1, 'app', 'back'), (2, 'app', 'front');"
        "create table link (id int primary key, note_id int, person_id int); insert into link values (1, 1, 1);"
        "create table note (id int primary key, type_id int, person_id int);"
        "insert into note values (1, 1, null), (2, 2, 9), (3, 1, null)",
        TARGET,
    )
    project.write(
        f"""
        people: {{from: person}}
        notes:
          from: note
          references:
            to_id:
              type: type_id
              to: people
              by_type:
                {ways[order[0]]}
                {ways[order[1]]}
        """
    )
    project.foreseen_run()
    assert project.fates("notes") == {"1": "migrated", "2": "dangling_reference", "3": "dangling_reference"}


def test_a_backward_way_within_a_cycle(make_project: MakeProject) -> None:
    """The way is compiled twice: for the fates, where every parent is thought to migrate, and for the rows themselves."""
    project = make_project(
        "create table node (id int primary key); insert into node values (1), (2), (3), (4);"
        "create table link (id int primary key, node_id int, up_id int);"
        "insert into link values (1, 1, 1), (2, 2, 1), (3, 3, 9), (4, 4, 3)",
        "create table nodes (id uuid primary key, up_id uuid not null references nodes)",
    )
    project.write(
        """
        nodes: {from: node, references: {up_id: {to: nodes, path: "id -> link.node_id, up_id -> node.id"}}}
        """
    )
    project.foreseen_run()
    assert project.fates("nodes") == {
        "1": "migrated",
        "2": "migrated",
        "3": "dangling_reference",
        "4": "parent_quarantined",
    }


@pytest.mark.parametrize("links", [(None, 0), (0, None)])
def test_several_links_that_name_nobody_for_different_reasons(
    make_project: MakeProject, links: tuple[int | None, ...]
) -> None:
    """The first in the order of codes is told, whatever the order of the rows."""
    values = ", ".join(f"({n}, 1, {'null' if v is None else v})" for n, v in enumerate(links, 1))
    project = make_project(
        PEOPLE + "create table note (id int primary key); insert into note values (1), (2);"
        f"create table link (id int primary key, note_id int, person_id int);"
        f"insert into link values {values}, (8, 2, 0), (9, 3, null);"
        "insert into note values (3)",
        TARGET,
    )
    project.write(
        """
        people: {from: person}
        notes: {from: note, references: {to_id: {to: people, path: "id -> link.note_id, person_id -> person.id", sentinels: [0]}}}
        """
    )
    project.foreseen_run()
    assert project.fates("notes") == {"1": "null_reference", "2": "sentinel_reference", "3": "null_reference"}
