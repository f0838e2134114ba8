# ruff: noqa: E501
"""What a reviewer found by experiment: triggers that touch other rows or ids, keys that come twice, odd columns in a cycle."""

from __future__ import annotations

import resource
from typing import Any

import psycopg
import pytest
from conftest import MakeProject, Project, set_chunk_rows

from rowcall.errors import Interrupted, SourceUnreadable, TargetRefused
from rowcall.move.stage import Stage
from rowcall.move.worker import Worker
from rowcall.postgres.copy import insert

ITEM = (
    "create table item (id int primary key, v text); insert into item select g, 'v' || g from generate_series(1, 30) g;"
)
ITEM_TARGET = "create table item (id uuid primary key, v text);"
ITEMS = "item: {from: item, columns: {v: v}}"

SHOP = """
create table shop (id int primary key); insert into shop select generate_series(1, 3);
create table sale (id int primary key, shop int); insert into sale select g, 1 + g % 3 from generate_series(1, 30) g;
"""
SHOP_TARGET = """
create table shop (id uuid primary key, sales int not null default 0);
create table sale (id uuid primary key, shop uuid references shop);
"""
SALES = "shop: {from: shop}\nsale: {from: sale, references: {shop: {to: shop, path: shop}}}"
COUNTED = "update shop set sales = sales {sign} 1 where id = {row}.shop;"


def trigger(name: str, when: str, table: str, body: str) -> str:
    return (
        f"create function {name}() returns trigger language plpgsql as $$ begin {body} return coalesce(new, old); end $$;"
        f"create trigger {name} {when} on {table} for each row execute function {name}();"
    )


def guarded(body: str) -> str:
    """In a block that catches: each row's own savepoint."""
    return f"begin {body} exception when division_by_zero then null; end;"


def counters(wrap: bool) -> str:
    bodies = {"insert": COUNTED.format(sign="+", row="new"), "delete": COUNTED.format(sign="-", row="old")}
    return "".join(
        trigger(f"count_{event}", f"after {event}", "sale", guarded(body) if wrap and event == "insert" else body)
        for event, body in bodies.items()
    )


def left(project: Project, *tables: str) -> list[int]:
    return [project.target.value(f"select count(*) from {table}") for table in tables]


@pytest.fixture(params=[False, True], ids=["plain", "in a savepoint"])
def counted(request: pytest.FixtureRequest, make_project: MakeProject, small_chunks: None) -> Project:
    """Children whose triggers keep a counter in their parent."""
    project = make_project(SHOP, SHOP_TARGET + counters(request.param))
    project.write(SALES)
    return project


def test_rows_that_a_trigger_of_their_children_changed_are_ours_to_take_back(counted: Project) -> None:
    counted.foreseen_run()
    assert counted.target.rows("select distinct sales from shop") == [(10,)]
    assert counted.migration.undo() == {"shop": 3, "sale": 30}
    assert left(counted, "shop", "sale") == [0, 0]


