"""clip_text: characters are counted, not bytes; the original stays in the quarantine's payload."""

from __future__ import annotations

from conftest import Project

from repair.world import apply, fates, preview, put, refused, row


def test_characters_are_counted(world: Project) -> None:
    effect = apply(world, "regions/too_long", "clip_text")
    assert fates(effect, "regions") == {"far east": "home", "far west": "home"}
    assert row(world, "regions", "far east")["name"] == "Ünïcödel"
    assert row(world, "regions", "far west")["name"] == "Kiwibird"
    kept = world.target.value("select payload ->> 'name' from rowcall.quarantine where source_key = 'far east'")
    assert kept == "Ünïcödeländchen"


def test_a_mark_takes_its_own_room(pristine: Project) -> None:
    assert set(put(preview(pristine, "regions/too_long", "clip_text", mark="…")).values()) == {"Ünïcöde…", "Kiwibir…"}
    assert set(put(preview(pristine, "regions/too_long", "clip_text", mark="[cut]!!")).values()) == {
        "Ü[cut]!!",
        "K[cut]!!",
    }


def test_a_mark_that_leaves_no_room(pristine: Project) -> None:
    assert "does not hold a mark of this length" in refused(pristine, "regions/too_long", "clip_text", mark="12345678")


def test_a_row_with_another_defect_stays(pristine: Project) -> None:
    effect = preview(pristine, "tickets/too_long", "clip_text")
    assert fates(effect, "tickets") == {"116": "home", "117": "home", "120": "malformed_json"}


def test_two_repairs_bring_a_row_with_two_defects_home(world: Project) -> None:
    """Each of them leaves it for the other; what the first put there stays."""
    first = apply(world, "tickets/too_long", "clip_text", keys=("120",))
    assert fates(first, "tickets") == {"120": "malformed_json"}
    second = apply(world, "tickets/malformed_json", "repair_json", keys=("120",))
    assert fates(second, "tickets") == {"120": "home"}
    assert (row(world, "tickets", 120)["title"], row(world, "tickets", 120)["doc"]) == (
        "Tangerines",
        {"bird": "Stork's"},
    )
