"""set_value: one value for all, which the target judges as any other."""

from __future__ import annotations

from conftest import Project

from repair.world import apply, dispositions, fates, home, preview, refused, row


def test_the_value_is_there(world: Project) -> None:
    apply(world, "tickets/null_in_required", "set_value", value="Untitled")
    assert {row(world, "tickets", key)["title"] for key in (118, 119)} == {"Untitled"}
    apply(world, "tickets/malformed_json", "set_value", value={"bird": None, "digits": 1}, keys=("109",))
    assert row(world, "tickets", 109)["doc"] == {"bird": None, "digits": 1}


def test_a_value_that_the_target_does_not_take_leaves_the_row(world: Project) -> None:
    wrong = apply(world, "parts/out_of_range", "set_value", value="a dozen")
    assert fates(wrong, "parts") == {"[100, 2]": "not_convertible", "[100, 3]": "not_convertible"}
    assert home(world, "parts") == set()
    assert dispositions(world, "parts")["[100, 2]"] == "open"
    assert "name no column" in refused(world, "parts/not_convertible", "set_value", value=12)
    again = apply(world, "parts/not_convertible", "set_value", value=12, column="qty")
    assert fates(again, "parts") == {"[100, 2]": "home", "[100, 3]": "home"}
    assert row(world, "parts", "[100, 3]")["qty"] == 12


def test_a_value_that_is_too_much(pristine: Project) -> None:
    assert set(fates(preview(pristine, "parts/out_of_range", "set_value", value=99999), "parts").values()) == {
        "out_of_range"
    }
    assert set(fates(preview(pristine, "regions/too_long", "set_value", value="nine char"), "regions").values()) == {
        "too_long"
    }
    nothing = preview(pristine, "tickets/null_in_required", "set_value", value="")
    assert set(fates(nothing, "tickets").values()) == {"home"}  # an empty text is no NULL


def test_where_a_value_must_be_unique_one_row_takes_it(world: Project) -> None:
    effect = apply(world, "customers/duplicate_key", "set_value", value="nobody@x", column="email")
    assert sorted(fates(effect, "customers").values()) == ["duplicate_key", "home"]
    assert fates(effect, "customers")["8"] == "home"
    taken = apply(world, "customers/duplicate_key", "set_value", value="lychee@x", column="email")
    assert fates(taken, "customers") == {"9": "duplicate_key"}
    assert world.migration.verify().ok


def test_a_column_that_is_no_part_of_it(pristine: Project) -> None:
    """Rows that share a unique value name no column: any that the entity fills may be meant, and no other."""
    assert "name no column" in refused(pristine, "customers/duplicate_key", "set_value", value="x")
    for column in ("id", "since", "nowhere"):
        assert "no row of" in refused(pristine, "customers/duplicate_key", "set_value", value="x", column=column)


def test_settings_that_are_none(pristine: Project) -> None:
    assert "needs `value`" in refused(pristine, "parts/out_of_range", "set_value")
    assert "does not heal dangling_reference" in refused(pristine, "tickets/dangling_reference", "set_value", value=1)
