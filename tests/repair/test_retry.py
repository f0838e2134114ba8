"""`run --retry`: the source was fixed, and the quarantined rows are read anew."""

from __future__ import annotations

import pytest
from conftest import Project

from repair.conftest import Opened
from repair.world import apply, dispositions, home, row, state, sums
from rowcall.errors import UsageError
from rowcall.report import retried_line

FIXED = """
update customer set level = 'gold' where id in (5, 6);          -- the roots of a shop, its ticket, a note and a file
update ticket set title = 'Kumquats' where id = 116;            -- no longer too long
update ticket set title = 'Dragonfruit' where id = 117;         -- still too long, by another text
delete from ticket where id = 112;
update customer set closed = true where id = 8;                 -- a rule takes it now
"""


@pytest.fixture
def fixed(open_world: Opened) -> Project:
    project = open_world(source=True)
    project.source.execute(FIXED)
    return project


def test_what_is_sound_now_comes_home_with_its_victims(fixed: Project) -> None:
    result = fixed.run(retry=True)
    retried = result.retried
    assert retried is not None
    assert retried.home == {"customers": 2, "shops": 1, "tickets": 2, "notes": 1, "files": 1}
    assert (retried.gone, retried.excluded) == ({"tickets": 1}, {"customers": 1})
    assert home(fixed, "customers") == {"5", "6"}
    assert home(fixed, "tickets") == {"102", "116"}
    assert row(fixed, "tickets", 116)["title"] == "Kumquats"
    assert fixed.fates("customers")["8"] == "still_open"
    assert "112" not in fixed.fates("tickets")
    assert sums(fixed)
    assert fixed.migration.verify().ok
    fixed.prove()


def test_what_is_still_rejected_says_why_as_it_is_now(fixed: Project) -> None:
    fixed.run(retry=True)
    (told,) = fixed.rejections("tickets", "117")
    assert (told["code"], told["value"]) == ("too_long", "Dragonfruit")
    payload = "select payload ->> 'title' from rowcall.quarantine where entity = 'tickets' and source_key = '117'"
    assert fixed.target.value(payload) == "Dragonfruit"
    assert apply(fixed, "tickets/too_long", "clip_text").home == {"tickets": 1}


def test_decided_rows_are_left_alone_and_deferred_ones_are_not(fixed: Project) -> None:
    healing = fixed.migration.healing
    healing.dispose("customers", "not_in_enum", "accepted", "of no use", ("5",))
    healing.dispose("customers", "not_in_enum", "deferred", "later", ("6",))
    fixed.run(retry=True)
    assert dispositions(fixed, "customers")["5"] == "accepted"
    assert home(fixed, "customers") == {"6"}


def test_what_came_home_can_be_undone(fixed: Project) -> None:
    fixed.run(retry=True)
    for record in reversed(fixed.migration.healing.repairs()):
        fixed.migration.healing.undo(record.id)
    assert home(fixed, "tickets") == home(fixed, "customers") == set()
    assert sums(fixed)


def test_a_source_that_is_as_it_was(open_world: Opened) -> None:
    project = open_world(source=True)
    before = state(project)
    result = project.run(retry=True)
    assert result.retried is not None
    assert (result.retried.home, result.retried.repairs) == ({}, ())
    assert state(project) == before


def test_rows_that_changed_are_left_to_a_retry(fixed: Project) -> None:
    """A repair is about the row that was seen: one that is another by now is not touched."""
    effect = apply(fixed, "tickets/too_long", "clip_text")
    assert (effect.changed, effect.home) == (2, {})
    assert effect.left == {"malformed_json": 1}  # 120 has not changed


def test_it_goes_with_nothing_that_contradicts_it(fixed: Project) -> None:
    for more in ({"restart": True}, {"entities": ["tickets"]}):
        with pytest.raises(UsageError, match="--retry goes with neither"):
            fixed.run(retry=True, **more)


def test_the_forecast_stays_what_it_was(fixed: Project) -> None:
    """It was matched, or not, before the source was fixed."""
    before = fixed.run().forecast_matched
    assert fixed.run(retry=True).forecast_matched is before
    assert fixed.migration.report().forecast["matched"] is before


def test_a_parent_that_is_new_at_the_source_is_told(open_world: Opened) -> None:
    """A retry reads quarantined rows, and no others: what it cannot bring home for that it says."""
    project = open_world(source=True)
    project.source.execute("insert into customer values (99, 'north', 'Newcomer', 'new@x', 'basic')")
    retried = project.run(retry=True).retried
    assert retried is not None
    assert (retried.home, retried.unseen) == ({}, {"customers": 1})
    assert "1 row of customers came to the source after the run" in retried_line(retried)
