"""`python -m bench.simulate`: how long a run of many rows takes on which machines, from the rates in rates.json.

A simulation of chunks that flow through a source, engines and a target (see bench/plant.py), each row as dear as it was measured.
From some 10^8 rows on a simulated chunk stands for several, so that it ends within seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from bench.machine import BUSY
from bench.plant import Outcome, Setup, simulate
from bench.rates import RATES, Rates, is_quiet, rates

RESULTS = RATES.parent / "results.json"
FULL = 0.9  # of a part's capacity: from here on it is what holds the phase up


def one_machine(rows: int, cores: int, *, disk: float = 0.0) -> Setup:
    """Both servers and the engine on one machine."""
    return Setup(
        rows,
        worker_cores=cores,
        source_cores=cores,
        target_cores=cores,
        source_disk=disk,
        target_disk=disk,
        memory=16.0,
        one_machine=True,
    )


# -- how true it is -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """Simulated and measured seconds of so many rows on the machine of the rates."""

    name: str
    rows: int
    simulated: float
    measured: float

    @property
    def error(self) -> float:
        """0.1: the simulation says 10 % more than was measured."""
        return self.simulated / self.measured - 1


def comparisons(document: Mapping[str, Any], results: Mapping[str, Any] | None) -> list[Comparison]:
    """With the clock of the rates' own run, where nobody else worked on the machine, and with the benchmark of the same
    machine, where there is one."""
    measured = [("the run of the rates", document["rows"]["source"], sum(document["seconds"].values()))]
    if not is_quiet(document):
        measured = []
    if results and comparable(document, results):
        measured += benchmarks(results)
    cores, found = document["machine"]["cores"], rates(document)
    return [
        Comparison(name, rows, simulate(one_machine(rows, cores), found).seconds, seconds)
        for name, rows, seconds in measured
    ]


def comparable(document: Mapping[str, Any], results: Mapping[str, Any]) -> bool:
    """Whether the benchmark ran on the same machine, and that had nothing else to do."""
    return bool(results["machine"] == document["machine"] and results.get("load", 0.0) <= BUSY)


def benchmarks(results: Mapping[str, Any]) -> list[tuple[str, int, float]]:
    """(name, rows, seconds) of the benchmark's runs of rowcall."""
    found = []
    if seconds := results.get("ways", {}).get("rowcall", {}).get("median"):
        found.append(("the benchmark", int(results["rows"]["source"]), float(seconds)))
    scale = results.get("scale") or {}
    if seconds := scale.get("seconds"):
        found.append(("the benchmark, ten times the rows", int(scale["source"]), float(seconds)))
    return found


def compared(found: Sequence[Comparison]) -> Iterator[str]:
    """The comparison as lines."""
    if not found:
        yield "not compared: others worked on the machine when the rates and the benchmark were measured"
    for each in found:
        yield (
            f"{each.name}: {each.rows:,} rows in {each.measured:.1f} s measured, {each.simulated:.1f} s simulated "
            f"({each.error:+.0%})"
        )


# -- what holds it up ---------------------------------------------------------------------------------------------------


def bottleneck(outcome: Outcome, phase: str) -> str:
    """What a phase waits for: a part that is full, else single processes that cannot be split."""
    found = outcome.phase(phase)
    if found.load[found.busiest] >= FULL:
        return found.busiest
    return "the threads of the engines" if phase == "rows" else "one process at a time"


def told(outcome: Outcome) -> Iterator[str]:
    """The outcome as lines."""
    yield f"{outcome.setup.rows:,} rows in {duration(outcome.seconds)}: {outcome.rows_per_second:,.0f} rows/s"
    yield f"{'phase':<6} {'seconds':>10}  held up by"
    for phase in outcome.phases:
        used = ", ".join(f"{part} {load:.0%}" for part, load in phase.load.items() if load >= 0.005)
        yield f"{phase.name:<6} {phase.seconds:>10,.1f}  {bottleneck(outcome, phase.name)}  ({used or 'nothing is used'})"
    if outcome.setup.losses:
        yield f"{outcome.repeated:,} rows were begun again"


def duration(seconds: float) -> str:
    """Two places, in the unit that fits."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def with_losses(setup: Setup, found: Rates, lost: int) -> Outcome:
    """The same run, in which so many engine machines are lost for good, one after the other while rows come."""
    rows = simulate(setup, found).phase("rows").seconds
    return simulate(replace(setup, losses=tuple(rows * (n + 1) / (lost + 1) for n in range(lost))), found)


# -- the command --------------------------------------------------------------------------------------------------------


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description=__doc__.split("\n")[0])
    plain = Setup(0)
    parser.add_argument("--rows", type=lambda text: int(float(text)), default=10**9, help="such as 1e9 (1e9)")
    parser.add_argument(
        "--parents", type=lambda text: int(float(text)), default=0, help="rows that the rows refer to (0)"
    )
    parser.add_argument("--one-machine", action="store_true", help="both servers and the engine share --target-cores")
    for name, what in (
        ("workers", "engine machines"),
        ("worker-cores", "cores of each"),
        ("threads", "chunks at a time on each; 0: as `workers: auto` has it"),
        ("source-cores", "cores of the source's server"),
        ("target-cores", "cores of the target's server"),
        ("sessions", "sessions that build keys at a time"),
    ):
        default = getattr(plain, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=_whole, default=default, help=f"{what} ({default})")
    for name, what in (
        ("network", "Gbit/s of each machine, either way"),
        ("source-disk", "MB/s; 0: never waited for"),
        ("target-disk", "MB/s; 0: never waited for"),
        ("memory", "GB of the target's server"),
        ("notice", "seconds until a lost machine's chunks are given to another"),
    ):
        default = getattr(plain, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=_positive, default=default, help=f"{what} ({default:g})")
    parser.add_argument("--lose", type=_whole, default=0, help="engine machines that are lost while rows come (0)")
    parser.add_argument("--rates", type=Path, default=RATES)
    parser.add_argument("--results", type=Path, default=RESULTS, help="of the benchmark, to compare with")
    chosen = parser.parse_args(words)
    if (
        chosen.rows < 1
        or min(chosen.workers, chosen.worker_cores, chosen.source_cores, chosen.target_cores, chosen.sessions) < 1
    ):
        parser.error("rows, machines, cores and sessions are at least 1")
    if chosen.lose >= (1 if chosen.one_machine else chosen.workers):
        parser.error("an engine machine must be left")
    if not chosen.rates.exists():
        parser.error(f"there is no {chosen.rates}: `python -m bench.legs` measures the rates")
    return chosen


def _whole(text: str) -> int:
    return int(_positive(text))


def _positive(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError("a number of at least 0")
    return number


def setup_of(chosen: argparse.Namespace) -> Setup:
    names = (field.name for field in fields(Setup) if field.name != "losses")
    setup = Setup(**{name: getattr(chosen, name) for name in names})
    return replace(setup, worker_cores=setup.target_cores) if setup.one_machine else setup


def main(words: Sequence[str] | None = None) -> int:
    chosen = options(words)
    document = json.loads(chosen.rates.read_text(encoding="utf-8"))
    results = json.loads(chosen.results.read_text(encoding="utf-8")) if chosen.results.exists() else None
    setup, found = setup_of(chosen), rates(document)
    lines = [*told(simulate(setup, found))]
    if chosen.lose:
        lines += [
            "",
            f"and where {chosen.lose} engine machines are lost:",
            *told(with_losses(setup, found, chosen.lose)),
        ]
    lines += ["", "how true the simulation is, on the machine of the rates:", *compared(comparisons(document, results))]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
