# ruff: noqa: E501
"""The way back of a repair: it is refused where somebody changed a row or something rests on it, names the row, and changes
nothing then; whatever triggers do, target and ledger are in the end as they were before."""

from __future__ import annotations

import pytest
from conftest import MakeProject, Project, uid

from rowcall.errors import RepairRefused, TargetRefused
from rowcall.repair import Effect, Request, Undone

from .generated import hashes

SOURCE_SQL = """
create table customer (id int primary key, name text);
insert into customer select g, 'c' || g from generate_series(1, 10) g;
create table orders (id int primary key, customer_id int, state text);
insert into orders select g, case when g <= 4 then 90 + g % 2 else g % 10 + 1 end, case when g between 5 and 8 then 'odd' else 'open' end
    from generate_series(1, 20) g;
create table note (id int primary key, order_id int);
insert into note select g, g from generate_series(1, 20) g;
"""
TARGET_SQL = """
create type mood as enum ('open', 'shut');
create table customer (id uuid primary key, name text not null, orders int not null default 0);
create table orders (id uuid primary key, customer_id uuid not null references customer, state mood, notes int not null default 0);
create table note (id uuid primary key, order_id uuid not null references orders);
"""
MAPPING = """
customer: {from: customer, columns: {name: name}}
orders: {from: orders, columns: {state: {from: state, convert: enum}}, references: {customer_id: {to: customer, path: customer_id}}}
note: {from: note, references: {order_id: {to: orders, path: order_id}}}
"""
TABLES = ("customer", "orders", "note")
STUB = Request("orders", "dangling_reference", "stub_parent", follow=True)  # 4 orders, 4 notes and 2 customers
ODD = Request("orders", "not_in_enum", "map_values", {"map": {"odd": "open"}})  # 4 orders
NOTES = Request("note", "parent_quarantined", "follow_parent")
# Counts in the parent, as applications do: in a block of its own, which is a savepoint, or without.
COUNTER = """
create function count_{child}() returns trigger language plpgsql as $$
begin
    begin
        if tg_op = 'INSERT' then update {parent} set {counter} = {counter} + 1 where id = new.{column}; return new; end if;
        update {parent} set {counter} = {counter} - 1 where id = old.{column};
    {exception}
    end;
    return old;
end $$;
create trigger counted after insert or delete on {child} for each row execute function count_{child}();
"""


def counters(exception: str) -> str:
    orders = {"child": "orders", "parent": "customer", "column": "customer_id", "counter": "orders"}
    notes = {"child": "note", "parent": "orders", "column": "order_id", "counter": "notes"}
    return "".join(COUNTER.format(**names, exception=exception) for names in (orders, notes))


COUNTERS = counters("exception when division_by_zero then null;")
PLAIN_COUNTERS = counters("")


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    return made(make_project)


def made(make_project: MakeProject, more: str = "", target_sql: str = TARGET_SQL) -> Project:
    """A run over it; `more` is done to the target before."""
    project = make_project(SOURCE_SQL, target_sql + more)
    project.write(MAPPING)
    assert project.run().complete
    return project


def apply(project: Project, request: Request, home: int) -> int:
    effect: Effect = project.migration.healing.apply(request)
    assert effect.rows == home
    assert effect.repair is not None
    return effect.repair


def undo(project: Project, repair: int) -> Undone:
    return project.migration.healing.undo(repair)


def state(project: Project) -> dict[str, str]:
    others = project.target.rows(
        "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
    )
    return hashes(project.target, sorted(name for (name,) in others))


def refused(project: Project, repair: int, *words: str) -> None:
    """Undo refuses, says all of these words, and changes nothing."""
    before = state(project), project.migration.healing.repairs()
    with pytest.raises(RepairRefused) as caught:
        undo(project, repair)
    assert caught.value.repair == repair
    told = str(caught.value)
    assert [word for word in words if word not in told] == [], told
    assert "nothing was" in told
    assert (state(project), project.migration.healing.repairs()) == before


