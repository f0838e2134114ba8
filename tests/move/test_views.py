# ruff: noqa: E501
"""Paths over what the mapping makes of tables: one of several rows (first, latest, majority), and views."""

from __future__ import annotations

import pytest
from conftest import MakeProject, Project, uid

from rowcall.errors import MappingError, UsageError
from rowcall.repair import Request

SOURCE = """
create table parent (id int primary key, email text, zone text, nr int);
insert into parent select g, 'p' || g || '@x', chr(65 + g % 3), g / 3 from generate_series(1, 9) g;
create table kid (id int primary key, zone text, nr int, mail text, tags text);
insert into kid values (1, 'B', 0, 'P1@x', 'parent:1'), (2, 'C', 0, 'p2@X ', 'other:2,parent:2'), (3, 'A', 1, 'nobody@x', null), (4, null, 1, null, 'parent:77'), (5, 'Z', 9, 'p5@x', '');
create table link (id int primary key, kid_id int, parent_id int, at timestamptz, doc json);
insert into link values (1, 1, 1, '2024-01-01'), (2, 1, 2, '2024-03-01'), (3, 1, 3, '2024-02-01'), (4, 1, 1, null),
    (5, 2, 4, '2024-01-01'), (6, 2, 5, '2024-01-01'), (7, 3, 99, '2024-01-01'), (8, 3, 6, '2023-01-01'),
    (9, 4, null, '2024-01-01'), (10, 4, 7, '2023-01-01'), (11, 5, 8, null);
"""
TARGET = "create table parent (id uuid primary key, email text); create table kid (id uuid primary key, parent_id uuid references parent);"


def project(make: MakeProject, path: str, views: str = "", more: str = "") -> Project:
    made = make(SOURCE, TARGET)
    made.write(
        f"parent: {{from: parent, columns: {{email: email}}}}\nkid: {{from: kid, references: {{parent_id: {{to: parent, path: '{path}'{more}}}}}}}",
        views,
    )
    return made


def parents(made: Project) -> dict[str, str | None]:
    """Key -> the key of its parent, or why there is none."""
    known = {str(uid("parent", n)): str(n) for n in range(1, 10)}
    found = {key: known.get(value or "", value) for key, value in made.values("kid", "parent_id").items()}
    return found | {key: fate for key, fate in made.fates("kid").items() if fate != "migrated"}


@pytest.mark.parametrize(
    ("pick", "found"),
    [
        ("latest at", {"1": "2", "2": "5", "3": "dangling_reference", "4": "null_reference", "5": "dangling_reference"}),
        ("first at", {"1": "1", "2": "4", "3": "6", "4": "7", "5": "dangling_reference"}),
        ("majority", {"1": "1", "2": "ambiguous_reference", "3": "ambiguous_reference", "4": "7", "5": "8"}),
        ("", {"1": "ambiguous_reference", "2": "ambiguous_reference", "3": "ambiguous_reference", "4": "7", "5": "8"}),
    ],
)  # fmt: skip
def test_which_of_several_rows_is_meant(make_project: MakeProject, pick: str, found: dict[str, str]) -> None:
    made = project(make_project, f"id -> link.kid_id {pick}, parent_id -> parent.id")
    made.foreseen_run()
    assert parents(made) == found
    assert made.migration.verify().ok
    story = made.migration.explain("kid", "1")
    assert f"id -> link.kid_id{' ' + pick if pick else ''}" in [hop.text for hop in story.hops]
    assert "public.link" in made.migration.plan().source_tables


def test_a_pick_may_end_at_the_parents_own_rows(make_project: MakeProject) -> None:
    made = project(make_project, "zone -> parent.zone latest nr")
    made.foreseen_run()
    assert parents(made) == {"1": "7", "2": "8", "3": "9", "4": None, "5": "dangling_reference"}
    assert made.migration.verify().ok
    made.source.execute("update parent set nr = 100 where id = 1")
    result = made.run()
    assert result.caught_up
    assert parents(made)["1"] == "1"


