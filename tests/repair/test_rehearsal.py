"""The forecast tells what the project file's repairs would do, and the run does that: every remedy, one after another."""

from __future__ import annotations

import json
import shutil
from typing import Any

from conftest import MakeProject

from repair.cases import CASES
from repair.conftest import OWN
from repair.world import MAPPING, SOURCE, TARGET
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


def test_a_repair_that_fails_is_foreseen_to_do_nothing(make_project: MakeProject) -> None:
    """It fails half way, when its rows are decided about already; the next one finds them as they were."""
    project = make_project(FORESEEABLE, TARGET)
    lost = {"to": "notes", "values": {"ticket_id": {"to": "tickets", "path": "qty"}}}
    asked = [
        {"cause": "parts/out_of_range", "remedy": "archive", "set": lost},
        {"cause": "parts/out_of_range", "remedy": "set_value", "set": {"value": 7}},
    ]
    project.write(MAPPING, "repairs:\n" + "\n".join(f"  - {json.dumps(one)}" for one in asked))
    forecast, result = project.check(), project.run()
    assert [(told["remedy"], told["chosen"]) for told in forecast.repairs] == [("archive", 0), ("set_value", 2)]
    assert [effect.request.remedy for effect in result.repairs] == ["set_value"]
    assert "2 notes could not be written (dangling_reference)" in project.notes[-1]
    assert forecast.open == result.open
    assert result.forecast_matched