def test_going_on_takes_back_rows_that_triggers_changed(counted: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    settle = Worker.settle
    done: list[int] = []

    def fail_late(self: Worker, *given: object) -> object:
        if len(done) == 3:
            raise Interrupted("stop")
        done.append(1)
        return settle(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Worker, "settle", fail_late)
    with pytest.raises(Interrupted):
        counted.run()
    monkeypatch.setattr(Worker, "settle", settle)
    counted.source.execute("update shop set id = id where id = 1")
    assert counted.run().complete
    assert counted.target.rows("select distinct sales from shop") == [(10,)]
    counted.run(restart=True)
    assert counted.migration.undo() == {"shop": 3, "sale": 30}


def test_what_somebody_changed_is_refused_and_no_key_is_told(counted: Project) -> None:
    counted.run()
    counted.target.execute("update sale set shop = shop where id = (select min(id::text) from sale)::uuid")
    counted.target.execute("update shop set sales = 7")
    with pytest.raises(TargetRefused) as refused:
        counted.migration.undo()
    assert "shop: 3 rows; sale: 1 rows" in refused.value.message
    shown = [counted.target.rows(f"{query};") for query in refused.value.hint.partition("target: ")[2].split(";")[:2]]
    assert sorted(shown[0]) == [("1",), ("2",), ("3",)]
    assert len(shown[1]) == 1
    assert left(counted, "shop", "sale") == [3, 30]


def test_what_somebody_changes_while_the_children_arrive_is_not_ours(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_chunk_rows(monkeypatch, 10)
    project = make_project(SHOP, SHOP_TARGET + trigger("watch", "after insert", "sale", "perform 1;"))
    project.write(SALES)
    settle = Worker.settle

    def with_company(self: Worker, *given: object) -> object:
        project.target.execute("update shop set sales = 5 where id = (select min(id::text) from shop)::uuid")
        return settle(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Worker, "settle", with_company)
    project.run()
    assert project.target.value("select count(*) from sale join shop on shop.id = sale.shop where sales = 5") == 10
    with pytest.raises(TargetRefused, match="shop: 1 rows"):
        project.migration.undo()


def test_a_trigger_that_changes_its_own_row_in_a_savepoint(make_project: MakeProject) -> None:
    change = guarded("update item set v = v || '!' where id = new.id;")
    project = make_project(ITEM, ITEM_TARGET + trigger("shout", "after insert", "item", change))
    project.write(ITEMS)
    project.foreseen_run()
    assert project.migration.undo() == {"item": 30}


def test_rows_whose_id_a_trigger_changes_are_quarantined(make_project: MakeProject) -> None:
    change = "if new.v in ('v3', 'v17', 'v18') then new.id = gen_random_uuid(); end if;"
    project = make_project(ITEM, ITEM_TARGET + trigger("rekey", "before insert", "item", change))
    project.write(ITEMS)
    project.foreseen_run(matched=False)
    assert project.evidence("item") == dict.fromkeys(("3", "17", "18"), "a trigger changed its id")
    assert left(project, "item") == [27]
    assert project.migration.verify().ok
    assert project.migration.undo() == {"item": 27}


def test_in_a_cycle_too_with_their_branches(make_project: MakeProject) -> None:
    change = "if new.n = 2 then new.id = gen_random_uuid(); end if;"
    project = make_project(
        "create table node (id int primary key, up int); insert into node values (1, null), (2, 1), (3, 2), (4, 1);",
        "create table node (id uuid primary key, n int, up uuid references node);"
        + trigger("rekey", "before insert", "node", change),
    )
    project.write("node: {from: node, columns: {n: id}, references: {up: {to: node, path: up}}}")
    project.run()
    assert project.fates("node") == {
        "1": "migrated",
        "2": "refused_by_target",
        "3": "parent_quarantined",
        "4": "migrated",
    }
    assert project.evidence("node")["2"] == "a trigger changed its id"
    assert project.migration.undo() == {"node": 2}


def test_a_trigger_that_removes_earlier_rows_ends_in_an_error_of_ours(make_project: MakeProject) -> None:
    body = "delete from item where id <> new.id;"
    project = make_project(ITEM, ITEM_TARGET + trigger("only_one", "after insert", "item", body))
    project.write(ITEMS)
    with pytest.raises(TargetRefused, match="none of them alone"):
        project.run()
    assert left(project, "item") == [0]


def test_a_key_that_comes_twice_is_told(make_project: MakeProject) -> None:
    project = make_project(
        "create table item (id int primary key, v text); create table old_item () inherits (item);"
        "insert into item values (1, 'a'), (2, 'b'); insert into old_item values (2, 'c');",
        ITEM_TARGET,
    )
    project.write(ITEMS)
    with pytest.raises(SourceUnreadable, match="a key comes twice"):
        project.run()


def test_a_cycle_fills_identity_columns_and_columns_with_a_percent_sign(make_project: MakeProject) -> None:
    project = make_project(
        'create table node (id int primary key, up int, "100%s" int); insert into node values (1, null, 5), (2, 1, -5), (3, 1, 6)',
        'create table node (id uuid primary key, old int generated always as identity, "100%s" int check ("100%s" > 0), up uuid references node)',
    )
    project.write("node: {from: node, columns: {old: id, '100%s': '100%s'}, references: {up: {to: node, path: up}}}")
    project.foreseen_run(matched=False)
    assert project.fates("node") == {"1": "migrated", "2": "refused_by_target", "3": "migrated"}
    assert project.values("node", "old") == {"1": "1", "3": "3"}


def test_a_cycle_tries_again_after_a_deadlock(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(
        "create table node (id int primary key, up int); insert into node values (1, null), (2, 1)",
        "create table node (id uuid primary key, up uuid references node)",
    )
    project.write("node: {from: node, references: {up: {to: node, path: up}}}")
    flush = Stage.flush
    met: list[int] = []

    def meet_a_deadlock(self: Stage) -> None:
        flush(self)
        if len(met) < 2:
            met.append(1)
            insert(self.session, "do $$ begin raise deadlock_detected; end $$", "public.node")

    monkeypatch.setattr(Stage, "flush", meet_a_deadlock)
    project.foreseen_run()
    assert len(met) == 2


def test_a_chunk_of_wide_quarantined_rows_stays_out_of_memory(make_project: MakeProject) -> None:
    project = make_project(
        "create table item (id int primary key, w text, v text); alter table item alter w set storage external;"
        "insert into item select g, repeat(md5(g::text), 1500), null from generate_series(1, 6000) g",
        "create table item (id uuid primary key, v text not null);",
    )
    project.write(ITEMS)
    project.check()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    project.run()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    assert project.target.value("select count(payload) from rowcall.quarantine") == 6000
    assert grown < 200, "MB more for 290 MB of payloads"


def test_payloads_of_composite_keys_come_from_their_chunk(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_chunk_rows(monkeypatch, 10)
    project = make_project(
        "create table item (a int, b text, v text, primary key (a, b));"
        "insert into item select g, 'b' || g, nullif(g % 2, 0)::text from generate_series(1, 40) g; analyze item",
        "create table item (id uuid primary key, v text not null);",
    )
    project.write(ITEMS)
    project.foreseen_run()
    payloads = project.target.rows("select source_key, payload->>'b' from rowcall.quarantine")
    assert len(payloads) == 20
    assert all(f'"{b}"' in key for key, b in payloads)


def test_rows_refused_without_a_line_are_found_in_few_tries(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(
        "create table item (id int primary key, n int); insert into item select g, g from generate_series(1, 600) g",
        "create table known (n int primary key); insert into known select generate_series(1, 200);"
        "create table item (id uuid primary key, n int references known)",
    )
    project.write("item: {from: item, columns: {n: n}}")
    tries: list[bool] = []
    copy: Any = psycopg.Cursor.copy

    def counting(self: Any, statement: bytes, *more: Any) -> Any:
        tries.append(b'"public"."item"' in statement)
        return copy(self, statement, *more)

    monkeypatch.setattr(psycopg.Cursor, "copy", counting)
    project.foreseen_run(matched=False)
    assert list(project.fates("item").values()).count("refused_by_target") == 400
    assert sum(tries) < 450
