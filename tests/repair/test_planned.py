"""Repairs as code: `remedies:` and `repairs:` of the project file."""

from __future__ import annotations

from textwrap import dedent

import pytest
from conftest import MakeProject, Project

from repair.conftest import Opened
from repair.world import MAPPING, SOURCE, TARGET, apply, dispositions, fates, home, row
from rowcall.errors import MappingError

REPAIRS = """
remedies:
  customers/not_in_enum:
    map_values: {map: {GOLDEN: gold, PLATIN: gold, 1: gold, null: gold}}
  tickets/too_long:
    clip_text: {mark: "~"}
repairs:
  - {cause: customers/not_in_enum, remedy: map_values, follow: true}
  - {cause: tickets/too_long, remedy: clip_text, set: {mark: "!"}, reason: the ends are of no use}
  - {cause: tickets/malformed_json, remedy: repair_json}
  - {cause: notes/rule_failed, remedy: accept, reason: test data}
"""
DONE = ["map_values", "clip_text", "repair_json", "accept"]


def done(project: Project) -> list[tuple[str, str, str]]:
    return [(r.remedy, r.state, r.origin) for r in project.migration.healing.repairs()]


def with_more(project: Project, more: str) -> Project:
    project.write(MAPPING, more)
    return project


def test_a_run_applies_them_in_their_order(make_project: MakeProject) -> None:
    """Once: a second run does nothing, and one that was undone is not repeated."""
    project = with_more(make_project(SOURCE, TARGET), REPAIRS)
    result = project.run()
    assert [effect.request.remedy for effect in result.repairs] == DONE
    assert done(project) == [(remedy, "applied", "project") for remedy in DONE]
    assert result.repairs[0].home == {"customers": 2, "shops": 1, "tickets": 1, "notes": 1, "files": 1}
    # 120 is too long and malformed: the second leaves it for the third.
    assert fates(result.repairs[2], "tickets")["120"] == "home"
    assert row(project, "tickets", 120)["title"] == "Tangerine!"
    assert {k for k, told in dispositions(project, "notes").items() if told == "accepted"} == {"205", "206"}
    assert result.open == project.target.value("select count(*) from rowcall.quarantine where disposition = 'open'")
    assert project.migration.verify().ok

    assert project.run().repairs == ()
    for record in reversed(project.migration.healing.repairs()):
        project.migration.healing.undo(record.id)
    assert home(project, "tickets") == set()
    assert project.run().repairs == ()
    assert done(project) == [(remedy, "undone", "project") for remedy in DONE]


def test_a_forecast_knows_what_they_will_do(make_project: MakeProject) -> None:
    """Row for row what the run does; but what only the target can tell: nothing is open then, and the forecast says so."""
    more = (
        REPAIRS
        + """
  - cause: shops/dangling_reference
    remedy: stub_parent
    set:
      values:
        level: basic
        region_id: {to: regions, path: "id -> ticket.shop_id, customer_id -> customer.id, region -> region.code"}
  - {cause: nodes/dangling_reference, remedy: set_null, follow: true}
  - {cause: scans/ambiguous_reference, remedy: pick_parent, set: {by: majority}}
  - {cause: events/cyclic_path, remedy: archive}
"""
    )
    project = with_more(make_project(SOURCE, TARGET), more)
    forecast = project.check()
    result = project.run()
    told = [(r["entity"], r["code"], r["remedy"], r["home"], r["decided"], r["left"]) for r in forecast.repairs]
    assert told == [
        (e.request.entity, e.request.code, e.request.remedy, dict(e.home), e.decided, dict(e.left))
        for e in result.repairs
    ]
    assert forecast.open < forecast.totals.quarantined


def test_a_complete_run_takes_up_what_was_added(world: Project) -> None:
    with_more(world, REPAIRS.replace("- {cause: tickets", "# "))
    assert [e.request.remedy for e in world.run().repairs] == ["map_values", "accept"]
    with_more(world, REPAIRS)
    assert [e.request.remedy for e in world.run().repairs] == ["clip_text", "repair_json"]
    changed = REPAIRS.replace("accept, reason: test data", "defer, reason: later")
    with_more(world, changed)
    assert world.run().repairs == ()  # nothing waits for it any more, which is told
    assert "repair of the project file, defer for notes/rule_failed: no row" in world.notes[-1]


