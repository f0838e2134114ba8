"""link_parent: another way to a parent, or one that is made once per owner."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Project, uid

from repair.cases import A_CUSTOMER, A_SHOP
from repair.world import apply, dispositions, fates, preview, refused, row
from rowcall.errors import RepairRefused

CAUSE = "tickets/dangling_reference"
BY_PATH = {"column": "shop_id", "path": "customer_id -> shop.customer_id"}
BY_KEY = {"column": "shop_id", "key": "(select min(s.id) from shop s where s.customer_id = ticket.customer_id)"}
PER_OWNER = {"column": "shop_id", "key": "null::int", "create": A_SHOP, "once_per": "customer_id"}


def test_a_key_or_a_path_finds_the_parent(pristine: Project) -> None:
    by_key = preview(pristine, CAUSE, "link_parent", **BY_KEY)
    assert fates(by_key, "tickets") == {
        "121": "dangling_reference",  # at its helper, too
        "122": "home",
        "123": "home",
        "124": "parent_quarantined",
    }
    by_path = preview(pristine, CAUSE, "link_parent", **BY_PATH)
    assert fates(by_path, "tickets") == {"123": "home", "124": "parent_quarantined"}  # several are no parent
    assert {s.key: s.after for s in by_path.samples} == {"123": "shops 11", "124": "shops 15"}


def test_the_row_refers_to_what_was_found(world: Project) -> None:
    apply(world, CAUSE, "link_parent", **BY_KEY)
    assert row(world, "tickets", 122)["shop_id"] == str(uid("shops", 10))
    assert row(world, "tickets", 123)["shop_id"] == str(uid("shops", 11))


@pytest.mark.parametrize(
    ("key", "left"),
    [
        ("12345", "dangling_reference"),
        ("13", "parent_quarantined"),
        ("14", "parent_quarantined"),
        ("'nobody'", "dangling_reference"),
    ],
)
def test_a_parent_that_did_not_migrate(pristine: Project, key: str, left: str) -> None:
    effect = preview(pristine, CAUSE, "link_parent", column="shop_id", key=key, keys=("122",))
    assert fates(effect, "tickets") == {"122": left}


def test_an_excluded_parent(pristine: Project) -> None:
    effect = preview(pristine, "shops/null_reference", "link_parent", key="3")
    assert fates(effect, "shops") == {"17": "parent_excluded", "18": "parent_excluded"}


def test_a_linked_row_comes_home_after_its_quarantined_parent(world: Project) -> None:
    first = apply(world, CAUSE, "link_parent", keys=("124",), **BY_PATH)
    assert fates(first, "tickets") == {"124": "parent_quarantined"}
    assert dispositions(world, "tickets")["124"] == "open"
    assert apply(world, "shops/dangling_reference", "stub_parent", values=A_CUSTOMER).home == {"shops": 3}
    followed = apply(world, "tickets/parent_quarantined", "follow_parent", keys=("124",))
    assert fates(followed, "tickets") == {"124": "home"}
    assert row(world, "tickets", 124)["shop_id"] == str(uid("shops", 15))
    assert world.migration.verify().ok


def test_one_parent_per_owner_is_made_and_used_again(world: Project) -> None:
    first = apply(world, CAUSE, "link_parent", keys=("122", "123"), **PER_OWNER)
    assert (first.created, first.home) == (2, {"tickets": 2})
    of_122 = row(world, "tickets", 122)["shop_id"]
    assert of_122 != row(world, "tickets", 123)["shop_id"]
    made = world.target.rows("select customer_id::text, name from shops where id = %s", [of_122])
    assert made == [(str(uid("customers", 1)), "General")]
    apply(world, CAUSE, "set_null", column="helper_id", keys=("121",))
    second = apply(world, CAUSE, "link_parent", keys=("121",), **PER_OWNER)
    assert (second.created, second.home) == (0, {"tickets": 1})
    assert row(world, "tickets", 121)["shop_id"] == of_122
    with pytest.raises(RepairRefused, match="builds on it"):
        world.migration.healing.undo(first.repair or 0)
    world.migration.healing.undo(second.repair or 0)
    assert world.migration.healing.undo(first.repair or 0).created == 2
    again = apply(world, CAUSE, "link_parent", keys=("122",), **PER_OWNER)
    assert (again.created, row(world, "tickets", 122)["shop_id"]) == (1, of_122)


def test_an_owner_who_is_not_known_gets_none(pristine: Project) -> None:
    effect = preview(pristine, CAUSE, "link_parent", **{**PER_OWNER, "once_per": "nullif(customer_id, 1)"})
    assert fates(effect, "tickets") == {"123": "home"}
    assert dict(effect.refused) == {"dangling_reference": 1}  # the owner of 124 is nobody
    assert effect.unhealed == 3


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "needs `path` or `key`"),
        ({"path": "customer_id -> shop.customer_id", "key": "1"}, "exactly one"),
        ({"path": "customer_id -> shop.nowhere"}, "nowhere"),
        ({"path": ""}, "no path"),
        ({"path": "customer_id -> customer.id"}, "shop"),
        ({"key": "no_column"}, "does not take this SQL"),
        ({"key": "1; drop table shop"}, "does not take this SQL"),
        ({"key": "null::int", "create": A_SHOP}, "nothing says who that is"),
        ({"key": "null::int", "create": "General", "once_per": "customer_id"}, "does not say how columns are filled"),
        ({"key": "null::int", "create": {"name": "General"}, "once_per": "customer_id"}, "customer_id"),
        ({"key": "1", "to": "regions"}, "does not lead to 'regions'"),
    ],
)  # fmt: skip
def test_settings_that_are_none(pristine: Project, settings: dict[str, Any], told: str) -> None:
    assert told in refused(pristine, CAUSE, "link_parent", column="shop_id", **settings)
