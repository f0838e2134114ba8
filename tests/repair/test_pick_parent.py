"""pick_parent: one of several, by a rule; a tie is no majority."""

from __future__ import annotations

import pytest
from conftest import Project, uid

from repair.world import apply, preview, refused, row


def picked(project: Project, **settings: str) -> dict[str, str | None]:
    effect = preview(project, "scans/ambiguous_reference", "pick_parent", **settings)
    assert set(effect.home) <= {"scans"}
    return {sample.key: sample.after for sample in effect.samples}


@pytest.mark.parametrize(
    ("settings", "parents"),
    [
        ({}, {"701": "tickets 100", "702": "tickets 100", "703": "tickets 100"}),
        ({"by": "latest"}, {"701": "tickets 101", "702": "tickets 101", "703": "tickets 101"}),
        ({"by": "majority"}, {"702": "tickets 101", "703": "tickets 100"}),
        # Apricot is 100, Banana 101; of the amounts that of 101 is NULL, which comes first.
        ({"by": "first", "order": "title"}, {"701": "tickets 100", "702": "tickets 100", "703": "tickets 100"}),
        ({"by": "first", "order": "amount"}, {"701": "tickets 101", "702": "tickets 101", "703": "tickets 101"}),
        ({"by": "latest", "order": "amount"}, {"701": "tickets 100", "702": "tickets 100", "703": "tickets 100"}),
    ],
)
def test_by(pristine: Project, settings: dict[str, str], parents: dict[str, str]) -> None:
    assert picked(pristine, **settings) == parents


def test_each_parent_gets_a_row(world: Project) -> None:
    effect = apply(world, "scans/ambiguous_reference", "pick_parent", by="each", values={"name": "a copy"})
    assert (effect.home, effect.created) == ({"scans": 3}, 3)
    rows = world.target.rows(
        "select y.for_key, s.ticket_id, s.name from scans s join rowcall.synthetic_row y on y.target_id = s.id order by 1"
    )
    assert rows == [(key, uid("tickets", 101), "a copy") for key in ("701", "702", "703")]
    assert {row(world, "scans", key)["ticket_id"] for key in (701, 702, 703)} == {str(uid("tickets", 100))}
    assert world.migration.healing.undo(effect.repair or 0).created == 3


def test_settings_that_are_none(pristine: Project) -> None:
    assert "has no way 'best'" in refused(pristine, "scans/ambiguous_reference", "pick_parent", by="best")
    assert "shade" in refused(pristine, "scans/ambiguous_reference", "pick_parent", order="shade")
    assert "does not heal dangling_reference" in refused(pristine, "nodes/dangling_reference", "pick_parent")
