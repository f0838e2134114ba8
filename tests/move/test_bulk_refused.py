"""Rows that a key or an index does not take, as it is built behind a bulk load: they are quarantined, with what needs them."""

from __future__ import annotations

import pytest
from conftest import MakeProject, Project, set_chunk_rows

from rowcall.errors import TargetRefused
from rowcall.ledger import KeyBook
from rowcall.progress import OnProgress, Progress

from .test_bulk import ITEMS, TARGET, names

CHILDREN = "; create table child (id int primary key, item_id int); insert into child select g, g from generate_series(1, 400) g"
REFUSED: dict[str, tuple[str, str, set[str], str]] = {
    "partial unique": (
        "update item set n = 0 where id in (10, 11, 12, 399); update item set name = 'out' where id = 12",
        TARGET + "create unique index once on item (n) where name <> 'out';", {"11", "399"}, "23505 once",
    ),
    "unique expression": (
        "update item set name = upper(name) where id > 390; update item set name = 'N7' where id = 300",
        TARGET + "create unique index once on item (lower(name));", {"300"}, "23505 once",
    ),
    "nulls not distinct": (
        "update item set n = null where id in (5, 6)",
        TARGET + "create unique index once on item ((n + 0)) nulls not distinct;", {"6"}, "23505 once",
    ),
    "foreign key": (
        "update item set n = 1000 where id = 44",
        "create table lookup (n int primary key); insert into lookup select generate_series(1, 400);"
        "create table item (id uuid primary key, n int constraint known references lookup, name text);", {"44"}, "23503 known",
    ),
    "an expression that fails on a row": (
        "update item set n = 0 where id in (3, 250)",
        TARGET + "create index halves on item ((100 / n)) where name like 'n%';", {"3", "250"}, "22012",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("load", ["auto", "live"])
def test_rows_that_a_key_does_not_take_are_quarantined_with_their_children(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, name: str, load: str
) -> None:
    set_chunk_rows(monkeypatch, 100)
    damage, target, guilty, evidence = REFUSED[name]
    project = make_project(
        f"{ITEMS}{CHILDREN}; {damage}",
        f"{target} create table child (id uuid primary key, item_id uuid not null references item);",
    )
    project.write(
        "item: {from: item, columns: {n: n, name: name}}\n"
        "child: {from: child, references: {item_id: {to: item, path: item_id}}}",
        f"load: {load}\nworkers: 1",
    )
    result = project.foreseen_run(matched=False)
    assert {k for k, fate in project.fates("item").items() if fate == "refused_by_target"} == guilty
    assert set(project.evidence("item").values()) == {evidence}
    assert {k for k, fate in project.fates("child").items() if fate == "parent_quarantined"} == guilty
    assert project.roots("child") == {k: ("item", k) for k in guilty}
    assert project.target.value("select payload->>'id' from rowcall.quarantine where entity = 'item' limit 1") in guilty
    assert result.entities[0].counts.migrated == 400 - len(guilty) == project.target.value("select count(*) from item")
    assert project.migration.verify().ok
    project.migration.undo()
    assert project.target.value("select count(*) from item") == 0


def test_two_keys_that_do_not_take_the_same_row(make_project: MakeProject) -> None:
    """The second one finds it gone."""
    project = make_project(
        ITEMS + "; update item set n = 7, name = 'N7' where id = 300",
        TARGET + "create unique index by_name on item (lower(name)); create unique index by_n on item ((n + 0));",
    )
    project.write("item: {from: item, columns: {n: n, name: name}}")
    assert project.run().totals.quarantined == 1
    assert project.fates("item")["300"] == "refused_by_target"
    assert not KeyBook(project.target).missing()
    assert project.migration.verify().ok


def test_where_triggers_fire_whatever_refuses_rows_stays(make_project: MakeProject) -> None:
    project = make_project(
        ITEMS + "; update item set n = 1 where id = 2",
        f"{TARGET} create table log (n int); create index by_name on item (name); create unique index once on item ((n + 0));"
        "create function note() returns trigger language plpgsql as $$ begin insert into log values (new.n); return new; end $$;"
        "create trigger note after insert on item for each row execute function note();",
    )
    project.write("item: {from: item, columns: {n: n, name: name}}")
    (load,) = project.migration.plan().as_json()["loads"]
    assert load["taken"] == ["by_name"]
    project.foreseen_run(matched=False)
    assert project.fates("item")["2"] == "refused_by_target"
    assert project.target.value("select count(*) from log") == 399


def meddling(project: Project, statement: str) -> OnProgress:
    """Somebody else's statement at the target, once, while the first rows are in and the keys are away."""
    statements = [statement]

    def meddle(progress: Progress) -> None:
        if progress.rows and statements:
            project.target.execute(statements.pop())

    return meddle


def test_rows_of_others_in_a_keys_way_stop_the_run_in_words(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody writes into the table while its keys are away, twice the same value: none of these rows is the run's."""
    set_chunk_rows(monkeypatch, 100)
    project = make_project(ITEMS, TARGET + "create unique index once on item (lower(name));")
    project.write("item: {from: item, columns: {n: n, name: name}}")
    meddle = meddling(project, "insert into item values (gen_random_uuid(), 1, 'X'), (gen_random_uuid(), 2, 'x')")
    with pytest.raises(TargetRefused, match="once does not take") as caught:
        project.run(on_progress=meddle)
    assert "rowcall run" in caught.value.hint
    assert KeyBook(project.target).missing()
    project.target.execute("delete from item where name in ('X', 'x')")
    assert project.run().complete
    assert not KeyBook(project.target).missing()
    assert names(project, "item") == {"item_pkey", "once"}


def test_a_row_of_others_stays_and_ours_is_quarantined(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_chunk_rows(monkeypatch, 100)
    project = make_project(ITEMS, TARGET + "create unique index once on item (lower(name));")
    project.write("item: {from: item, columns: {n: n, name: name}}")
    meddle = meddling(project, "insert into item values (gen_random_uuid(), 1, 'N399')")
    assert project.run(on_progress=meddle).complete
    assert project.fates("item")["399"] == "refused_by_target"
    assert project.target.value("select count(*) from item where name = 'N399'") == 1
