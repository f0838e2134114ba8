"""What undo refuses: rows that somebody changed since, or on which something rests. Then nothing was undone."""

from __future__ import annotations

import pytest
from conftest import Project, uid

from repair.cases import A_CUSTOMER, LEVELS
from repair.world import apply, state
from rowcall.errors import RepairRefused
from rowcall.repair import Effect


def refusal(project: Project, effect: Effect) -> str:
    before = state(project)
    with pytest.raises(RepairRefused) as told:
        project.migration.healing.undo(effect.repair or 0)
    assert state(project) == before
    assert told.value.hint
    return str(told.value)


def test_a_row_that_somebody_changed(world: Project) -> None:
    effect = apply(world, "tickets/too_long", "clip_text")
    world.target.execute("update tickets set title = 'Mine' where id = %s", [uid("tickets", 116)])
    assert "somebody changed a row of public.tickets since: tickets 116" in refusal(world, effect)
    world.target.execute("delete from tickets where id = any(%s)", [[uid("tickets", 116), uid("tickets", 117)]])
    assert "somebody removed 2 rows of public.tickets since" in refusal(world, effect)


def test_a_created_row_that_somebody_changed(world: Project) -> None:
    effect = apply(world, "shops/dangling_reference", "stub_parent", keys=("15",), values=A_CUSTOMER)
    world.target.execute("update customers set name = 'Known after all' where name = '(unknown)'")
    assert "somebody changed a row of public.customers since" in refusal(world, effect)


def test_a_row_to_which_others_refer(world: Project) -> None:
    effect = apply(world, "shops/dangling_reference", "stub_parent", keys=("14",), values=A_CUSTOMER)
    world.target.execute(
        "insert into tickets (id, shop_id, title) values (gen_random_uuid(), %s, 'Mine')", [uid("shops", 14)]
    )
    assert "a row of public.tickets refers to rows that would go (tickets_shop_id_fkey): shops 14" in refusal(
        world, effect
    )


def test_victims_that_came_home_by_a_later_repair(world: Project) -> None:
    root = apply(world, "customers/not_in_enum", "map_values", **LEVELS)
    victim = apply(world, "shops/parent_quarantined", "follow_parent")
    told = refusal(world, root)
    assert f"`rowcall repair undo {victim.repair}`" in told
    world.migration.healing.undo(victim.repair or 0)
    assert world.migration.healing.undo(root.repair or 0).rows == {"customers": 2}


def test_a_key_that_is_a_text_is_not_told(world: Project) -> None:
    """It may be a name, or an address."""
    effect = apply(world, "regions/too_long", "clip_text", keys=("far west",))
    world.target.execute("update regions set name = 'Mine' where id = %s", [uid("regions", "far west")])
    assert f"regions xxx xxxx ({uid('regions', 'far west')})" in refusal(world, effect)
    decided = apply(world, "regions/too_long", "defer", reason="later", keys=("far east",))
    apply(world, "regions/too_long", "accept", reason="of no use", keys=("far east",))
    assert "regions xxx xxxx is one of its rows" in refusal(world, decided)
