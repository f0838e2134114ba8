"""The benchmark runs from end to end, ends cleanly, and its page says what was measured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import install, page, picture
from bench.clock import Command, Job, WayFailed, take
from bench.peers import PEERS, gather
from bench.results import with_ratios
from bench.world import HERE
from rowcall.postgres.embedded import EmbeddedServers

QUICK = ("--scale", "small", "--rows", "1200", "--repeat", "1", "--patience", "0")


def start(tmp_path: Path, only: str) -> subprocess.Popen[str]:
    words = (*QUICK, "--only", only, "--out", str(tmp_path / "out.json"), "--work", str(tmp_path / "work"))
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *words],
        cwd=HERE.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={key: value for key, value in os.environ.items() if not key.startswith("ROWCALL_")},
    )


def test_every_way_moves_the_same_rows(tmp_path: Path) -> None:
    process = start(tmp_path, "floor,kept,rowcall,check,expert,script")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    document = json.loads((tmp_path / "out.json").read_text())
    ways = document["ways"]
    assert {way["status"] for way in ways.values()} == {"measured"}
    assert document["rows"]["source"] == 1200 > document["rows"]["sound"]
    assert {way["rows"] for name, way in ways.items() if name != "check"} == {document["rows"]["sound"]}
    assert set(ways["floor"]["steps"]) == {"pipe", "keys", "analyze"}
    assert "rowcall run" in out
    assert "rowcall run" in page.page(document)
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, "rowcall,script")
    assert process.stderr is not None
    while "rowcall run ..." not in (line := process.stderr.readline()):
        assert line, "it ended by itself"
    outside = EmbeddedServers(tmp_path / "work" / "demo").outside
    process.send_signal(number)
    assert process.wait(timeout=60) == 130
    assert "interrupted" in process.stderr.read()
    assert not (tmp_path / "work").exists()
    assert not outside.exists()
    assert not (tmp_path / "out.json").exists()


# -- what it measures with ----------------------------------------------------------------------------------------------


def job(*scripts: str) -> Job:
    return Job("job", [Command((sys.executable, "-c", script)) for script in scripts])


def test_a_pipe_is_timed_as_a_whole(tmp_path: Path) -> None:
    timing = take(
        job(
            "import time; time.sleep(0.3); print('x' * 10)",
            "import sys; sys.exit(len(sys.stdin.read()) - 11)",
        ),
        tmp_path / "log",
        30,
    )
    assert 0.25 < timing.seconds < 10  # two clocks may differ by a little


def test_memory_is_that_of_all_processes_together(tmp_path: Path) -> None:
    eat = "import time; block = bytearray(80_000_000); block[::4096] = b'x' * len(block[::4096]); time.sleep(1)"
    timing = take(job(eat, eat), tmp_path / "log", 30)
    assert 160e6 < timing.peak_rss < 300e6


@pytest.mark.parametrize(
    ("script", "limit", "said"),
    [
        ("import sys; sys.exit('no such table')", 30, "ended with 1: no such table"),
        ("import time; time.sleep(60)", 0.5, "was ended after"),
    ],
)
def test_a_way_that_fails_says_why(tmp_path: Path, script: str, limit: float, said: str) -> None:
    with pytest.raises(WayFailed, match=said):
        take(job(script), tmp_path / "log", limit)


def test_an_absent_peer_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(install, "PEERS", tmp_path / "peers")
    heard: list[str] = []
    ways, absent = gather([peer for peer in PEERS if peer.name == "pgloader"], heard.append)
    assert ways == []
    assert absent["pgloader"].as_json()["status"] == "absent"
    assert "apt-get cannot be run" in absent["pgloader"].reason
    assert any(line.startswith("ABSENT: pgloader") for line in heard)


# -- what it says -------------------------------------------------------------------------------------------------------


@pytest.fixture
def document() -> Any:
    return json.loads(page.RESULTS.read_text())


@pytest.mark.parametrize(("file", "made"), [(page.PAGE, page.page), (page.PICTURE, picture.picture)])
def test_the_page_says_what_was_measured(file: str, made: Callable[[Any], str], document: Any) -> None:
    assert (page.DOCS / file).read_text() == made(document), "run `python -m bench.page`"


def test_ratios_and_targets_follow_from_the_seconds(document: Any) -> None:
    assert with_ratios(document) == document


def test_a_target_whose_way_is_missing_is_not_met(document: Any) -> None:
    del document["ways"]["pgloader"]
    [target] = [t for t in with_ratios(document)["targets"] if "pgloader" in t["name"]]
    assert (target["value"], target["met"]) == (None, None)
    assert "| faster than pgloader | at least 1.8 x |  | not measured |" in page.page(with_ratios(document))


def test_a_missed_target_is_shown(document: Any) -> None:
    document["ways"]["rowcall"]["median"] = document["ways"]["floor"]["median"] * 2
    assert "| run, of the floor | at most 1.5 x | 2 x | **no** |" in page.page(with_ratios(document))


@pytest.mark.parametrize(("load", "told"), [(0.05, False), (2.0, True)])
def test_a_busy_machine_is_told(load: float, told: bool, document: Any) -> None:
    assert ("A rehearsal" in page.page({**document, "load": load})) is told
