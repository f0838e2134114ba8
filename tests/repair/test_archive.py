"""archive: the row and why it was rejected are kept, and a purge leaves them."""

from __future__ import annotations

from dataclasses import replace

from conftest import Project

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


def test_settings_that_are_none(pristine: Project) -> None:
    assert "has no setting 'column'" in refused(pristine, "regions/too_long", "archive", column="name")
