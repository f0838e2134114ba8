"""Decisions, and what follows from them: what is open, how a run ends, what a purge forgets, and the way back."""

from __future__ import annotations

import pytest
from conftest import Project, uid

from repair.cases import A_CUSTOMER, LEVELS
from repair.world import TABLES, apply, dispositions, home, state
from rowcall.errors import RepairRefused, UsageError

CAUSES = "select distinct entity, rejections -> 0 ->> 'code' from rowcall.quarantine where disposition = 'open'"
OPEN = "select count(*) from rowcall.quarantine where disposition = 'open'"


HELD = (  # what rows held, wherever the ledger has it
    "quarantined_row where payload is not null",
    "quarantined_row where jsonb_path_exists(rejections, '$[*].value ? (@ <> null)')",
    "quarantined_row where jsonb_path_exists(rejections, '$[*].detail ? (@ <> null)')",
    "amendment where value is not null",
    "nulled_reference where value is not null",
)


def count(project: Project, rows: str) -> int:
    return int(project.target.value(f"select count(*) from rowcall.{rows}"))


def decide_all(project: Project, *, but: str = "") -> None:
    for entity, code in project.target.rows(CAUSES):
        if entity != but:
            project.migration.healing.dispose(entity, code, "accepted", "of no use")


def test_a_cause_is_decided_about(world: Project) -> None:
    healing, before = world.migration.healing, int(world.target.value(OPEN))
    effect = healing.dispose("notes", "rule_failed", "archived", "kept elsewhere")
    assert (effect.chosen, effect.decided) == (2, 2)
    assert {k for k, told in dispositions(world, "notes").items() if told == "archived"} == {"205", "206"}
    assert world.target.value(OPEN) == before - 2
    with pytest.raises(UsageError, match="no row of notes/rule_failed waits"):
        healing.dispose("notes", "rule_failed", "archived", "again")


def test_some_rows_are_decided_about(world: Project) -> None:
    healing = world.migration.healing
    effect = healing.dispose("parts", "out_of_range", "deferred", "asks the warehouse", ("[100, 3]",))
    assert effect.decided == 1
    assert dispositions(world, "parts") == {"[100, 2]": "open", "[100, 3]": "deferred", "[106, 1]": "open"}


def test_a_key_that_is_none_of_the_cause_changes_nothing(world: Project) -> None:
    before = state(world)
    for keys in (("205", "999"), ("205", "203"), ("200",)):
        with pytest.raises(UsageError, match=f"no rows of notes/rule_failed which wait for a decision: {keys[-1]}"):
            world.migration.healing.dispose("notes", "rule_failed", "accepted", "of no use", keys)
    assert state(world) == before
    assert world.migration.healing.repairs() == []


def test_a_row_is_decided_about_by_its_first_defect(world: Project) -> None:
    """120 is malformed and too long, 7 has no name and a strange level: a decision is about their cause."""
    healing = world.migration.healing
    assert healing.dispose("tickets", "too_long", "accepted", "of no use").decided == 2
    assert dispositions(world, "tickets")["120"] == "open"
    with pytest.raises(UsageError, match="keys that are no rows of customers/not_in_enum which wait for a decision: 7"):
        healing.dispose("customers", "not_in_enum", "accepted", "of no use", ("7",))


def test_what_cannot_be_decided(pristine: Project) -> None:
    healing = pristine.migration.healing
    with pytest.raises(UsageError, match="the run has no entity 'nobody'"):
        healing.dispose("nobody", "too_long", "accepted", "of no use")
    for disposition in ("open", "repaired", "lost"):
        with pytest.raises(UsageError, match="no decision") as told:
            healing.dispose("notes", "rule_failed", disposition, "of no use")
        assert "archived" in told.value.hint


def test_a_run_ends_well_once_nothing_is_open(world: Project) -> None:
    before = int(world.target.value(OPEN))
    result = world.run()
    assert (result.open, result.exit_code) == (before, 3)
    decide_all(world, but="notes")
    assert world.run().exit_code == 3
    for (code,) in world.target.rows(
        "select distinct rejections -> 0 ->> 'code' from rowcall.quarantine where entity = 'notes'"
    ):
        deferred = world.migration.healing.dispose("notes", code, "deferred", "next year")
    result = world.run()
    assert (result.open, result.exit_code) == (0, 0)
    assert all(e.counts.conserved for e in result.entities)
    world.migration.healing.undo(deferred.repair or 0, "thought again")
    assert world.run().exit_code == 3
    assert world.target.value(OPEN) == deferred.decided


