"""archive: the row and why it was rejected are kept, and a purge leaves them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from conftest import Project, uid

from repair.cases import A_NOTE
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


def test_notes_are_written_where_people_will_look(world: Project) -> None:
    effect = apply(world, "parts/out_of_range", "archive", to="notes", values={**A_NOTE, "ratio": 1})
    assert (effect.decided, effect.created) == (2, 2)
    made = world.target.rows(
        "select n.ticket_id, n.ratio, n.body::jsonb ->> 'label' from notes n "
        "join rowcall.synthetic_row s on s.target_id = n.id order by 3"
    )
    assert made == [(uid("tickets", 100), 1, "Dotterel"), (uid("tickets", 100), 1, "Fieldfare")]
    assert world.target.value("select count(*) from rowcall.archive") == 2
    assert world.migration.verify().ok


def test_where_a_note_cannot_be_written_nothing_is_archived(pristine: Project) -> None:
    told = refused(pristine, "parts/out_of_range", "archive", to="notes", values={**A_NOTE, "body": "Forbidden"})
    assert "2 notes could not be written (refused_by_target)" in told


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"column": "name"}, "has no setting 'column'"),
        ({"to": "letters"}, "there is no entity 'letters'"),
        ({"to": "notes"}, "ticket_id"),
        ({"to": "notes", "values": {**A_NOTE, "body": {"kept": "everything"}}}, "nothing is kept under 'everything'"),
    ],
)
def test_settings_that_are_none(pristine: Project, settings: dict[str, Any], told: str) -> None:
    assert told in refused(pristine, "parts/out_of_range", "archive", **settings)
