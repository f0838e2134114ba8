"""`python -m bench.legs`: what a row costs on each resource, measured; writes rates.json. See docs/scaling.md.

It runs rowcall on the benchmark's dataset and samples what the processes of both servers and the engine's spend their processor
time on. Processor seconds and bytes can be used though others work on the machine; seconds on the clock cannot, so the share
of the machine that others took is written down with them. Linux only.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bench import crosswalk
from bench.activity import CHILDREN, OWN, PROC, TICK, Activity, children, seconds
from bench.clock import Timing, WayFailed, take
from bench.command import run
from bench.extremes import MULTIPLY
from bench.machine import machine, settings, versions
from bench.rates import RATES, SCHEMA_VERSION
from bench.ways import TABLE, engine_run
from bench.world import HERE, SOURCE, Copy, Size, World, fresh_copy, world
from rowcall import Migration

INTERVAL = 0.1
WAL = "select pg_current_wal_lsn() - '0/0'::pg_lsn"
PHASES = ("start", "rows", "keys")  # the gate looks at the ledger while keys are put back
_INDEX = r'^\s*create (?:unique )?index (?:if not exists )?(?:\w+\.)?"?(\w+)'
ON_SOURCE = (
    ("hashtextextended", "gate"),
    (r"row_number\(\) over|tablesample|\bmin\(.*\bmax\(", "plan"),
    (r"^\s*copy ", "read"),
)
ON_TARGET = (
    ("hashtextextended|without_payload", "gate"),
    (r"^\s*copy (?:\"?rowcall\"?\.).* from stdin", "ledger"),
    (rf"^\s*copy .*\b{TABLE}\b.* from stdin", "heap"),
    (r"^\s*copy ", "parents"),
    (_INDEX, "index"),
    (r"^\s*alter table .* validate constraint \"?(\w+)", "foreign_key"),
    (r"^\s*analyze", "analyze"),
    (r"^\s*commit", "commit"),
)


class Watch:
    """Samples everything until it is told to stop; phases are told apart by what the target does."""

    def __init__(self, copy: Copy) -> None:
        self.source, self.target = Activity(copy.source, ON_SOURCE), Activity(copy.target, ON_TARGET)
        self.engine: defaultdict[str, float] = defaultdict(float)
        self.wal: defaultdict[str, int] = defaultdict(int)
        self.begun = {"start": time.monotonic()}
        self.phase, self.own = "start", time.process_time()
        self._wal = self._position()
        self._elders = set(children())  # the servers
        self._over = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _position(self) -> int:
        row = self.target.connection.execute(WAL).fetchone()
        return int(row[0]) if row else 0

    def _watch(self) -> None:
        passed = 0.0
        try:
            while not self._over.wait(INTERVAL):
                passed = self._look(passed)
        except Exception as error:  # it must end the measurement, not only this thread
            self._failure = error

    def _look(self, passed: float) -> float:
        self.source.look()
        self._enter(self.target.look())
        position = self._position()
        self.wal[self.phase] += position - self._wal
        self._wal = position
        spent = sum(seconds(pid, (*OWN, *CHILDREN)) for pid in set(children()) - self._elders)
        self.engine[self.phase] += max(spent - passed, 0.0)
        return max(spent, passed)

    def _enter(self, busy: set[str]) -> None:
        entered = {
            "start": "heap" in busy,
            "rows": any(label.startswith(("index", "foreign_key")) for label in busy),
            "keys": False,
        }[self.phase]
        if entered:
            self.phase = PHASES[PHASES.index(self.phase) + 1]
            self.begun[self.phase] = time.monotonic()

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        self.source.close()
        self.target.close()
        if self._failure:
            raise WayFailed(f"the sampling failed: {' '.join(str(self._failure).split())}")


@contextmanager
def watch(copy: Copy) -> Iterator[Watch]:
    watching = Watch(copy)
    try:
        yield watching
    finally:
        watching.end()


def measure(copy: Copy, limit: float) -> dict[str, Any]:
    """One run's figures: {"rows", "seconds", "others", "cpu", "indexes", "bytes"}. Raises WayFailed."""
    idle = _idle()
    with watch(copy) as watching:
        timing = take(engine_run(copy), copy.log, limit)
    return {
        "rows": _rows(copy),
        "seconds": _phases(watching, timing),
        "cpu": _cpu(watching, timing),
        "statements": {name: round(spent, 3) for name, spent in sorted(_statements(watching.target.spent).items())},
        "bytes": _bytes(copy, watching.wal),
        "others": round(_others(watching, timing, idle), 3),
    }


