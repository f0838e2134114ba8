"""set_null: where the target's column may be NULL, and nowhere else."""

from __future__ import annotations

from conftest import Project

from repair.world import apply, fates, preview, refused, row


def test_a_reference_becomes_nothing(world: Project) -> None:
    effect = apply(world, "tickets/dangling_reference", "set_null", column="helper_id")
    assert fates(effect, "tickets") == {"104": "home", "105": "home", "121": "dangling_reference"}
    assert row(world, "tickets", 104)["helper_id"] is None
    assert row(world, "tickets", 104)["shop_id"] is not None


def test_a_value_becomes_nothing(pristine: Project) -> None:
    effect = preview(pristine, "tickets/malformed_json", "set_null")
    assert {key for key, fate in fates(effect, "tickets").items() if fate == "home"} == {
        "106",
        "107",
        "108",
        "109",
        "111",
    }
    assert {sample.after for sample in effect.samples} == {None}
    assert fates(preview(pristine, "customers/duplicate_key", "set_null", column="email"), "customers") == {
        "8": "home",
        "9": "home",
    }


def test_it_is_refused_where_the_column_is_required(pristine: Project) -> None:
    reference = refused(pristine, "tickets/dangling_reference", "set_null", column="shop_id")
    value = refused(pristine, "regions/too_long", "set_null")
    assert "set_null does not fit public.tickets.shop_id" in reference
    assert "set_null does not fit public.regions.name" in value
    assert "does not fit" in refused(pristine, "customers/duplicate_key", "set_null", column="level")


def test_the_column_has_to_be_said_where_there_are_several(pristine: Project) -> None:
    assert "fail at helper_id, shop_id" in refused(pristine, "tickets/dangling_reference", "set_null")
    assert "no row of tickets/dangling_reference fails at 'title'" in refused(
        pristine, "tickets/dangling_reference", "set_null", column="title"
    )


def test_a_victim_may_lose_its_parent(pristine: Project) -> None:
    effect = preview(pristine, "nodes/parent_quarantined", "set_null")
    assert fates(effect, "nodes") == {"403": "home", "404": "home"}
