"""defer: decided for now, and still there for a repair."""

from __future__ import annotations

from conftest import Project

from repair.world import apply, dispositions, refused, row


def test_a_deferred_row_is_taken_up_by_a_repair(world: Project) -> None:
    apply(world, "parts/out_of_range", "defer", reason="asks the warehouse")
    assert set(dispositions(world, "parts").values()) == {"open", "deferred"}
    healed = apply(world, "parts/out_of_range", "set_value", value=9)
    assert healed.home == {"parts": 2}
    assert row(world, "parts", "[100, 2]")["qty"] == 9
    world.migration.healing.undo(healed.repair or 0)
    told = world.target.rows("select distinct disposition, reason from rowcall.quarantine where disposition <> 'open'")
    assert told == [("deferred", "asks the warehouse")]


def test_it_may_be_decided_at_last(world: Project) -> None:
    apply(world, "parts/out_of_range", "defer", reason="asks the warehouse")
    assert "waits for a decision" in refused(world, "parts/out_of_range", "defer", reason="asks again")
    apply(world, "parts/out_of_range", "accept", reason="nobody knows")
    assert set(dispositions(world, "parts").values()) == {"open", "accepted"}
    assert "waits for a decision" in refused(world, "parts/out_of_range", "defer", reason="again")


def test_it_is_always_possible_and_never_offered(pristine: Project) -> None:
    assert "defer" not in {offer.remedy for offer in pristine.migration.healing.offers("parts")}
    assert "defer needs `reason`" in refused(pristine, "parts/out_of_range", "defer")