def test_a_way_that_leads_nowhere_is_no_contradiction(make_project: MakeProject) -> None:
    made = make_project(SOURCE, TARGET)
    ways = "['id -> link.kid_id first at, parent_id -> parent.id', 'tags -> parent.email, id -> parent.id']"
    made.write(
        f"parent: {{from: parent}}\nkid: {{from: kid, references: {{parent_id: {{to: parent, paths: {ways}}}}}}}"
    )
    made.foreseen_run()
    assert parents(made) | {"1": "1", "2": "4"} == parents(made)
    with pytest.raises(UsageError, match="which only the mapping's own paths can"):
        made.migration.healing.preview(
            Request(
                "kid",
                "dangling_reference",
                "link_parent",
                {"path": "id -> link.kid_id latest id, parent_id -> parent.id"},
                "",
            )
        )


def test_a_majority_of_a_view(make_project: MakeProject) -> None:
    made = project(
        make_project,
        "id -> v.kid_id majority, parent_id -> parent.id",
        "views: {v: 'select kid_id, parent_id from link'}",
    )
    made.foreseen_run()
    assert parents(made)["1"] == "1"


VIEWS = {
    "by two columns": (
        "by_place: select k.id as kid_id, p.id as parent_id from kid k join parent p on p.zone = k.zone and p.nr = k.nr",
        "id -> by_place.kid_id, parent_id -> parent.id",
        {"1": "1", "2": "2", "3": "3", "4": "dangling_reference", "5": "dangling_reference"},
    ),
    "by a natural key": (
        "by_mail: select lower(email) as mail, id as parent_id from parent\n  mails: select id, lower(trim(mail)) as mail from kid",
        "id -> mails.id, mail -> by_mail.mail, parent_id -> parent.id",
        {"1": "1", "2": "2", "3": "dangling_reference", "4": "null_reference", "5": "5"},
    ),
    "out of a packed text": (
        "packed: select k.id, split_part(t, '':'', 2)::int as parent_id from kid k cross join lateral string_to_table(k.tags, '','') t where t like ''parent:%''",
        "id -> packed.id, parent_id -> parent.id",
        {"1": "1", "2": "2", "3": "dangling_reference", "4": "dangling_reference", "5": "dangling_reference"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("which", VIEWS)
def test_a_path_over_views(make_project: MakeProject, which: str) -> None:
    views, path, found = VIEWS[which]
    lines = "\n".join(
        f"  {name.strip()}: '{sql.strip()}'" for name, sql in (line.split(":", 1) for line in views.split("\n"))
    )
    made = project(make_project, path, f"views:\n{lines}")
    made.foreseen_run()
    assert parents(made) == found
    assert made.migration.verify().ok
    assert (
        {"public.kid", "public.parent"} >= set(made.migration.plan().source_tables) >= {"public.kid", "public.parent"}
    )
    before = made.migration.plan().mapping.fingerprint
    made.write("parent: {from: parent}", "views: {other: 'select 1 as one'}")
    assert made.migration.plan().mapping.fingerprint != before


FAULTS = [
    ("id -> link.kid_id latest, parent_id -> parent.id", "", "write which column tells the latest row"),
    ("id -> link.kid_id latest nothing, parent_id -> parent.id", "", "has no column 'nothing'"),
    ("zone -> parent.zone majority", "", "a majority is of what rows hand on"),
    ("id -> link.kid_id majority at, parent_id -> parent.id", "", "write `majority` alone"),
    ("id -> link.kid_id latest doc, parent_id -> parent.id", "", "does not take this SQL"),
    ("id -> v.id latest x, x -> parent.id", "views: {v: \"select 1 as id, 2 as x\"}", "has no primary key"),
    ("id -> v.id, x -> parent.id", "views: {v: \"select 1 as id, 2 as id\"}", "two columns are named 'id'"),
    ("id -> v.id, x -> parent.id", "views: {v: selec 1}", "does not take this query"),
    ("id -> link.kid_id, parent_id -> parent.id", "views: {link: select 1 as id}", "has a table 'link' already"),
    ("id -> link.kid_id, parent_id -> parent.id", "views: {a-b: select 1 as id}", "is no name for a view"),
    ("nr* -> parent.id latest nr until nr is null", "", "a climb goes from one row to one"),
]  # fmt: skip


def test_what_cannot_be_picked_is_told(make_project: MakeProject) -> None:
    made = make_project(SOURCE, TARGET)
    for path, views, told in FAULTS:
        made.write(
            f"parent: {{from: parent}}\nkid: {{from: kid, references: {{parent_id: {{to: parent, path: '{path}'}}}}}}",
            views,
        )
        with pytest.raises(MappingError) as found:
            made.migration.plan()
        assert told in str(found.value), (path, views, str(found.value))
