"""The simulation behaves as the machines that it stands for, agrees with the clock, and the page says what it found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import rates as measured
from bench import scaling_page
from bench.legs import legs
from bench.plant import GIGABIT, MEGABYTE, Setup, simulate
from bench.rates import Rates, Statement, is_quiet, rates
from bench.simulate import RESULTS, benchmarks, bottleneck, comparable, comparisons, main, one_machine, with_losses
from bench.world import HERE, Size, world
from rowcall.plan.plan import CHUNK_ROWS

ROWS = 200_000_000
# Per row: source 1 us, engine 6 us, target 4 us; 200 bytes here and there.
RATES = Rates(
    measured=2_000_000, start=1.0, analyze=0.5, plan_cpu=0.1e-6, read_cpu=1e-6, engine_cpu=6e-6, write_cpu=3e-6, ledger_cpu=1e-6,
    source_bytes=200, read_bytes=200, sent_bytes=260, heap_bytes=200, ledger_bytes=60, index_bytes=80, wal_bytes=250,
    wal_keys_bytes=80, temporary_bytes=80,
    indexes={"one": Statement(0.5, 0.5, 60, 200), "two": Statement(0.5, 0.5, 60, 200)},
    foreign_keys={"link": Statement(0.2, 0, 0, 200)},
    gate_source=Statement(0.1, 0.1, 0, 200), gate_target=Statement(0.2, 0, 0, 60),
    crosswalk=[(1000, 0.0, 2e-6), (1_000_000, 1.0, 2e-6), (10_000_000, 10.0, 20e-6)],
)  # fmt: skip
SETUP = Setup(
    ROWS, worker_cores=8, threads=16, source_cores=8, target_cores=16, network=25, source_disk=4000, target_disk=4000
)


def seconds(**more: Any) -> float:
    return simulate(replace(SETUP, **more), RATES).phase("rows").seconds


# -- as the machines that it stands for ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, CHUNK_ROWS - 1, CHUNK_ROWS + 1, 3_000_017, 10**9])
def test_every_row_is_settled_once(rows: int) -> None:
    outcome = simulate(replace(SETUP, rows=rows), RATES)
    assert (outcome.settled, outcome.repeated) == (rows, 0)


@pytest.mark.parametrize("workers", [1, 4])
def test_no_part_does_more_than_it_can(workers: int) -> None:
    outcome = simulate(replace(SETUP, workers=workers), RATES)
    assert all(load <= 1 + 1e-9 for phase in outcome.phases for load in phase.load.values())
    least = {
        "engines": RATES.engine_cpu / (8 * workers),
        "target": (RATES.write_cpu + RATES.ledger_cpu) / 16,
        "source": RATES.read_cpu / 8,
        "target's disk": (RATES.heap_bytes + RATES.ledger_bytes + RATES.wal_bytes) / (4000 * MEGABYTE),
        "network": RATES.sent_bytes / (25 * GIGABIT),
    }
    taken = outcome.phase("rows").seconds
    assert max(least.values()) * ROWS <= taken <= 1.25 * max(least.values()) * ROWS


def test_one_machine_is_busy_with_all_of_it() -> None:
    outcome = simulate(one_machine(ROWS, 2), RATES)
    assert outcome.phase("rows").seconds == pytest.approx(ROWS * 11e-6 / 2, rel=0.02)
    assert bottleneck(outcome, "rows") == "the machine's cores"


@pytest.mark.parametrize(
    "more", [{"target_cores": 32}, {"source_cores": 16}, {"network": 50.0}, {"target_disk": 8000.0}]
)
def test_doubling_what_is_not_short_changes_nothing_much(more: dict[str, Any]) -> None:
    assert seconds(**more) == pytest.approx(seconds(), rel=0.03)


def test_doubling_what_is_short_nearly_halves_the_time() -> None:
    assert seconds(worker_cores=16, threads=32) == pytest.approx(seconds() / 2, rel=0.1)


def test_what_is_short_moves_as_engines_are_added() -> None:
    few, many = simulate(SETUP, RATES), simulate(replace(SETUP, workers=8), RATES)
    slow = simulate(replace(SETUP, workers=8, target_disk=500.0), RATES)
    found = [bottleneck(outcome, "rows") for outcome in (few, many, slow)]
    assert found == ["engines' cores", "target's cores", "target's disk"]


def test_too_few_threads_are_told() -> None:
    assert bottleneck(simulate(replace(SETUP, threads=2), RATES), "rows") == "the threads of the engines"


def test_chunks_that_stand_for_several_tell_the_same() -> None:
    one, ten = seconds(rows=7 * 10**7), seconds(rows=7 * 10**8)
    assert ten == pytest.approx(10 * one, rel=0.05)


def test_an_index_costs_more_than_its_rows() -> None:
    small, large = (RATES.index("one", rows).leader for rows in (2 * 10**6, 2 * 10**9))
    assert small == 0.5
    assert 1000 * small < large < 2000 * small


def test_what_the_target_wrote_is_read_again_where_memory_is_short() -> None:
    keys = [
        simulate(replace(SETUP, target_disk=500, memory=memory), RATES).phase("keys").seconds for memory in (640.0, 1.0)
    ]
    assert keys[1] > 1.5 * keys[0]


def test_many_parents_cost_the_engines() -> None:
    assert seconds(parents=1000) == pytest.approx(seconds(), rel=0.01)
    assert seconds(parents=20_000_000) > 5 * seconds()


def test_a_lost_engine_costs_its_share_and_no_row() -> None:
    setup = replace(SETUP, workers=4, worker_cores=4, notice=1.0)
    whole, hurt = simulate(setup, RATES), with_losses(setup, RATES, 2)
    assert hurt.settled == ROWS
    assert hurt.repeated > 0
    assert 1.1 < hurt.phase("rows").seconds / whole.phase("rows").seconds < 2


def test_all_engines_cannot_be_lost() -> None:
    with pytest.raises(ValueError, match="must be left"):
        simulate(replace(SETUP, losses=(1.0,)), RATES)


# -- the commands -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["--rows", "0"], ["--workers", "2", "--lose", "2"], ["--network", "-1"], ["--rates", "none.json"]]
)
def test_what_makes_no_sense_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert "error:" in capsys.readouterr().err


def test_it_says_how_long_and_what_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rows", "1e8", "--workers", "2", "--lose", "1"]) == 0
    said = capsys.readouterr().out
    assert "100,000,000 rows in" in said
    assert "and where 1 engine machines are lost" in said


@pytest.mark.soak  # measured for long: CI's time is bounded
def test_rates_are_measured_from_end_to_end(tmp_path: Path) -> None:
    with world(tmp_path / "work", Size("seed", 60_000)) as here:
        document = legs(here, 1, 120, (10, 1000))
    assert document["rows"]["source"] == 60_000 > document["rows"]["migrated"] > 55_000
    assert all(document["bytes"][name] > 1_000_000 for name in ("read", "sent_rows", "sent_ledger", "heap", "wal_rows"))
    assert [point["parents"] for point in document["crosswalk"]] == [10, 1000]
    found = rates(document)
    assert 0 < found.engine_cpu < 1e-3
    assert simulate(one_machine(10**6, 2), found).settled == 10**6
    assert scaling_page.page(document, None).startswith("# More rows")


@pytest.mark.soak  # measured for long: CI's time is bounded
def test_an_interrupt_ends_the_measurement_cleanly(tmp_path: Path) -> None:
    words = ["--scale", "small", "--repeat", "9", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out.json")]
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.legs", *words], cwd=HERE.parent, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    while "rowcall run ..." not in (line := process.stderr.readline()):
        assert line, "it ended by itself"
    process.terminate()
    assert process.wait(timeout=60) == 130
    assert "interrupted" in process.stderr.read()
    assert list(tmp_path.iterdir()) == []


# -- what was measured --------------------------------------------------------------------------------------------------


@pytest.fixture
def document() -> Any:
    return scaling_page.read(measured.RATES)


@pytest.fixture
def results() -> Any:
    return scaling_page.read(RESULTS) if RESULTS.exists() else None


def test_the_simulation_agrees_with_the_clock(document: Any) -> None:
    if not is_quiet(document):
        pytest.skip("others worked on the machine when the rates were measured")
    found = comparisons(document, None)
    assert [round(each.error, 2) for each in found if abs(each.error) > 0.3] == []


def test_ten_times_the_rows_take_as_many_times_as_long_as_measured(document: Any, results: Any) -> None:
    if results is None or len(benchmarks(results)) < 2 or not comparable(document, results):
        pytest.skip("the benchmark has no figures of this machine while it was quiet")
    small, large = comparisons({**document, "others": 1.0}, results)
    assert large.simulated / small.simulated == pytest.approx(large.measured / small.measured, rel=0.3)


@pytest.mark.parametrize(
    ("file", "made"),
    [
        (scaling_page.PAGE, lambda document, results: scaling_page.page(document, results)),
        (scaling_page.PICTURE, lambda document, _: scaling_page.drawn(document)),
    ],
)
def test_the_page_says_what_was_found(file: str, made: Callable[[Any, Any], str], document: Any, results: Any) -> None:
    assert (scaling_page.DOCS / file).read_text() == made(document, results), "run `python -m bench.scaling_page`"


@pytest.mark.soak  # measured for long: CI's time is bounded
def test_rates_that_others_disturbed_are_not_compared(document: Any) -> None:
    assert comparisons({**document, "others": 0.9}, None) == []
    text = scaling_page.page({**document, "others": 0.9}, None)
    assert "not compared" in text
    assert "others took 90 % of the machine" in " ".join(text.split())
