# ruff: noqa: E501
"""Entities that need themselves or each other: whole groups settle at once, and whoever needs a lost row falls with it."""

from __future__ import annotations

import pytest
from conftest import MakeProject, Project, uid

TREE_SOURCE = """
create table node (id int primary key, parent_id int, size text);
insert into node select g, nullif(g / 2, 0), g::text from generate_series(1, 63) g;
update node set size = 'big' where id = 3;
"""
TREE_MAPPING = """
node:
  from: node
  columns: {{size: {{from: size, convert: int}}}}
  references: {{parent_id: {{to: node, path: parent_id{missing}}}}}
"""


def below(number: int, last: int = 63) -> set[str]:
    """A node of the binary tree and everything below it."""
    found = [number]
    for node in found:
        found += [n for n in (2 * node, 2 * node + 1) if n <= last]
    return {str(n) for n in found}


def tree(make_project: MakeProject, more_target: str = "", missing: str = "") -> Project:
    project = make_project(
        TREE_SOURCE,
        f"create table node (id uuid primary key, parent_id uuid constraint up references node, size int {more_target})",
    )
    project.write(TREE_MAPPING.format(missing=missing))
    return project


def sound(project: Project, entity: str) -> set[str]:
    return {key for key, fate in project.fates(entity).items() if fate == "migrated"}


def test_a_lost_row_takes_its_whole_branch(make_project: MakeProject, small_chunks: None) -> None:
    project = tree(make_project)
    project.foreseen_run()
    everybody = {str(n) for n in range(1, 64)}
    assert sound(project, "node") == everybody - below(3)
    fates = project.fates("node")
    assert fates["3"] == "not_convertible"
    assert {fates[k] for k in below(3) - {"3"}} == {"parent_quarantined"}
    assert set(project.roots("node").values()) == {("node", "3")}
    assert project.target.rows(
        "select parent_entity, parent_key from rowcall.quarantined_row where source_key = '13'"
    ) == [("node", "6")]
    assert project.values("node", "parent_id")["5"] == str(uid("node", 2))
    assert project.migration.verify().ok


def test_a_row_that_the_target_refuses_takes_its_branch_too(make_project: MakeProject, small_chunks: None) -> None:
    project = tree(make_project, ", constraint sane check (size not in (2, 40))")
    project.foreseen_run(matched=False)
    everybody = {str(n) for n in range(1, 64)}
    assert sound(project, "node") == everybody - below(3) - below(2)
    fates, roots = project.fates("node"), project.roots("node")
    assert fates["2"] == "refused_by_target"
    assert project.evidence("node")["2"] == "23514 sane"
    assert roots["5"] == ("node", "2")
    # Row 40 lies below row 2: its own defect shows only once its parent is in.
    assert fates["40"] in ("refused_by_target", "parent_quarantined")
    assert project.migration.verify().ok


def test_a_row_that_a_trigger_swallows_takes_its_branch_too(make_project: MakeProject) -> None:
    project = tree(make_project)
    project.target.execute(
        "create function swallow() returns trigger language plpgsql as "
        "$$ begin if new.size = 5 then return null; end if; return new; end $$;"
        "create trigger swallow before insert on node for each row execute function swallow()"
    )
    project.foreseen_run(matched=False)
    assert sound(project, "node") == {str(n) for n in range(1, 64)} - below(3) - below(5)
    assert project.fates("node")["5"] == "refused_by_target"
    assert project.roots("node")["10"] == ("node", "5")
    assert project.migration.verify().ok


def test_an_optional_parent_may_be_lost_where_the_mapping_says_so(make_project: MakeProject) -> None:
    project = tree(make_project, missing=", missing: [parent_quarantined]")
    project.foreseen_run()
    assert sound(project, "node") == {str(n) for n in range(1, 64)} - {"3"}
    assert project.values("node", "parent_id")["6"] is None
    assert project.values("node", "parent_id")["12"] == str(uid("node", 6))
    noted = project.target.rows("select source_key, code, value from rowcall.nulled_reference order by 1")
    assert noted == [("6", "parent_quarantined", "3"), ("7", "parent_quarantined", "3")]
    assert project.migration.verify().ok


@pytest.mark.parametrize("deferrable", ["", "deferrable initially deferred"])
def test_rows_in_a_sound_circle_migrate(make_project: MakeProject, small_chunks: None, deferrable: str) -> None:
    """0 -> 1 -> ... -> 39 -> 0, and 100 -> 100: required, and the target's keys need not be deferrable."""
    project = make_project(
        "create table node (id int primary key, next_id int); insert into node select g, (g + 1) % 40 from generate_series(0, 39) g;"
        "insert into node values (100, 100), (101, 102), (102, 103), (103, 101), (104, 105), (105, 999)",
        f"create table node (id uuid primary key, next_id uuid not null constraint onward references node {deferrable})",
    )
    project.write("node: {from: node, where: {kept: id <> 103}, references: {next_id: {to: node, path: next_id}}}")
    project.foreseen_run()
    fates = project.fates("node")
    assert sound(project, "node") == {str(n) for n in range(40)} | {"100"}
    assert fates["103"] == "kept"
    assert fates["102"] == "parent_excluded"
    assert fates["101"] == "parent_quarantined"
    assert fates["105"] == "dangling_reference"
    assert fates["104"] == "parent_quarantined"
    assert project.roots("node")["101"] == ("node", "102")
    assert project.migration.verify().ok