# -- rows that somebody changed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("update orders set notes = notes where id = '{order}'", ("changed", "orders 3")),
        ("update orders set state = 'shut' where id = '{order}'", ("changed", "orders 3")),
        ("delete from note where order_id = '{order}'", ("removed", "note 3")),
        ("delete from note where order_id = '{order}'; delete from orders where id = '{order}'", ("removed", "note 3")),
        ("update customer set name = 'Ann' where name = '(unknown)'", ("changed", "customer made for orders 1, 2")),
        ("update note set order_id = '{other}' where order_id = '{order}'", ("changed", "note 3")),
        (
            "delete from note where order_id = '{order}'; "
            "insert into note select '{note}', '{order}'",
            ("changed", "note 3"),
        ),
    ],
)  # fmt: skip
def test_a_change_made_by_hand_is_kept(project: Project, change: str, words: tuple[str, ...]) -> None:
    repair = apply(project, STUB, 8)
    project.target.execute(change.format(order=uid("orders", 3), other=uid("orders", 12), note=uid("note", 3)))
    refused(project, repair, *words)


def test_a_removed_parent_that_was_made_is_named(make_project: MakeProject) -> None:
    """Where no foreign key keeps it."""
    project = made(make_project, "alter table orders drop constraint orders_customer_id_fkey")
    repair = apply(project, STUB, 8)
    project.target.execute("delete from customer where name = '(unknown)'")
    refused(project, repair, "removed", "customer made for orders 1, 2")


def test_many_changed_rows_are_told_in_short(project: Project) -> None:
    repair = apply(project, STUB, 8)
    project.target.execute("update note set id = id")
    refused(project, repair, "4 rows of public.note", "note 1, 2, 3, 4")


def test_changes_of_other_rows_are_no_hindrance(project: Project) -> None:
    before = state(project)
    repair = apply(project, STUB, 8)
    project.target.execute("insert into customer values (gen_random_uuid(), 'new')")
    project.target.execute(f"update orders set state = 'shut' where id = '{uid('orders', 12)}'")
    undo(project, repair)
    now = state(project)
    assert {name for name in now if now[name] != before[name]} == {"customer", "orders"}


# -- rows of others that refer to those that would go -------------------------------------------------------------------


def test_a_foreign_row_that_refers_to_a_repaired_one(make_project: MakeProject) -> None:
    """Nothing is removed or emptied with it, whatever the foreign key says, in whichever schema."""
    claims = {
        f"{schema}.{action.replace(' ', '_')}": action
        for schema in ("public", "other")
        for action in ("no action", "restrict", "cascade", "set null", "set default")
    }
    more = "create schema other; " + " ".join(
        f"create table {claim} (n int primary key, order_id uuid references orders on delete {action});"
        for claim, action in claims.items()
    )
    project = made(make_project, more)
    repair = apply(project, STUB, 8)
    for claim in claims:
        project.target.execute(f"insert into {claim} values (1, '{uid('orders', 2)}'), (2, null)")
        refused(project, repair, claim, "orders 2")
        rows = project.target.rows(f"select n, order_id from {claim} order by n")
        assert rows == [(1, uid("orders", 2)), (2, None)]
        project.target.execute(f"delete from {claim} where n = 1")
    undo(project, repair)


def test_a_foreign_row_that_refers_to_a_parent_that_was_made(make_project: MakeProject) -> None:
    project = made(make_project, "create table claim (n int, customer_id uuid references customer on delete cascade)")
    repair = apply(project, STUB, 8)
    project.target.execute("insert into claim select 1, id from customer where name = '(unknown)' limit 1")
    refused(project, repair, "claim", "customer made for orders")
    assert project.target.value("select count(*) from claim") == 1


def test_a_row_of_the_run_that_was_pointed_at_a_repaired_one(project: Project) -> None:
    repair = apply(project, STUB, 8)
    project.target.execute(f"update note set order_id = '{uid('orders', 1)}' where id = '{uid('note', 15)}'")
    refused(project, repair, "note", "orders 1")