def _rows(copy: Copy) -> dict[str, int]:
    lines = f"from rowcall.settlements where entity = '{TABLE}'"
    return {
        "source": copy.world.value(copy.target, f"select count(*) {lines}"),
        "migrated": copy.world.value(copy.target, f"select count(*) {lines} and outcome = 'migrated'"),
        "parents": copy.world.value(copy.target, "select count(*) from profiles"),
        "chunks": copy.world.value(copy.target, f"select count(distinct chunk) {lines}"),
    }


def _phases(watching: Watch, timing: Timing) -> dict[str, float]:
    """Seconds on the clock by phase; 0 for one that was too short to be seen."""
    end = watching.begun[PHASES[0]] + timing.seconds
    begun = [watching.begun.get(phase, end) for phase in PHASES]
    return {phase: round(to - at, 3) for phase, at, to in zip(PHASES, begun, [*begun[1:], end], strict=True)}


def _cpu(watching: Watch, timing: Timing) -> dict[str, dict[str, float]]:
    watching.engine["keys"] += max(timing.cpu_seconds - sum(watching.engine.values()), 0.0)  # since the last sample
    totals = {"source": watching.source.spent, "target": _kinds(watching.target.spent), "engine": watching.engine}
    return {name: {k: round(v, 3) for k, v in sorted(spent.items())} for name, spent in totals.items()}


def _kinds(spent: Mapping[str, float]) -> dict[str, float]:
    """Without the names of indexes and keys."""
    found: dict[str, float] = defaultdict(float)
    for label, passed in spent.items():
        found[label.split()[0]] += passed
    return found


def _statements(spent: Mapping[str, float]) -> dict[str, float]:
    """Of the statements that have a name, or parallel workers."""
    return {label: passed for label, passed in spent.items() if " " in label}


def _others(watching: Watch, timing: Timing, idle: float) -> float:
    """The share of the machine's processor time that others took meanwhile."""
    wall = time.monotonic() - watching.begun["start"]
    cores = len(os.sched_getaffinity(0))
    servers = sum(sum(server.spent.values()) + server.watching for server in (watching.source, watching.target))
    ours = servers + timing.cpu_seconds + time.process_time() - watching.own
    return min(max(1 - (_idle() - idle + ours) / (wall * cores), 0.0), 1.0)


def _idle() -> float:
    """Seconds that the machine's processors had nothing to do, waiting for disks included."""
    fields = (PROC / "stat").read_text().splitlines()[0].split()
    return (int(fields[4]) + int(fields[5])) / TICK


def _bytes(copy: Copy, wal: Mapping[str, int]) -> dict[str, int]:
    world, target, ledger = copy.world, copy.target, _partition(copy)
    sizes = {
        "source_table": (copy.source, "select pg_table_size('dispatch_notification')"),
        "heap": (target, f"select pg_table_size('{TABLE}')"),
        "indexes": (target, f"select pg_indexes_size('{TABLE}')"),
        "ledger": (target, f"select pg_table_size('{ledger}')"),
        "ledger_indexes": (target, f"select pg_indexes_size('{ledger}')"),
        "quarantine": (target, "select pg_total_relation_size('rowcall.quarantined_row')"),
        "temporary": (target, "select temp_bytes from pg_stat_database where datname = current_database()"),
    }
    found = {name: int(world.value(dsn, sql)) for name, (dsn, sql) in sizes.items()}
    found |= {f"wal_{phase}": int(wal.get(phase, 0)) for phase in PHASES}
    return found | {
        "read": _stream(copy.source, _source_sql(copy)),
        "sent_rows": _stream(target, f"select * from {TABLE}"),
        "sent_ledger": _stream(target, f"select entity, source_key, outcome, target_id, cause, chunk from {ledger}"),
    }


