"""pick_parent: one of several, by a rule; a tie is no majority."""

from __future__ import annotations

import pytest
from conftest import Project, uid

from repair.world import apply, preview, refused


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


def test_one_row_for_each_parent(world: Project) -> None:
    """The row itself has the first, and one more is made for every other; they go with the repair."""
    effect = apply(world, "scans/ambiguous_reference", "pick_parent", by="each", values={"name": "a further one"})
    assert (effect.home, effect.created) == ({"scans": 3}, 3)
    found = world.target.rows("select name, ticket_id from scans where name <> 'Pheasant' order by 1")
    first, other = uid("tickets", 100), uid("tickets", 101)
    assert found == [(name, first) for name in ("Pigeon", "Pipit", "Plover")] + [("a further one", other)] * 3
    assert world.migration.healing.undo(effect.repair or 0).created == 3
    assert world.target.value("select count(*) from scans") == 1


def test_settings_that_are_none(pristine: Project) -> None:
    assert "has no way 'best'" in refused(pristine, "scans/ambiguous_reference", "pick_parent", by="best")
    assert "shade" in refused(pristine, "scans/ambiguous_reference", "pick_parent", order="shade")
    assert "does not heal dangling_reference" in refused(pristine, "nodes/dangling_reference", "pick_parent")
