"""accept: the loss is accepted, never without a reason."""

from __future__ import annotations

import pytest
from conftest import Project

from repair.world import apply, asked, dispositions, refused
from rowcall.errors import UsageError
from rowcall.healing import actor


def test_who_and_why_stand_beside_the_row(world: Project) -> None:
    apply(world, "notes/rule_failed", "accept", reason="test data")
    told = world.target.rows(
        "select distinct disposition, decided_by, reason, decided_at is not null from rowcall.quarantine "
        "where entity = 'notes' and source_key in ('205', '206')"
    )
    assert told == [("accepted", actor(), "test data", True)]
    assert world.target.value("select count(*) from notes where body in ('Nightjar', 'Oriole')") == 0


def test_a_preview_decides_nothing(pristine: Project) -> None:
    effect = pristine.migration.healing.preview(asked("notes/rule_failed", "accept", reason="test data"))
    assert (effect.repair, effect.decided, effect.rows) == (None, 2, 0)
    assert set(dispositions(pristine, "notes").values()) == {"open"}


def test_a_reason_is_needed(pristine: Project) -> None:
    assert "accept needs `reason`" in refused(pristine, "notes/rule_failed", "accept")
    with pytest.raises(UsageError, match="a decision needs a reason"):
        pristine.migration.healing.dispose("notes", "rule_failed", "accepted", "")