def test_settings_of_the_file_are_taken_where_none_are_given(open_world: Opened) -> None:
    project = open_world(more=REPAIRS.partition("repairs:")[0])
    assert project.run().repairs == ()
    effect = apply(project, "tickets/too_long", "clip_text", keys=("116",))
    assert row(project, "tickets", 116)["title"] == "Pomegrana~"
    assert effect.settings == {"mark": "~"}
    apply(project, "tickets/too_long", "clip_text", keys=("117",), mark="")
    assert row(project, "tickets", 117)["title"] == "Grapefruit"
    offers = project.migration.healing.offers("customers", "not_in_enum")
    assert {offer.remedy: offer.brings_home for offer in offers}["map_values"] == 6  # four victims follow


def test_a_reason_of_the_file_is_in_the_audit(world: Project) -> None:
    with_more(world, REPAIRS)
    world.run()
    told = {r.remedy: (r.reason, r.settings) for r in world.migration.healing.repairs()}
    assert told["accept"] == ("test data", {"reason": "test data"})
    assert told["clip_text"] == ("the ends are of no use", {"mark": "!"})


WRONG = [
    ("remedies: {nobody/too_long: {clip_text: {}}}", "1:12", "there is no entity 'nobody'"),
    ("remedies: {tickets/too_big: {clip_text: {}}}", "1:12", "'too_big' is no reason code"),
    ("remedies: {tickets/too_long: {cut_text: {}}}", "1:31", "there is no remedy 'cut_text'"),
    ("remedies: {tickets/too_long: {set_null: {colour: red}}}", "1:31", "set_null has no setting 'colour'"),
    ("remedies: {tickets/too_long: {map_values: {}}}", "1:31", "map_values does not heal too_long"),
    ("remedies:\n  tickets/too_long:\n    clip_text: {sign: x}", "3:5", "clip_text has no setting 'sign'"),
    ("repairs: [{cause: tickets/too_long}]", "1:11", "write the name of a remedy"),
    ("repairs: [{remedy: clip_text}]", "1:11", "write which rows are meant"),
    ("repairs: [{cause: tickets/too_long, remedy: clip_txt}]", "1:45", "there is no remedy 'clip_txt'"),
    ("repairs:\n  - {cause: nobody/too_long, remedy: clip_text}", "2:13", "there is no entity 'nobody'"),
    ("repairs:\n  - cause: tickets/too_long\n    remedy: map_values", "3:13", "map_values does not heal too_long"),
    ("repairs:\n  - cause: notes/rule_failed\n    remedy: accept", "3:13", "accept needs `reason`"),
    ("repairs:\n  - cause: parts/out_of_range\n    remedy: set_value", "3:13", "set_value needs `value`"),
    ("repairs:\n  - cause: parts/out_of_range\n    remedy: set_null\n    sett: {}", "4:5", "sett"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "place", "told"), WRONG)
def test_what_is_wrong_is_told_with_its_place(open_world: Opened, more: str, place: str, told: str) -> None:
    project = open_world(more=more)
    head = (project.folder / "rowcall.yaml").read_text().partition(dedent(more).strip())[0].count("\n")
    line, column = map(int, place.split(":"))
    with pytest.raises(MappingError) as wrong:
        project.run()
    faults = {(fault.line - head, fault.column): fault.message for fault in wrong.value.faults}
    assert told in faults.get((line, column), f"it is told at {faults}")
    assert project.target.value("select count(*) from rowcall.repair") == 0


def test_all_that_is_wrong_is_told_at_once(open_world: Opened) -> None:
    more = "remedies: {tickets/too_long: {cut_text: {}}}\nrepairs: [{cause: tickets/too_long, remedy: clip_txt}]"
    with pytest.raises(MappingError) as wrong:
        open_world(more=more).run()
    assert len(wrong.value.faults) == 2


def test_they_are_no_part_of_what_a_run_was_made_with(world: Project) -> None:
    before = world.target.value("select mapping_fingerprint from rowcall.run")
    assert with_more(world, REPAIRS).run().complete
    assert world.target.value("select mapping_fingerprint from rowcall.run") == before
