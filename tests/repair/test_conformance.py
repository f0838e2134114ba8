"""What every remedy owes: preview equals apply, what comes home is sound and accounted for, undo leaves nothing behind. A new
remedy has a case in cases.py, or this fails."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import Any

import pytest
from conftest import Project

from repair.cases import CASES, Case
from repair.conftest import OWN, Opened
from repair.world import dispositions, home, secrets, state, sums
from rowcall.errors import UsageError
from rowcall.healing import actor
from rowcall.repair import Effect, Undone, find_remedies
from rowcall.rows import Disposition

REMEDIES = find_remedies(OWN)
TRIALS = [(name, case) for name in REMEDIES for case in CASES.get(name, ())]
IDS = [f"{name}-{case.cause}-{place}" for place, (name, case) in enumerate(TRIALS)]
DECISIONS = {name: remedy.disposition.value for name, remedy in REMEDIES.items() if remedy.disposition}


@dataclass
class Trial:
    """One case, gone through once: preview, apply, apply again, undo; and what was seen on the way."""

    remedy: str
    case: Case
    project: Project
    words: list[str] = field(default_factory=list)  # all that was logged or told
    states: dict[str, dict[str, str]] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    seen: dict[str, Any] = field(default_factory=dict)  # what was true while it was applied
    again: str = ""

    def __call__(self) -> None:
        healing, request = self.project.migration.healing, self.case.request(self.remedy)
        earlier = [healing.apply(request) for request in self.case.before]
        self.secrets = {w for w in secrets(self.project) if w not in json.dumps(dict(self.case.settings))}
        self.seen["home"] = {entity: home(self.project, entity) for entity in self.case.home}
        self._keep("before")
        self.preview: Effect = healing.preview(request)
        self._keep("previewed")
        self.effect: Effect = healing.apply(request)
        self._keep("applied")
        self._look()
        if not self.waiting:
            with pytest.raises(UsageError) as refused:
                healing.apply(request)
            self.again = str(refused.value)
            self._keep("again")
        assert self.effect.repair is not None
        self.undone: Undone = healing.undo(self.effect.repair, "only tried")
        self._keep("undone")
        for effect in reversed(earlier):
            healing.undo(effect.repair or 0)
        self.words += self.project.notes

    @property
    def waiting(self) -> bool:
        """Whether rows of the cause wait when it is done: then it may be done again."""
        return bool(self.case.left or self.case.unhealed)

    def _keep(self, when: str) -> None:
        self.states[when] = state(self.project)

    def _look(self) -> None:
        target, migration = self.project.target, self.project.migration
        self.seen = {
            "sums": sums(self.project),
            "verified": migration.verify().ok,
            "home": {entity: home(self.project, entity) - self.seen["home"][entity] for entity in self.case.home},
            "dispositions": dispositions(self.project, self.case.entity),
            "synthetic": target.value("select count(*) from rowcall.synthetic_row where version is not null"),
            "proofs": {cause.proof.held for cause in migration.prove(entity=self.case.entity) if cause.proof},
        }

    def audit(self, columns: str) -> tuple[Any, ...]:
        (found,) = self.project.target.rows(f"select {columns} from rowcall.repair where id = %s", [self.effect.repair])
        return found


class _Words(logging.Handler):
    def __init__(self, words: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self.words = words

    def emit(self, record: logging.LogRecord) -> None:
        self.words.append(record.getMessage())


@pytest.fixture(scope="module")
def sound() -> list[Project]:
    """The shop as the last trial left it, where that left nothing behind."""
    return []


@pytest.fixture(scope="module", params=TRIALS, ids=IDS)
def trial(request: pytest.FixtureRequest, shops: Opened, sound: list[Project]) -> Trial:
    remedy, case = request.param
    made = Trial(remedy, case, sound.pop() if sound else shops())
    handler, root = _Words(made.words), logging.getLogger()
    root.addHandler(handler)
    try:
        made()
    finally:
        root.removeHandler(handler)
    if made.states["undone"] == made.states["before"]:
        sound.append(made.project)
    return made


@pytest.mark.parametrize("name", REMEDIES)
def test_every_remedy_is_tried(name: str) -> None:
    assert CASES.get(name), f"{name} has no case in tests/repair/cases.py"


def test_no_case_is_left_over() -> None:
    assert set(CASES) == set(REMEDIES)


def test_a_preview_changes_nothing(trial: Trial) -> None:
    assert trial.states["previewed"] == trial.states["before"]
    assert trial.preview.repair is None


def test_preview_equals_apply_row_for_row(trial: Trial) -> None:
    foreseen, came = (
        {row: (fate.target_id, fate.left_for) for row, fate in effect.fates.items()}
        for effect in (trial.preview, trial.effect)
    )
    assert foreseen == came
    told, done = ({**e.as_json(), "repair": 0, "victims": 0, "brings_home": 0} for e in (trial.preview, trial.effect))
    assert told == done


def test_the_effect_is_that_of_the_answer_sheet(trial: Trial) -> None:
    case, effect = trial.case, trial.effect
    left = {key: fate.left_for for (entity, key), fate in effect.fates.items() if fate.left_for}
    assert {entity: rows for entity, rows in effect.home.items() if rows} == {e: len(k) for e, k in case.home.items()}
    assert {(e, k) for (e, k), fate in effect.fates.items() if fate.target_id} == {
        (e, k) for e, keys in case.home.items() for k in keys
    }
    assert left == dict(case.left)
    assert effect.unhealed == len(case.unhealed)
    assert effect.created == case.created
    assert effect.decided == len(case.decided)
    chosen = len(case.home.get(case.entity, ())) + len(case.left) + len(case.unhealed) + len(case.decided)
    assert (effect.chosen, effect.changed) == (chosen, 0)


def test_what_came_home_is_sound(trial: Trial) -> None:
    """Line, disposition, uuid and target row agree (`home` asserts that); the sums close, verify finds no difference, and
    the proofs hold."""
    assert trial.seen["home"] == {entity: set(keys) for entity, keys in trial.case.home.items()}
    assert trial.seen["sums"]
    assert trial.seen["verified"]
    assert trial.seen["proofs"] == {True}
    assert trial.seen["synthetic"] == trial.case.created


def test_rows_that_did_not_come_home_wait(trial: Trial) -> None:
    told = trial.seen["dispositions"]
    decided = {key for key in trial.case.decided if told[key] == DECISIONS[trial.remedy]}
    assert decided == set(trial.case.decided)
    waiting = [told[key] for key in (*trial.case.left, *trial.case.unhealed)]
    assert set(waiting) <= {Disposition.OPEN.value}


def test_the_cause_stays_known_after_a_repair(trial: Trial) -> None:
    """The quarantine keeps payload and rejections of what came home, so that the original is never lost."""
    sql = "select count(*) from rowcall.quarantined_row where payload is null or rejections is null"
    assert trial.project.target.value(sql) == 0


def test_nothing_waits_for_a_second_time(trial: Trial) -> None:
    if not trial.waiting:
        assert f"no row of {trial.case.cause} waits for a decision" in trial.again
        assert trial.states["again"] == trial.states["applied"]


def test_undo_leaves_nothing_behind(trial: Trial) -> None:
    assert trial.states["applied"] != trial.states["before"]
    assert trial.states["undone"] == trial.states["before"]
    assert trial.undone.rows == {entity: len(keys) for entity, keys in trial.case.home.items()}
    assert trial.undone.created == trial.case.created
    assert trial.project.target.value("select count(*) from rowcall.synthetic_row where version is not null") == 0


def test_the_audit_says_who_when_why_and_with_what(trial: Trial) -> None:
    remedy, settings, who, why, fingerprint = trial.audit("remedy, settings, actor, reason, mapping_fingerprint")
    assert (remedy, who, why) == (trial.remedy, actor(), "as agreed")
    assert settings.items() >= json.loads(json.dumps(dict(trial.case.settings))).items()
    assert fingerprint == trial.project.target.value("select mapping_fingerprint from rowcall.run")
    state_, undone_by, undone_why, ordered = trial.audit(
        "state::text, undone_by, undone_reason, applied_at < undone_at"
    )
    assert (state_, undone_by, undone_why, ordered) == ("undone", actor(), "only tried", True)
    sums_ = trial.audit("rows_chosen, rows_amended, rows_home, rows_created")
    effect = trial.effect
    assert sums_ == (effect.chosen, effect.amended, effect.rows + effect.decided, effect.created)


def test_no_value_of_a_row_is_told(trial: Trial) -> None:
    assert len(trial.secrets) > 50
    told = [repr(e) + str(e) + json.dumps(e.as_json(), default=str) for e in (trial.preview, trial.effect)]
    told += [repr(trial.undone), trial.again, *trial.words, repr(list(trial.effect.fates.values()))]
    assert {word for word in trial.secrets if any(word in text for text in told)} == set()
