"""archive: the row and why it was rejected are kept, and a purge leaves them."""

from __future__ import annotations

import json
from dataclasses import replace

from conftest import Project

from repair.conftest import Opened
from repair.world import apply, asked, refused

ALL = (
    "select source_key, payload ->> 'name', rejections -> 0 ->> 'code', reason from rowcall.archive order by source_key"
)


def test_payload_and_rejections_are_kept(world: Project) -> None:
    effect = apply(world, "regions/too_long", "archive", reason="names of nowhere")
    told = [
        (key, name, "too_long", "names of nowhere")
        for key, name in (("far east", "Ünïcödeländchen"), ("far west", "Kiwibirdland"))
    ]
    assert world.target.rows(ALL) == told
    assert world.migration.healing.undo(effect.repair or 0).decided == 2
    assert world.target.rows(ALL) == []


def test_no_reason_is_needed_and_one_may_be_a_setting(world: Project) -> None:
    apply(world, "regions/too_long", "archive", keys=("far east",))
    world.migration.healing.apply(replace(asked("regions/too_long", "archive"), settings={"reason": "as told"}))
    assert [reason for *_, reason in world.target.rows(ALL)] == ["", "as told"]


def test_notes_in_the_target(world: Project) -> None:
    lost = {"name": {"kept": "rejections"}, "up_id": {"to": "nodes", "path": "id"}}
    told = refused(world, "notes/rule_failed", "archive", to="nodes", values=lost)
    assert "2 notes could not be written (dangling_reference), so that nothing was archived" in told
    values = {"name": {"kept": "rejections"}}
    effect = apply(world, "notes/rule_failed", "archive", to="nodes", values=values)
    assert (effect.decided, effect.created) == (2, 2)
    sql = "select n.name from nodes n join rowcall.synthetic_row y on y.target_id = n.id where y.for_entity = 'notes'"
    assert all('"rule_failed"' in name for (name,) in world.target.rows(sql))
    assert world.migration.healing.undo(effect.repair or 0).created == 2


def test_settings_that_are_none(pristine: Project) -> None:
    assert "there is no entity 'nests'" in refused(pristine, "notes/rule_failed", "archive", to="nests")
    assert "nothing is kept under 'all'" in refused(
        pristine, "notes/rule_failed", "archive", to="nodes", values={"name": {"kept": "all"}}
    )
    assert "has no setting 'column'" in refused(pristine, "regions/too_long", "archive", column="name")


def test_a_decision_heeds_what_the_project_file_says_of_it(open_world: Opened) -> None:
    note = {"to": "notes", "values": {"ticket_id": {"to": "tickets", "path": "ticket_id"}, "body": {"kept": "payload"}}}
    world = open_world(more="remedies: " + json.dumps({"parts/out_of_range": {"archive": note}}))
    effect = world.migration.healing.dispose("parts", "out_of_range", "archived", "kept as notes")
    assert (effect.decided, effect.created) == (2, 2)
    kept = world.target.value("select count(*) from notes join rowcall.synthetic_row s on s.target_id = notes.id")
    assert kept == 2
