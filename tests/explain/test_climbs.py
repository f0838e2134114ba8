"""Climbs by a column that may be NULL, and keys of several columns; found beside generated worlds."""

from __future__ import annotations

import pytest
from conftest import MakeProject

NODES = """
create table node (id int primary key, code text unique, up text);
insert into node values (1, 'a', null), (2, 'b', 'a'), (3, null, 'a'), (4, null, null), (5, 'e', 'zz');
"""


@pytest.mark.parametrize("null", ["not null", ""])
def test_a_climb_from_a_row_without_a_code(make_project: MakeProject, null: str) -> None:
    """Such a row cannot be climbed from; that is told, even where the target would take a NULL."""
    project = make_project(
        NODES,
        f"create table tops (id uuid primary key); create table nodes (id uuid primary key, top_id uuid {null} references tops)",
    )
    project.write(
        """
        tops: {from: node}
        nodes: {from: node, references: {top_id: {to: tops, path: "up* -> node.code"}}}
        """
    )
    project.foreseen_run()
    # The row itself is where the climb begins, so 3 ends at `a` and 4 at itself. Another rule may be right, but not silence.
    assert project.fates("nodes") == {
        "1": "migrated", "2": "migrated", "3": "null_reference", "4": "null_reference", "5": "dangling_reference"
    }  # fmt: skip
    assert project.migration.verify().ok


@pytest.mark.parametrize("null", ["not null", ""])
def test_a_climb_behind_a_hop_to_such_a_row(make_project: MakeProject, null: str) -> None:
    project = make_project(
        NODES + "create table note (id int primary key, node_id int); insert into note select id, id from node",
        f"create table tops (id uuid primary key); create table notes (id uuid primary key, top_id uuid {null} references tops)",
    )
    project.write(
        """
        tops: {from: node}
        notes: {from: note, references: {top_id: {to: tops, path: "node_id -> node.id, up* -> node.code"}}}
        """
    )
    project.foreseen_run()
    assert project.fates("notes")["3"] == "null_reference"
    assert project.migration.verify().ok