def test_undo_of_a_decision_restores_what_was_decided_before(world: Project) -> None:
    healing, before = world.migration.healing, state(world)
    first = healing.dispose("notes", "after_cutoff", "deferred", "next year")
    between = state(world)
    second = healing.dispose("notes", "after_cutoff", "accepted", "of no use")
    with pytest.raises(RepairRefused, match=f"repair {second.repair} builds on it"):
        healing.undo(first.repair or 0)
    healing.undo(second.repair or 0)
    assert state(world) == between
    assert healing.undo(first.repair or 0).decided == 2
    assert state(world) == before
    with pytest.raises(UsageError, match="undone already"):
        healing.undo(first.repair or 0)
    with pytest.raises(UsageError, match="there is no repair 99"):
        healing.undo(99)
    assert [(r.remedy, r.state) for r in healing.repairs()] == [("defer", "undone"), ("accept", "undone")]


def test_a_purge_waits_until_nothing_is_open(world: Project) -> None:
    before = state(world)
    with pytest.raises(UsageError, match="rows are open in quarantine"):
        world.migration.healing.purge("too early")
    assert state(world) == before
    assert world.target.value("select count(*) from rowcall.purge") == 0


def test_a_purge_forgets_what_rows_held(world: Project) -> None:
    repaired = apply(world, "tickets/malformed_json", "repair_json", follow=True)
    apply(world, "regions/too_long", "archive")
    decide_all(world)
    keys = "select entity, source_key, cause, outcome from rowcall.settlements order by 1, 2"
    codes = (
        "select entity, source_key, jsonb_path_query_array(rejections, '$[*].code')::text, disposition "
        "from rowcall.quarantine order by 1, 2"
    )
    known, why = world.target.rows(keys), world.target.rows(codes)
    rows = world.target.value("select count(*) from rowcall.quarantine")
    assert all(count(world, held) > 0 for held in HELD)
    purged = world.migration.healing.purge("signed off")
    assert purged.rows == rows
    assert (world.target.rows(keys), world.target.rows(codes)) == (known, why)
    assert {held: count(world, held) for held in HELD} == dict.fromkeys(HELD, 0)
    assert world.target.value("select count(*) from rowcall.nulled_reference") == 2
    assert world.target.value("select count(*) from rowcall.archive where payload is not null") == 2
    audit = world.target.rows("select reason, rows, purged_by <> '' from rowcall.purge")
    assert audit == [("signed off", rows, True)]
    before = state(world)
    with pytest.raises(RepairRefused, match=r"was purged on .* so that nobody could do it again"):
        world.migration.healing.undo(repaired.repair or 0)
    assert state(world) == before
    assert world.run().exit_code == 0
    assert world.migration.verify().ok


def run_through(project: Project) -> None:
    """Repairs on repairs, with created rows, victims and decisions."""
    apply(project, "customers/not_in_enum", "map_values", follow=True, **LEVELS)
    apply(project, "shops/dangling_reference", "stub_parent", follow=True, values=A_CUSTOMER)
    apply(project, "tickets/malformed_json", "repair_json", follow=True)
    apply(project, "nodes/dangling_reference", "stub_parent", follow=True)
    apply(project, "notes/rule_failed", "archive")
    assert home(project, "files") >= {"301", "302"}


@pytest.mark.parametrize("purged", [False, True])
def test_the_whole_run_is_undone_with_its_repairs(world: Project, purged: bool) -> None:
    own = uid("regions", "a row of somebody else")
    world.target.execute("insert into regions values (%s, 'Own')", [own])
    run_through(world)
    if purged:
        decide_all(world)
        world.migration.healing.purge()
    world.migration.undo()
    assert world.target.rows("select id from regions") == [(own,)]
    for table in set(TABLES) - {"regions"}:
        assert world.target.value(f"select count(*) from {table}") == 0, table
    assert world.target.value("select count(*) from pg_namespace where nspname = 'rowcall'") == 0


def test_a_run_begins_anew_after_repairs(world: Project) -> None:
    before = state(world)
    run_through(world)
    again = world.run(restart=True)
    assert again.exit_code == 3
    assert {k: v for k, v in state(world).items() if k in TABLES} == {k: v for k, v in before.items() if k in TABLES}
