"""`python -m bench`: measures the ways, prints a table, writes results.json. See docs/performance.md."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import extremes, screen
from bench.clock import WayFailed, take
from bench.command import run
from bench.machine import BUSY, machine, quiet, settings, versions
from bench.peers import PEERS, gather
from bench.results import SCHEMA_VERSION, Measured, with_ratios
from bench.ways import KEYS, TABLE, WAYS, Way
from bench.world import HERE, SOURCE, Size, World, fresh_copy, world

WORK = HERE / ".work"
NAMES = (*(way.name for way in WAYS), *(peer.name for peer in PEERS), *extremes.NAMES)


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--scale", choices=("small", "seed", "full"), default="full", help="the demo's scale (full)")
    parser.add_argument("--rows", type=int, help="keep only so many notifications")
    parser.add_argument("--repeat", type=int, default=3, help="how often each way is measured; the median counts (3)")
    parser.add_argument(
        "--only", type=lambda text: text.split(","), help="ways to measure, such as floor,rowcall,scale"
    )
    parser.add_argument("--limit", type=float, default=3600, help="seconds after which a way is given up (3600)")
    parser.add_argument("--patience", type=float, default=180, help="seconds to wait for a quiet machine (180)")
    parser.add_argument("--out", type=Path, default=HERE / "results.json", help="where the results are written")
    parser.add_argument(
        "--work", type=Path, default=WORK, help="a folder for the servers and scratch files; it is deleted"
    )
    chosen = parser.parse_args(words)
    if unknown := set(chosen.only or ()) - set(NAMES):
        parser.error(f"there is no way {', '.join(sorted(unknown))}: choose of {', '.join(NAMES)}")
    chosen.only = set(chosen.only or NAMES)
    return chosen


def measure(here: World, ways: Sequence[Way], repeat: int, limit: float) -> dict[str, Measured]:
    """Every way `repeat` times, in an order that moves on by one with each repeat."""
    found = {way.name: Measured(way.label, way.does, way.lacks, version=way.version) for way in ways}
    for number in range(repeat):
        shift = number % max(len(ways), 1)
        for way in (*ways[shift:], *ways[:shift]):
            if found[way.name].status == "measured":
                _measure_once(here, way, found[way.name], limit, f"{number + 1}/{repeat}")
    return found


def _measure_once(here: World, way: Way, measured: Measured, limit: float, which: str) -> None:
    say(f"{which} {way.label} ...")
    try:
        with fresh_copy(here, way.name) as copy:
            keys = here.rows(copy.target, KEYS)
            jobs = way.jobs(copy)
            here.settle()
            timings = [take(job, copy.log, limit) for job in jobs]
            measured.rows = here.value(copy.target, way.arrived)
            if here.rows(copy.target, KEYS) != keys:
                raise WayFailed(f"the keys of {TABLE} are not what they were")
    except WayFailed as error:
        measured.status, measured.reason = "failed", str(error)
        say(f"{which} {way.label}: FAILED: {error}")
        return
    measured.timings.append(timings)
    say(f"{which} {way.label}: {sum(t.seconds for t in timings):.2f} s, {measured.rows:,} rows")


def bench(chosen: argparse.Namespace) -> dict[str, Any]:
    """The whole document. Raises WayFailed where the dataset cannot be made."""
    ways = [way for way in WAYS if way.name in chosen.only]
    if (busy := quiet(chosen.patience)) > BUSY:
        say(f"THE MACHINE IS BUSY (load {busy:.2f} per core): this is a rehearsal, no figure can be trusted")
    theirs, absent = gather([peer for peer in PEERS if peer.name in chosen.only], say)
    say(f"making the dataset (scale {chosen.scale}) and two servers ...")
    with world(chosen.work, Size(chosen.scale, chosen.rows)) as here:
        document = about(here, chosen) | {"load": busy}
        say("{source:,} rows, of which {sound:,} are sound".format(**document["rows"]))
        found = measure(here, [*ways, *theirs], chosen.repeat, chosen.limit) | absent
        document["ways"] = {name: found[name].as_json() for name in NAMES if name in found}
        return with_ratios(document | far_out(here, chosen))


def about(here: World, chosen: argparse.Namespace) -> dict[str, Any]:
    source = here.dsn(SOURCE)
    return {
        "schema_version": SCHEMA_VERSION,
        "began_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "scale_name": chosen.scale,
        "repeat": chosen.repeat,
        "rows": {
            "source": here.value(source, "select count(*) from dispatch_notification"),
            "sound": here.value(source, "select count(*) from bench.ready_rows"),
        },
        "machine": machine(),
        "versions": versions(here),
        "settings": settings(here),
    }


def far_out(here: World, chosen: argparse.Namespace) -> dict[str, Any]:
    """Ten times the rows and megabyte rows, where wanted; a failure is told and leaves them out."""
    found: dict[str, Any] = {}
    for name, extreme in (("scale", extremes.scale), ("wide", extremes.wide)):
        if name in chosen.only:
            try:
                found[name] = extreme(here, chosen.limit, say)
                say("{0}: {seconds:.2f} s, {rows_per_second:,} rows/s, {peak_rss_mb} MB".format(name, **found[name]))
            except WayFailed as error:
                say(f"{name}: FAILED: {error}")
                found[name] = {"failed": str(error)}
    return found


def main() -> int:
    chosen = options()

    def measure() -> dict[str, Any]:
        document = bench(chosen)
        print("\n".join((*screen.table(document), "", *screen.targets(document))))
        return document

    return run(measure, chosen.out, say)


if __name__ == "__main__":
    sys.exit(main())