# -- what builds on it --------------------------------------------------------------------------------------------------


def test_a_later_repair_that_builds_on_it_is_named(project: Project) -> None:
    before = state(project)
    first = apply(project, ODD, 4)
    second = apply(project, NOTES, 4)
    refused(project, first, f"repair {second}", "undo that first", "orders 5, 6, 7, 8")
    undo(project, second)
    undo(project, first)
    assert state(project) == before


def test_so_it_is_without_a_foreign_key(make_project: MakeProject) -> None:
    project = made(make_project, "alter table note drop constraint note_order_id_fkey")
    before = state(project)
    first, second = apply(project, ODD, 4), apply(project, NOTES, 4)
    refused(project, first, f"repair {second}", "order_id", "orders 5, 6, 7, 8")
    undo(project, second)
    undo(project, first)
    assert state(project) == before


def test_a_repair_that_uses_a_parent_which_it_made_is_named(project: Project) -> None:
    before = state(project)
    one = Request("orders", "dangling_reference", "stub_parent", {"per": "all"}, keys=("1",))
    rest = Request("orders", "dangling_reference", "stub_parent", {"per": "all"})
    first, second = apply(project, one, 1), apply(project, rest, 3)
    assert project.target.value("select count(*) from customer") == 11
    refused(project, first, f"repair {second}")
    undo(project, second)
    undo(project, first)
    assert state(project) == before


def test_a_decision_about_a_row_that_was_decided_before(project: Project) -> None:
    before = state(project)
    healing = project.migration.healing
    first = healing.dispose("orders", "not_in_enum", "deferred", "wait").repair
    deferred = state(project)
    second = apply(project, ODD, 4)
    assert first is not None
    refused(project, first, f"repair {second}", "orders 5")
    undo(project, second)
    assert state(project) == deferred
    undo(project, first)
    assert state(project) == before


# -- triggers -----------------------------------------------------------------------------------------------------------


def test_counters_of_parents_are_no_hindrance(make_project: MakeProject) -> None:
    """They count what comes and what goes, in rows of the run, of other repairs, and of this one."""
    project = made(make_project, COUNTERS)
    before = state(project)
    first, second = apply(project, ODD, 4), apply(project, NOTES, 4)
    third = apply(project, STUB, 8)
    assert project.migration.verify().ok
    counted = "select count(*) from orders o where notes <> (select count(*) from note n where n.order_id = o.id)"
    assert project.target.value(counted) == 0
    refused(project, first, f"repair {second}")
    undo(project, second)
    undo(project, third)
    undo(project, first)
    assert state(project) == before
    again = apply(project, ODD, 4)
    undo(project, again)
    assert state(project) == before


def test_a_change_by_hand_is_seen_among_counters(make_project: MakeProject) -> None:
    project = made(make_project, COUNTERS)
    repair = apply(project, STUB, 8)
    project.target.execute(f"update orders set state = 'shut' where id = '{uid('orders', 2)}'")
    refused(project, repair, "orders 2")


SWALLOWS = """
create function swallow() returns trigger language plpgsql as $$ begin return null; end $$;
create trigger swallowed before {event} on {table} for each row when ({row}.id = '{id}') execute function swallow();
"""


def test_a_row_that_a_trigger_swallows_stays_in_quarantine(make_project: MakeProject) -> None:
    """Its siblings come home; and they go again."""
    more = SWALLOWS.format(event="insert", table="orders", row="new", id=uid("orders", 6))
    project = made(make_project, more)
    before = state(project)
    effect = project.migration.healing.apply(ODD)
    assert (effect.rows, dict(effect.left)) == (3, {"refused_by_target": 1})
    assert project.migration.verify().ok
    assert effect.repair is not None
    undo(project, effect.repair)
    assert state(project) == before


