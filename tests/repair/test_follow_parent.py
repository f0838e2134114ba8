"""follow_parent: victims come home after their root, parents first, and no one else does."""

from __future__ import annotations

from conftest import Project

from repair.cases import A_CUSTOMER, LEVELS
from repair.world import apply, dispositions, fates, home, preview, refused

JSON = "tickets/malformed_json"


def test_nothing_follows_a_root_that_is_still_away(pristine: Project) -> None:
    effect = preview(pristine, "files/parent_quarantined", "follow_parent")
    assert set(fates(effect, "files").values()) == {"parent_quarantined"}
    assert (effect.chosen, effect.rows) == (3, 0)


def test_it_climbs_to_the_root_and_no_further(world: Project) -> None:
    """A customer, its shop, its ticket, its note, its file: asked for at the last of them."""
    apply(world, "customers/not_in_enum", "map_values", **LEVELS)
    effect = apply(world, "files/parent_quarantined", "follow_parent", keys=("301",))
    assert dict(effect.home) == {"shops": 1, "tickets": 1, "notes": 1, "files": 1}
    assert home(world, "notes") == {"201"}
    assert effect.chosen == 1
    assert world.migration.verify().ok


def test_it_may_be_asked_for_level_by_level(world: Project) -> None:
    apply(world, JSON, "repair_json")
    assert fates(apply(world, "notes/parent_quarantined", "follow_parent"), "notes") == {
        "201": "parent_quarantined",
        "202": "home",
        "211": "parent_quarantined",
    }
    assert fates(apply(world, "files/parent_quarantined", "follow_parent"), "files") == {
        "301": "parent_quarantined",
        "302": "home",
        "303": "home",
    }


def test_follow_brings_home_whom_the_preview_named(world: Project) -> None:
    foreseen = preview(world, JSON, "repair_json")
    assert dict(foreseen.victims) == {"notes": 1, "files": 2, "parts": 1}
    together = preview(world, JSON, "repair_json", follow=True)
    assert dict(together.home) == {"tickets": 3, **foreseen.victims}
    assert not together.victims
    done = apply(world, JSON, "repair_json", follow=True)
    assert done.home == together.home
    assert {row for row, fate in done.fates.items() if fate.target_id} == {
        row for row, fate in together.fates.items() if fate.target_id
    }
    undone = world.migration.healing.undo(done.repair or 0)
    assert undone.rows == dict(done.home)


def test_a_victim_of_a_created_parent_follows(world: Project) -> None:
    done = apply(world, "shops/dangling_reference", "stub_parent", follow=True, values=A_CUSTOMER)
    assert dict(done.home) == {"shops": 3, "tickets": 1, "notes": 1}


def test_decided_victims_stay_where_they_are(world: Project) -> None:
    apply(world, "files/parent_quarantined", "accept", reason="of no use", keys=("302",))
    apply(world, "files/parent_quarantined", "defer", reason="later", keys=("303",))
    done = apply(world, JSON, "repair_json", follow=True)
    assert done.home["files"] == 1
    assert dispositions(world, "files") == {"301": "open", "302": "accepted", "303": "repaired"}


def test_within_a_tree_children_may_stand_before_their_parents(world: Project) -> None:
    done = apply(world, "nodes/dangling_reference", "set_null", follow=True)
    assert home(world, "nodes") == {"402", "403", "404", "410"}
    assert done.home == {"nodes": 4}


def test_settings_that_are_none(pristine: Project) -> None:
    assert "has no setting 'depth'" in refused(pristine, "files/parent_quarantined", "follow_parent", depth=2)
    assert "does not heal" in refused(pristine, JSON, "follow_parent")
    assert "no row of regions/parent_quarantined waits" in refused(
        pristine, "regions/parent_quarantined", "follow_parent"
    )
