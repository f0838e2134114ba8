"""stub_parent: default parents, marked for ever; how many of them, and how they are filled."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Project, uid

from repair.cases import A_CUSTOMER
from repair.world import apply, preview, refused, row

CAUSE = "shops/dangling_reference"  # 14 and 16 name customer 99, 15 names 98


def parents(project: Project) -> dict[str, str]:
    return {key: str(row(project, "shops", key)["customer_id"]) for key in ("14", "15", "16")}


@pytest.mark.parametrize(("per", "created"), [("parent", 2), ("row", 3), ("all", 1)])
def test_per(world: Project, per: str, created: int) -> None:
    effect = apply(world, CAUSE, "stub_parent", per=per, values=A_CUSTOMER)
    assert (effect.created, effect.home) == (created, {"shops": 3})
    found = parents(world)
    assert len(set(found.values())) == created
    assert (found["14"] == found["16"]) is (per != "row")
    marked = world.target.rows(
        "select target_table, target_id::text, entity, for_entity from rowcall.synthetic_row where version is not null"
    )
    assert {id_ for _, id_, *_ in marked} == set(found.values())
    assert {(entity, child) for _, _, entity, child in marked} == {("customers", "shops")}
    strange = "select count(*) from rowcall.settlements where target_id::text = any(%s)"
    assert world.target.value(strange, [list(found.values())]) == 0  # no source row has that line


def test_the_same_default_parent_serves_a_later_repair(world: Project) -> None:
    first = apply(world, CAUSE, "stub_parent", keys=("14",), values=A_CUSTOMER)
    second = apply(world, CAUSE, "stub_parent", values=A_CUSTOMER)
    assert (first.created, second.created) == (1, 1)
    assert parents(world)["14"] == parents(world)["16"]


def test_values_by_constant_sql_and_path(world: Project) -> None:
    """A path leads from the row for which the parent is made; texts that nothing fills are marked as unknown."""
    values = {
        "shop_id": {"to": "shops", "path": "type_id -> shop.id"},
        "title": {"sql": "'of ' || name"},
        "amount": 1.5,
    }
    missing = preview(world, "events/cyclic_path", "stub_parent", values=values)
    assert dict(missing.refused) == {"dangling_reference": 2}  # no shop has the number of a type
    values["shop_id"] = {"to": "shops", "path": "object_id -> shelf.id, ticket_id -> ticket.id, shop_id -> shop.id"}
    nothing = preview(world, "events/cyclic_path", "stub_parent", values=values)
    assert dict(nothing.refused) == {"null_reference": 2}
    values["shop_id"] = {"value": str(uid("shops", 10))}
    assert apply(world, "events/cyclic_path", "stub_parent", values=values).home == {"events": 2}
    made = world.target.rows(
        "select t.title, t.amount::text, t.shop_id from tickets t join rowcall.synthetic_row s on s.target_id = t.id order by 1"
    )
    assert made == [("of Harrier", "1.50", uid("shops", 10)), ("of Hawk", "1.50", uid("shops", 10))]
    plain = apply(world, CAUSE, "stub_parent", values=A_CUSTOMER)
    assert plain.created == 2
    assert set(world.target.rows("select name, since from customers where name like '(%%'")) == {("(unknown)", 7)}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"level": {"sql": "name", "convert": "enum"}}, "not_in_enum"),
        ({"region_id": {"value": str(uid("regions", "nowhere"))}}, "refused_by_target"),
        ({"email": "quince@x"}, "duplicate_key"),
        ({"name": {"sql": "nullif(name, name)"}}, "null_in_required"),
    ],
)
def test_a_parent_that_the_target_does_not_take(pristine: Project, change: dict[str, Any], code: str) -> None:
    """Its rows stay as they are, and the repair says why."""
    effect = preview(pristine, CAUSE, "stub_parent", values={**A_CUSTOMER, **change})
    assert dict(effect.refused) == {code: 2}
    assert (effect.created, effect.amended, effect.rows, effect.unhealed) == (0, 0, 0, 3)


def test_a_parent_of_the_same_table(pristine: Project) -> None:
    effect = preview(pristine, "nodes/dangling_reference", "stub_parent", per="all")
    assert (effect.created, effect.home, dict(effect.victims)) == (1, {"nodes": 2}, {"nodes": 2})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "needs `values` for public.customers: region_id, level"),
        ({"values": {"level": "basic"}}, "region_id"),
        ({"values": {**A_CUSTOMER, "colour": "red"}}, "colour"),
        ({"values": {**A_CUSTOMER, "name": {"sql": "no_column"}}}, "no_column"),
        (
            {"values": {**A_CUSTOMER, "region_id": {"path": "customer_id -> customer.nowhere", "to": "regions"}}},
            "nowhere",
        ),
        ({"values": A_CUSTOMER, "per": "day"}, "per 'day'"),
        ({"values": A_CUSTOMER, "to": "regions"}, "does not lead to 'regions'"),
        ({"values": A_CUSTOMER, "column": "name"}, "fails at 'name'"),
        ({"values": "basic"}, "does not say how columns are filled"),
        ({"values": {**A_CUSTOMER, "level": "silver"}}, "'silver' is no label of level"),
        ({"values": {**A_CUSTOMER, "level": {"sql": "name"}}}, "convert: enum"),
    ],
)
def test_settings_that_are_none(pristine: Project, settings: dict[str, Any], told: str) -> None:
    assert told in refused(pristine, CAUSE, "stub_parent", **settings)


def test_a_parent_waits_for_a_row_with_a_second_defect(world: Project) -> None:
    """Order 121 names a shop and a helper that are not there: it comes home once both are healed, by the parents made before."""
    shop = {"customer_id": {"to": "customers", "path": "customer_id"}}
    cause = "tickets/dangling_reference"
    first = apply(world, cause, "stub_parent", column="shop_id", keys=("121",), values=shop)
    assert (first.created, first.idle, first.home) == (1, 1, {})
    again = apply(world, cause, "stub_parent", column="shop_id", keys=("121",), per="row", values=shop)
    assert (again.created, again.idle, dict(again.refused)) == (1, 1, {})
    world.migration.healing.undo(again.repair or 0)
    last = apply(world, cause, "stub_parent", column="helper_id", keys=("121",), values=A_CUSTOMER)
    assert (last.created, last.idle, last.home) == (1, 0, {"tickets": 1})
    assert world.migration.verify().ok
