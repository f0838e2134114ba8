"""The forecast tells what the project file's repairs would do, and the run does that: every remedy, one after another."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from conftest import MakeProject

from repair.cases import CASES
from repair.conftest import OWN
from repair.world import MAPPING, SOURCE, TARGET
from rowcall.errors import UsageError
from rowcall.repair import find_remedies

# What the target alone refuses is not foreseen.
FORESEEABLE = SOURCE + "delete from note where body like 'Forbidden%';"
TOLD = ("entity", "code", "remedy", "chosen", "home", "decided", "left", "created")


def every_remedy() -> str:
    """A section `repairs:` with the first case of every remedy, and its last one."""
    asked: list[dict[str, Any]] = []
    for name in find_remedies(OWN):
        for case in dict.fromkeys((0, len(CASES[name]) - 1)):
            one = CASES[name][case]
            asked += [
                {"cause": f"{r.entity}/{r.code}", "remedy": r.remedy, "set": dict(r.settings)} for r in one.before
            ]
            asked.append({"cause": one.cause, "remedy": name, "set": dict(one.settings), "reason": "as agreed"})
    return "repairs:\n" + "\n".join(f"  - {json.dumps(one)}" for one in asked)


def test_a_run_repairs_what_was_foreseen(make_project: MakeProject) -> None:
    project = make_project(FORESEEABLE, TARGET)
    shutil.copytree(OWN, project.folder, dirs_exist_ok=True)
    project.write(MAPPING, every_remedy())
    forecast = project.check()
    result = project.run()
    foreseen = [{name: told[name] for name in TOLD} for told in forecast.repairs if told["chosen"]]
    done = [{name: effect.as_json()[name] for name in TOLD} for effect in result.repairs]
    assert foreseen == done
    assert {told["remedy"] for told in done} == set(find_remedies(OWN))
    assert forecast.open == result.open
    assert result.forecast_matched
    assert project.migration.verify().ok


def test_a_repair_that_fails_stops_those_behind_it(make_project: MakeProject) -> None:
    """A forecast says so before anything is moved; a run is complete then, and goes on with them once the repair is mended."""
    project = make_project(FORESEEABLE, TARGET)
    lost = {"to": "notes", "values": {"ticket_id": {"to": "tickets", "path": "qty"}}}
    asked = [
        {"cause": "tickets/too_long", "remedy": "clip_text"},
        {"cause": "parts/out_of_range", "remedy": "archive", "set": lost},
        {"cause": "parts/out_of_range", "remedy": "accept", "reason": "of no use"},
    ]
    sections = "repairs:\n" + "\n".join(f"  - {json.dumps(one)}" for one in asked)
    project.write(MAPPING, sections)
    told = r"rowcall.yaml:8:5: archive for parts/out_of_range: 2 notes could not be written \(dangling_reference\)"
    for attempt in (project.check, project.run, project.run):
        with pytest.raises(UsageError, match=told):
            attempt()
    assert [r.remedy for r in project.migration.healing.repairs()] == ["clip_text"]
    project.write(MAPPING, sections.replace(json.dumps(lost), "{}"))
    assert [effect.request.remedy for effect in project.run().repairs] == ["archive"]
    assert project.migration.status().state == "complete"