def test_a_row_that_a_trigger_rekeys_stays_in_quarantine(make_project: MakeProject) -> None:
    more = f"""
create function rekey() returns trigger language plpgsql as $$ begin new.id := gen_random_uuid(); return new; end $$;
create trigger rekeyed before insert on orders for each row when (new.id = '{uid("orders", 6)}') execute function rekey();"""
    project = made(make_project, more)
    before = state(project)
    effect = project.migration.healing.apply(ODD)
    assert (effect.rows, dict(effect.left)) == (3, {"refused_by_target": 1})
    assert project.migration.verify().ok
    assert effect.repair is not None
    undo(project, effect.repair)
    assert state(project) == before


@pytest.mark.parametrize("table", ["orders", "note"])
def test_a_trigger_that_keeps_a_row_from_going(make_project: MakeProject, table: str) -> None:
    """What does not go cannot be undone: all or nothing."""
    project = made(make_project, SWALLOWS.format(event="delete", table=table, row="old", id=uid(table, 3)))
    repair = apply(project, STUB, 8)
    refused(project, repair, f"{table} 3")


def test_a_made_parent_that_a_trigger_keeps_from_going(make_project: MakeProject) -> None:
    more = """
create function swallow() returns trigger language plpgsql as $$ begin return null; end $$;
create trigger swallowed before delete on customer for each row when (old.name = '(unknown)') execute function swallow();"""
    project = made(make_project, more)
    repair = apply(project, STUB, 8)
    refused(project, repair, "customer made for orders 1, 2")


def test_a_trigger_that_forbids_to_remove_rows(make_project: MakeProject) -> None:
    more = """
create function forbid() returns trigger language plpgsql as $$ begin raise exception 'kept'; end $$;
create trigger forbidden before delete on note for each row execute function forbid();"""
    project = made(make_project, more)
    repair = apply(project, STUB, 8)
    before = state(project)
    with pytest.raises(TargetRefused):
        undo(project, repair)
    assert state(project) == before


# -- the whole run ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("triggers", ["", PLAIN_COUNTERS], ids=["bare", "counters"])
def test_undo_of_the_run_with_repairs_standing(make_project: MakeProject, triggers: str) -> None:
    project = make_project(SOURCE_SQL, TARGET_SQL + triggers)
    project.write(MAPPING)
    project.target.execute("insert into customer values (gen_random_uuid(), 'before', 0)")
    rows = "select (select json_agg(c order by id) from customer c)::text, (select count(*) from orders), (select count(*) from note)"
    before = project.target.rows(rows)
    project.run()
    first = apply(project, STUB, 8)
    apply(project, ODD, 4)
    undo(project, first)
    apply(project, Request("orders", "dangling_reference", "stub_parent", {"per": "row"}), 4)
    apply(project, NOTES, 8)
    project.migration.undo()
    assert project.target.rows(rows) == before
    assert not project.target.value("select to_regnamespace('rowcall') is not null")
    project.run()


@pytest.mark.parametrize("changed", [3, 15])
def test_undo_of_the_run_is_refused_as_a_whole(project: Project, changed: int) -> None:
    """Whether a row of a repair or one of the run was changed: the repairs stand, too."""
    apply(project, STUB, 8)
    apply(project, ODD, 4)
    project.target.execute(f"update note set order_id = order_id where id = '{uid('note', changed)}'")
    before = state(project), project.migration.healing.repairs()
    with pytest.raises((RepairRefused, TargetRefused), match="changed"):
        project.migration.undo()
    assert (state(project), project.migration.healing.repairs()) == before


def test_undo_of_the_run_leaves_rows_of_others_alone(make_project: MakeProject) -> None:
    project = made(make_project, "create table claim (n int, order_id uuid references orders on delete cascade)")
    apply(project, STUB, 8)
    apply(project, ODD, 4)
    project.target.execute(f"insert into claim values (1, '{uid('orders', 2)}')")
    before = state(project), project.migration.healing.repairs()
    with pytest.raises((RepairRefused, TargetRefused), match="claim"):
        project.migration.undo()
    assert (state(project), project.migration.healing.repairs()) == before
