# ruff: noqa: E501
"""Rows that need each other come home together: persons and the teams they lead, sites within sites, one within itself."""

from __future__ import annotations

import json

import pytest
from conftest import MakeProject, Project

from repair.world import apply, asked, dispositions, fates, preview

SOURCE = """
create table team (id int primary key, lead_id int not null, title text);
create table person (id int primary key, team_id int not null, name text, mail text);
insert into team values (1, 1, 'Oak'), (2, 4, 'Ash'), (3, 6, 'Sycamore maple'), (4, 8, 'Elm'), (5, 10, 'Fir');
insert into person values (1, 1, 'Wren', 'a'), (2, 1, 'Lark', 'b'),
    (4, 2, 'Nightingale', 'c'), (5, 2, 'Owl', 'd'),                  -- leads team 2, which keeps back another one
    (6, 3, 'Yellowhammer', 'e'),                                     -- and its team has a defect of its own
    (8, 4, 'Forbidden Goldfinch', 'f'), (9, 4, 'Rook', 'g'),         -- and the target does not take it either
    (10, 5, 'Oystercatcher', 'b');                                   -- and its mail is somebody else's
create table site (id int primary key, in_id int not null, name text, extra text);
insert into site values (1, 1, 'North', '{}'), (2, 2, 'South', '{''a'': 1}');    -- within itself, and malformed
insert into site select n, n - 1, 'S' || n, '{}' from generate_series(3, 40) n;
create table visit (id int primary key, site_id int not null);
insert into visit values (1, 1), (2, 40);
"""
TARGET = """
create table teams (id uuid primary key, lead_id uuid not null, title varchar(10));
create table persons (id uuid primary key, team_id uuid not null references teams, name varchar(10) check (name not like 'Forbidden%'),
    mail text unique);
alter table teams add foreign key (lead_id) references persons;
create table sites (id uuid primary key, in_id uuid not null references sites, name text, extra jsonb);
create table visits (id uuid primary key, site_id uuid not null references sites);
"""
MAPPING = """
teams: {from: team, columns: {title: title}, references: {lead_id: {to: persons, path: lead_id}}}
persons: {from: person, columns: {name: name, mail: mail}, references: {team_id: {to: teams, path: team_id}}}
sites: {from: site, columns: {name: name, extra: {from: extra, convert: jsonb}}, references: {in_id: {to: sites, path: in_id}}}
visits: {from: visit, references: {site_id: {to: sites, path: site_id}}}
"""
TABLES = ("teams", "persons", "sites", "visits", "rowcall.settlements", "rowcall.quarantine")
CLIPPED = ("persons/too_long", "clip_text")


@pytest.fixture
def circles(make_project: MakeProject) -> Project:
    project = make_project(SOURCE, TARGET)
    project.write(MAPPING)
    project.run()
    return project


def state(project: Project) -> list[str]:
    asked = "select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {} t"
    return [str(project.target.value(asked.format(table))) for table in TABLES]


def test_a_row_brings_along_what_it_needs_and_nothing_else(circles: Project) -> None:
    before = state(circles)
    assert preview(circles, *CLIPPED, keys=("4",)).home == {"persons": 1, "teams": 1}
    effect = apply(circles, *CLIPPED, keys=("4",))
    assert effect.home == {"persons": 1, "teams": 1}
    assert dispositions(circles, "persons")["5"] == "open"  # a victim, whom nobody needs
    assert circles.migration.verify().ok
    circles.prove()
    circles.migration.healing.undo(effect.repair or 0)
    assert state(circles) == before


def test_victims_follow_in_the_same_repair(circles: Project) -> None:
    assert apply(circles, *CLIPPED, keys=("4",), follow=True).home == {"persons": 2, "teams": 1}


