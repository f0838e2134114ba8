"""map_values: what was seen becomes what the target knows; what is not listed stays."""

from __future__ import annotations

from conftest import Project

from repair.world import apply, fates, preview, refused, row


def test_only_what_is_listed_is_mapped(pristine: Project) -> None:
    effect = preview(pristine, "customers/not_in_enum", "map_values", map={"GOLDEN": "gold"})
    assert fates(effect, "customers") == {"5": "home", "7": "null_in_required"}
    assert (effect.chosen, effect.unhealed) == (3, 1)


def test_what_the_target_does_not_know_stays(pristine: Project) -> None:
    effect = preview(pristine, "customers/not_in_enum", "map_values", map={"GOLDEN": "golden", "PLATIN": "gold"})
    assert fates(effect, "customers") == {"5": "not_in_enum", "6": "home", "7": "null_in_required"}


def test_a_value_may_become_a_number_or_nothing(world: Project) -> None:
    effect = apply(world, "tickets/not_convertible", "map_values", map={"Cuckoo": 2.5, "Condor": None})
    assert fates(effect, "tickets") == {"112": "home", "113": "home"}
    assert row(world, "tickets", 112)["amount"] == 2.5
    assert row(world, "tickets", 113)["amount"] is None


def test_nothing_is_left_for_a_required_column(pristine: Project) -> None:
    effect = preview(pristine, "customers/not_in_enum", "map_values", map={"GOLDEN": None}, keys=("5",))
    assert fates(effect, "customers") == {"5": "null_in_required"}


def test_case_and_white_space_count(pristine: Project) -> None:
    assert (
        preview(pristine, "customers/not_in_enum", "map_values", map={"golden": "gold", "PLATIN ": "gold"}).amended == 0
    )


def test_settings_that_are_none(pristine: Project) -> None:
    assert "needs `map`" in refused(pristine, "customers/not_in_enum", "map_values")
    assert "`map` is no map" in refused(pristine, "customers/not_in_enum", "map_values", map="gold")
    assert "has no setting 'maps'" in refused(pristine, "customers/not_in_enum", "map_values", maps={})
    assert "does not heal too_long" in refused(pristine, "regions/too_long", "map_values", map={})