SHOP_SOURCE = """
create table staff (id int primary key, store_id int, name text);
create table store (id int primary key, manager_id int);
insert into staff select g, g / 3 + 1, 'n' || g from generate_series(0, 29) g;
insert into store select g, (g - 1) * 3 from generate_series(1, 10) g;
update store set manager_id = 777 where id = 4;
create table sale (id int primary key, staff_id int);
insert into sale select g, g % 30 from generate_series(1, 90) g;
"""
SHOP_TARGET = """
create table staff (id uuid primary key, store_id uuid not null, name text, constraint anonymous check (name <> 'n19'));
create table store (id uuid primary key, manager_id uuid not null references staff);
alter table staff add constraint staff_store foreign key (store_id) references store;
create table sale (id uuid primary key, staff_id uuid not null references staff);
"""
SHOP_MAPPING = """
staff: {from: staff, columns: {name: name}, references: {store_id: {to: store, path: store_id}}}
store: {from: store, references: {manager_id: {to: staff, path: manager_id}}}
sale: {from: sale, references: {staff_id: {to: staff, path: staff_id}}}
"""


def test_two_tables_that_need_each_other(make_project: MakeProject, small_chunks: None) -> None:
    """Store 4 has no manager, so its staff (9, 10, 11) and their sales stay; 19 is refused, and nobody needs it but its sales."""
    project = make_project(SHOP_SOURCE, SHOP_TARGET)
    project.write(SHOP_MAPPING)
    project.foreseen_run(matched=False)
    assert sound(project, "store") == {str(n) for n in range(1, 11)} - {"4"}
    assert sound(project, "staff") == {str(n) for n in range(30)} - {"9", "10", "11", "19"}
    assert project.fates("staff")["19"] == "refused_by_target"
    assert project.roots("staff") == {**dict.fromkeys(("9", "10", "11"), ("store", "4")), "19": ("staff", "19")}
    assert set(project.roots("sale").values()) == {("store", "4"), ("staff", "19")}
    assert len(sound(project, "sale")) == 90 - 4 * 3
    assert project.migration.verify().ok


def test_a_refused_manager_closes_the_store(make_project: MakeProject) -> None:
    project = make_project(SHOP_SOURCE, SHOP_TARGET.replace("'n19'", "'n18'"))
    project.write(SHOP_MAPPING)
    project.foreseen_run(matched=False)
    assert sound(project, "store") == {str(n) for n in range(1, 11)} - {"4", "7"}
    assert sound(project, "staff") == {str(n) for n in range(30)} - {"9", "10", "11", "18", "19", "20"}
    roots = project.roots("staff")
    assert {roots[k] for k in ("18", "19", "20")} == {("staff", "18")}
    assert project.roots("store")["7"] == ("staff", "18")
    # 18 is kept back by its own store, too, which fell by it: what the target said is its cause.
    assert project.codes("staff", "18") == ["refused_by_target", "parent_quarantined"]
    assert project.fates("staff")["18"] == "refused_by_target"
    assert project.migration.verify().ok


def test_a_duplicate_in_a_group_takes_its_children(make_project: MakeProject, small_chunks: None) -> None:
    project = make_project(
        "create table node (id int primary key, parent_id int, code text);"
        "insert into node select g, nullif(g / 2, 0), 'c' || g from generate_series(1, 63) g; update node set code = 'c4' where id = 9",
        "create table node (id uuid primary key, parent_id uuid references node, code text unique)",
    )
    project.write("node: {from: node, columns: {code: code}, references: {parent_id: {to: node, path: parent_id}}}")
    project.foreseen_run()
    assert sound(project, "node") == {str(n) for n in range(1, 64)} - below(9)
    assert project.fates("node")["9"] == "duplicate_key"
    assert project.roots("node")["19"] == ("node", "9")


def test_a_victim_does_not_use_up_a_value(make_project: MakeProject) -> None:
    """The lowest key stays, of those that migrate: row 2 falls with its parent, so row 3 has the code for itself."""
    project = make_project(
        "create table node (id int primary key, parent_id int, code text);"
        "insert into node values (1, 999, 'a'), (2, 1, 'b'), (3, null, 'b'), (4, null, 'b')",
        "create table node (id uuid primary key, parent_id uuid references node, code text unique)",
    )
    project.write("node: {from: node, columns: {code: code}, references: {parent_id: {to: node, path: parent_id}}}")
    project.foreseen_run()
    assert project.fates("node") == {
        "1": "dangling_reference", "2": "parent_quarantined", "3": "migrated", "4": "duplicate_key"
    }  # fmt: skip