def test_a_circle_with_two_defects_comes_home_with_the_second(circles: Project) -> None:
    first = apply(circles, *CLIPPED, keys=("6",))
    assert (first.home, fates(first, "persons")) == ({}, {"6": "parent_quarantined"})
    second = apply(circles, "teams/too_long", "clip_text")
    assert second.home == {"persons": 1, "teams": 1}
    healing = circles.migration.healing
    healing.undo(second.repair or 0)
    assert dispositions(circles, "persons")["6"] == "open"


def test_what_the_target_refuses_keeps_back_its_own_circle_alone(circles: Project) -> None:
    effect = apply(circles, *CLIPPED, follow=True)
    assert fates(effect, "persons") == {
        "4": "home", "5": "home", "6": "parent_quarantined", "8": "refused_by_target", "10": "duplicate_key",
    }  # fmt: skip
    assert effect.home == {"persons": 2, "teams": 1}
    assert circles.migration.verify().ok


def test_a_whole_tree_follows_its_root_at_once(circles: Project) -> None:
    before = state(circles)
    effect = apply(circles, "sites/malformed_json", "repair_json", follow=True)
    assert effect.home == {"sites": 39, "visits": 1}
    assert circles.target.value("select count(*) from sites where in_id = id") == 2
    circles.migration.healing.undo(effect.repair or 0)
    assert state(circles) == before


def test_follow_parent_fetches_the_circle_of_a_victim(circles: Project) -> None:
    apply(circles, "sites/malformed_json", "repair_json")
    assert apply(circles, "visits/parent_quarantined", "follow_parent").home == {"sites": 38, "visits": 1}


def test_a_retry_takes_a_circle_as_a_run_does(circles: Project) -> None:
    before = state(circles)
    circles.source.execute(
        "update person set name = 'Finch' where id in (4, 6); update site set extra = null where id = 2;"
        "update person set name = 'Hoopoe of old' where id = 8; delete from person where id = 10"
    )
    retried = circles.run(retry=True).retried
    assert retried is not None
    assert (retried.home, retried.gone) == ({"persons": 2, "teams": 1, "sites": 39, "visits": 1}, {"persons": 1})
    told = {key: [t["code"] for t in circles.rejections("teams", key)] for key in ("3", "4", "5")}
    assert told == {"3": ["too_long", "parent_quarantined"], "4": ["parent_quarantined"], "5": ["dangling_reference"]}
    assert [t["value"] for t in circles.rejections("persons", "8")] == ["Hoopoe of old", "4"]
    assert circles.migration.verify().ok
    circles.prove()
    for record in reversed(circles.migration.healing.repairs()):
        circles.migration.healing.undo(record.id)
    assert circles.target.value("select count(*) from sites") == 1
    assert state(circles)[:4] == before[:4]


def test_a_forecast_of_repairs_knows_circles(make_project: MakeProject) -> None:
    foreseeable = SOURCE.replace("Forbidden ", "").replace("'Oystercatcher', 'b'", "'Oystercatcher', 'h'")
    project = make_project(foreseeable, TARGET)
    repairs = [
        {"cause": "teams/too_long", "remedy": "clip_text"},
        {"cause": "persons/too_long", "remedy": "clip_text", "follow": True},
        {"cause": "sites/malformed_json", "remedy": "repair_json", "follow": True},
    ]
    project.write(MAPPING, "repairs:\n" + "\n".join(f"  - {json.dumps(one)}" for one in repairs))
    forecast = project.check()
    result = project.run()
    homes = [effect.home for effect in result.repairs]
    assert homes[1:] == [{"persons": 4, "teams": 3}, {"sites": 39, "visits": 1}]
    assert [told["home"] for told in forecast.repairs] == homes
    assert forecast.open == result.open
    assert result.forecast_matched


def test_a_request_that_is_taken_back_leaves_nothing(circles: Project) -> None:
    before = state(circles)
    for cause, remedy in (CLIPPED, ("sites/malformed_json", "repair_json")):
        circles.migration.healing.preview(asked(cause, remedy, follow=True))
    assert state(circles) == before