def _partition(copy: Copy) -> str:
    return "rowcall.settlement_" + str(
        copy.world.value(copy.target, f"select id from rowcall.entity where name = '{TABLE}'")
    )


def _source_sql(copy: Copy) -> str:
    """What a chunk asks the source, for all rows."""
    os.environ |= copy.variables
    return Migration.open(copy.folder / "project").plan().judge(TABLE).source_sql("true")


def _stream(dsn: str, query: str) -> int:
    """Bytes of a query's rows in binary COPY."""
    with psycopg.connect(dsn) as connection:
        connection.execute("set row_security = off")
        with connection.cursor().copy(f"copy ({query}) to stdout (format binary)".encode()) as stream:
            return sum(len(block) for block in stream)


def middle(found: Sequence[Any]) -> Any:
    """The medians of equal documents, figure by figure; what one of them lacks is 0 there."""
    if isinstance(found[0], dict):
        names = dict.fromkeys(name for each in found for name in each)
        return {name: middle([each.get(name, _nothing(found, name)) for each in found]) for name in names}
    return type(found[0])(round(statistics.median(found), 3))


def _nothing(found: Sequence[Any], name: str) -> Any:
    return type(next(each[name] for each in found if name in each))()


def legs(here: World, repeat: int, limit: float, parents: Sequence[int]) -> dict[str, Any]:
    """The whole document."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "finished_at": "",
        "repeat": repeat,
        "machine": machine(),
        "versions": versions(here),
        "settings": settings(here),
    }
    found = []
    for number in range(repeat):
        say(f"{number + 1}/{repeat} rowcall run ...")
        with fresh_copy(here, "legs") as copy:
            here.settle()
            found.append(measure(copy, limit))
        say(f"{number + 1}/{repeat} {sum(found[-1]['seconds'].values()):.2f} s, others {found[-1]['others']:.0%}")
    document |= middle(found)
    say("what parents cost ...")
    with fresh_copy(here, "legs") as copy:
        document["crosswalk"] = crosswalk.points(copy.project(), copy.variables, parents)
    document["finished_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return document


def say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stderr.flush()


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.legs", description=__doc__.split("\n")[0])
    parser.add_argument("--scale", choices=("small", "seed", "full"), default="full", help="the demo's scale (full)")
    parser.add_argument("--rows", type=int, help="keep only so many notifications")
    parser.add_argument(
        "--single", action="store_true", help="as many rows as the benchmark has, not ten times as many"
    )
    parser.add_argument("--repeat", type=int, default=3, help="how often it is measured; the medians count (3)")
    parser.add_argument(
        "--parents", type=_numbers, default=crosswalk.POINTS, help="how many parents are tried, two numbers or more"
    )
    parser.add_argument("--limit", type=float, default=3600, help="seconds after which it is given up (3600)")
    parser.add_argument("--out", type=Path, default=RATES, help="where the rates are written")
    parser.add_argument(
        "--work", type=Path, default=HERE / ".work-legs", help="a folder for the servers; it is deleted"
    )
    return parser.parse_args(words)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(float(number)) for number in text.split(","))


def main() -> int:
    chosen = options()

    def measure() -> dict[str, Any]:
        say(f"making the dataset (scale {chosen.scale}) and two servers ...")
        with world(chosen.work, Size(chosen.scale, chosen.rows)) as here:
            if not chosen.single:  # checkpoints and cold caches are dear, and come with size
                here.execute(here.dsn(SOURCE), MULTIPLY, "vacuum (analyze) dispatch_notification")
            return legs(here, chosen.repeat, chosen.limit, chosen.parents)

    return run(measure, chosen.out, say)


if __name__ == "__main__":
    sys.exit(main())
