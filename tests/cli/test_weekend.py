"""A migration at the contract's scale, as a user does it, test by test: interrupted and gone on with, then its quarantine decided
to its end: what can be healed comes home, the rest is disposed of."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rowcall.postgres.embedded import EmbeddedServers

from .conftest import here, rowcall

MESSAGES = ("case_messages/dangling_reference", "case_messages/cyclic_path")


@pytest.fixture(scope="module")
def seed_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A demo of its own, for its quarantine is changed here."""
    folder = tmp_path_factory.mktemp("repair") / "demo"
    assert rowcall("demo", folder, "--no-run", "--quiet").code == 0
    assert rowcall("servers", "start", "-p", folder).code == 0
    yield folder
    EmbeddedServers(folder).stop()
    EmbeddedServers(folder).remove()


def call(folder: Path, *words: str, code: int = 0) -> Any:
    done = here("-p", folder, *words, "--json", "--quiet")
    assert done.code == code, done.err
    return done.json


def keys(folder: Path, condition: str) -> dict[str, list[int]]:
    """Entity -> keys of the quarantined rows that meet an SQL condition."""
    sql = f"select entity, source_key from rowcall.quarantine where {condition}"
    done = here("-p", folder, "psql", "target", "-At", "-c", sql)
    found: dict[str, list[int]] = {}
    for line in done.out.splitlines():
        entity, key = line.split("|")
        found.setdefault(entity, []).append(int(key))
    return {entity: sorted(numbers) for entity, numbers in found.items()}


def test_ctrl_c_ends_with_130_and_the_run_goes_on(seed_demo: Path) -> None:
    assert here("check", "--quiet", "-p", seed_demo).code == 3
    started = subprocess.Popen(
        [sys.executable, "-m", "rowcall", "run", "-p", str(seed_demo)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stderr is not None
    for line in started.stderr:
        if "case_messages" in line:
            os.kill(started.pid, signal.SIGINT)
            break
    _, err = started.communicate(timeout=60)
    assert started.returncode == 130
    assert "Traceback" not in err
    state = here("status", "--json", "-p", seed_demo).json
    assert state["state"] == "interrupted"
    assert 0 < state["rows"] < state["expected"]
    done = here("run", "--json", "-p", seed_demo)
    assert done.code == 3
    assert done.json["complete"] is True


def test_a_quarantine_is_decided_to_its_end(seed_demo: Path) -> None:
    facts = json.loads((seed_demo / "answers-facts.json").read_text())
    recoverable, kinds = facts["recoverable"]["case_messages"], facts["kinds"]["system_messages"]

    linked = [
        call(seed_demo, "repair", "apply", cause, "link_parent", "--reason", "general case") for cause in MESSAGES
    ]
    assert sum(effect["rows"] for effect in linked) == 32
    assert keys(seed_demo, "disposition = 'repaired'") == {"case_messages": recoverable["link_parent"]}

    assert call(seed_demo, "repair", "apply", "orders/dangling_reference", "stub_parent")["home"] == {"orders": 5}
    followed = call(seed_demo, "repair", "apply", "case_messages/parent_quarantined", "follow_parent")
    assert followed["home"]["case_messages"] == 16
    home = keys(seed_demo, "disposition = 'repaired'")["case_messages"]
    assert sorted(set(home) - set(recoverable["link_parent"])) == recoverable["follow_parent"]

    mended = call(seed_demo, "repair", "apply", "system_messages/malformed_json", "repair_json")
    assert mended["rows"] == kinds["python"] + kinds["nan"]

    report = call(seed_demo, "report", "--format", "json")
    assert {line["name"]: line["open"] for line in report["entities"]}["case_messages"] == 15
    assert call(seed_demo, "run", code=3)["totals"]["open"] == report["totals"]["open"] > 0
    for cause in report["causes"]:
        if cause["open"]:
            name = f"{cause['entity']}/{cause['code']}"
            decided = call(seed_demo, "dispose", name, "accepted", "--reason", "looked at by the team")
            assert decided["decided"] == cause["open"]

    result = call(seed_demo, "run")  # ends with 0: nothing is open
    assert (result["totals"]["open"], result["forecast"]["matched"]) == (0, True)
    for entity in result["entities"]:
        assert entity["source"] == entity["migrated"] + entity["quarantined"] + entity["excluded"]
    assert call(seed_demo, "verify")["ok"]
    assert all(cause["proof"]["held"] for cause in call(seed_demo, "explain", "--prove")["causes"])


def test_a_repair_that_is_built_on_is_undone_last(seed_demo: Path) -> None:
    repairs = call(seed_demo, "repair", "list")["repairs"]
    stub = next(r["id"] for r in repairs if r["remedy"] == "stub_parent")
    follow = next(r["id"] for r in repairs if r["remedy"] == "follow_parent")
    refused = here("-p", seed_demo, "repair", "undo", str(stub))
    assert refused.code == 1
    assert f"rowcall repair undo {follow}" in refused.err
    for repair in reversed(repairs):
        call(seed_demo, "repair", "undo", str(repair["id"]), "--reason", "rehearsed")
    assert keys(seed_demo, "disposition <> 'open'") == {}
    assert call(seed_demo, "run", code=3)["forecast"]["matched"] is True


def test_mistakes_are_told_in_words(seed_demo: Path) -> None:
    for words, told in {
        ("repair", "preview", "orders", "stub_parent"): "write it as ENTITY/CODE",
        ("repair", "preview", "orders/dangling_reference", "no_such"): "there is no remedy 'no_such'",
        ("repair", "preview", "orders/dangling_reference", "clip_text"): "clip_text does not heal dangling_reference",
        ("repair", "preview", "orders/dangling_reference", "link_parent"): "link_parent needs `path` or `key`",
        ("repair", "preview", "orders/dangling_reference", "link_parent", "--set", "way=x"): "has no setting 'way'",
        ("repair", "preview", "orders/dangling_reference", "link_parent", "--set", "path=nothing -> a.b"): "no column",
        ("repair", "preview", "orders/dangling_reference", "link_parent", "--set", "path"): "is no setting",
        ("repair", "undo", "99"): "there is no repair 99",
        ("dispose", "offices/null_reference", "accepted", "--reason", "x"): "no row of offices/null_reference waits",
        ("purge",): "are open in quarantine",
        ("run", "--retry", "--restart"): "--retry goes with neither",
    }.items():
        done = here("-p", seed_demo, *words)
        assert (done.code, told in done.err, "next:" in done.err) == (2, True, True), (words, done.err)
