"""Roots and causes within a cycle of references; found by generated worlds."""

from __future__ import annotations

from conftest import MakeProject, Project

NODE_SOURCE = "create table node (id int primary key, a_id int, b_id int, size text, gone bool not null default false);"
NODE_TARGET = (
    "create table nodes (id uuid primary key, a_id uuid references nodes, b_id uuid references nodes, size int)"
)
NODES = """
nodes:
  from: node
  where: {present: not gone}
  columns: {size: {from: size, convert: int}}
  references:
    a_id: {to: nodes, path: a_id}
    b_id: {to: nodes, path: b_id}
"""


def nodes(make_project: MakeProject, rows: str) -> Project:
    project = make_project(f"{NODE_SOURCE} insert into node values {rows}", NODE_TARGET)
    project.write(NODES)
    project.foreseen_run()
    return project


def walked(project: Project, key: str) -> list[str]:
    """The chain to the root, as `explain` tells it."""
    return [link.key for link in project.migration.explain("nodes", key).chain]


def causes(project: Project) -> dict[str, tuple[int, int, int]]:
    return {c.code: (c.rows, c.victims, c.freed) for c in project.migration.causes()}


def test_a_row_that_names_itself_is_no_victim(make_project: MakeProject) -> None:
    """Its parent is in quarantine, but only by the row itself."""
    project = nodes(make_project, "(1, 1, null, 'big', false)")
    assert project.fates("nodes") == {"1": "not_convertible"}
    assert causes(project) == {"not_convertible": (1, 0, 1)}


def test_of_two_that_name_each_other_the_broken_one_is_the_root(make_project: MakeProject) -> None:
    """1 <-> 2, and 1 is broken: 2 is in quarantine only because of 1."""
    project = nodes(make_project, "(1, 2, null, 'big', false), (2, 1, null, '1', false)")
    assert project.fates("nodes") == {"1": "not_convertible", "2": "parent_quarantined"}
    assert causes(project)["not_convertible"] == (1, 1, 2)


def test_the_parent_that_is_told_leads_to_the_root(make_project: MakeProject) -> None:
    """1 <-> 2, and 1 needs the broken 3. Row 1's first reference leads in a circle."""
    project = nodes(make_project, "(1, 2, 3, '1', false), (2, 1, null, '1', false), (3, null, null, 'big', false)")
    assert set(project.roots("nodes").values()) == {("nodes", "3")}
    assert walked(project, "1") == ["1", "3"]
    assert walked(project, "2") == ["2", "1", "3"]
    assert causes(project)["not_convertible"] == (1, 2, 3)


def test_who_has_an_excluded_parent_is_a_root_to_its_children_too(make_project: MakeProject) -> None:
    """9 needs 5, which is excluded, and the broken 2."""
    project = nodes(
        make_project,
        "(2, null, null, 'big', false), (5, null, null, '1', true), (9, 5, 2, '1', false), (10, 9, null, '1', false)",
    )
    assert project.roots("nodes")["9"] == ("nodes", "9")
    assert project.roots("nodes")["10"] == ("nodes", "9")


def test_a_child_has_the_root_of_its_parent(make_project: MakeProject) -> None:
    """9 needs the broken 5 and the broken 2; its root is 5, by its first reference."""
    project = nodes(
        make_project,
        "(2, null, null, 'big', false), (5, null, null, 'big', false), (9, 5, 2, '1', false), (10, 9, null, '1', false)",
    )
    assert project.roots("nodes")["10"] == project.roots("nodes")["9"]
