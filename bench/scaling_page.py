"""`python -m bench.scaling_page`: docs/scaling.md and its picture, from rates.json and the simulation; no figure is typed."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from bench.plant import CHUNKS, GIGABYTE, MEGABYTE, Outcome, Setup, simulate
from bench.rates import RATES, Rates, is_quiet, rates
from bench.scaling_picture import picture
from bench.simulate import RESULTS, bottleneck, compared, comparisons, duration, one_machine, with_losses
from bench.world import HERE
from rowcall.plan.plan import CHUNK_ROWS

DOCS = HERE.parent / "docs"
PAGE, PICTURE = "scaling.md", "scaling.svg"
SIZES = (10**8, 10**9, 10**10)
SHOWN = 10**9  # where one size must do
TERABYTE = 1e12
COLUMNS = 128
ANY = 1000  # thousand transactions a second: more than any server makes
# Of 2^31 transaction numbers: vacuum begins by itself at the first of these, and the server takes no more writes at the second
# from the end (autovacuum_freeze_max_age, and 3 million): https://www.postgresql.org/docs/current/routine-vacuuming.html
NUMBERS, FREEZE, RESERVE = 2**31, 200_000_000, 3_000_000
WORKER_SESSIONS = 2  # of a thread at the target; one at the source
PARENTS = (10**6, 10**7, 10**8)

LARGE = Setup(
    0, worker_cores=16, threads=16, source_cores=16, target_cores=32, network=25.0, target_disk=2000.0, memory=128.0
)
SETUPS: Mapping[str, Setup] = {
    "one machine": one_machine(0, 2, disk=500.0),
    "three machines": Setup(0),
    "four engines": replace(LARGE, workers=4),
    "sixteen engines": replace(LARGE, workers=16, threads=8),
}
LEVERS: Mapping[str, str] = {
    "target_disk": "the target's disk",
    "target_cores": "the target's cores",
    "workers": "the engine machines",
    "threads": "the threads of each engine",
    "source_cores": "the source's cores",
    "source_disk": "the source's disk",
    "network": "the network",
    "sessions": "the sessions that build keys",
}
OF_ONE = {"target_disk": "its disk", "target_cores": "its cores"}

HEAD = """# More rows, more machines

<!-- Written by `python -m bench.scaling_page` from bench/rates.json: change it there. -->

What 10^8, 10^9 and 10^10 rows take, where it is held up, and when to add what. The rates are measured: `python -m bench.legs`
runs rowcall on ten times the [benchmark's](performance.md) rows and adds up what every process of both servers and
of the engine spends.
The times are simulated from them; `.venv/bin/python -m bench.simulate --help` tells how to do it for machines of yours.

![Where the time goes]({picture})

"""

MODEL = """
## What the simulation knows

Chunks flow one step after the other: read, judged and encoded, written, booked. Cores, disks and network cards serve who comes
first. Building an index costs n log n. Beyond {many:,} chunks, a simulated one stands for several.

It knows nothing of sessions that wait for each other's locks (many that append to one table, or to the log), of caches that
grow cold, of a planner that changes its mind, of neighbours on a shared disk, of other work on the servers. So take its times as
what is possible, and the order in which things get short as what it is for. The disks and networks of the machines above are
assumed, the costs of a row are measured.

"""

ADVICE = """
- **First threads**: a chunk is read, judged and written one after the other, so that a thread waits for the servers most of its
  time. Where nothing is full, raise `workers` in the mapping (or processes on the cluster) before you add a machine.
- **Then the target**: it writes each row at least three times (to its log, the table, the indexes), and it is one machine. Once
  it is what is full, a fast disk comes before cores; more memory than the table and its ledger saves reading it again.
- **More engines** (a [Dask cluster](cluster.md)) help while the engines' cores are what is full, and no longer. One engine
  keeps several cores of a target busy: look at the table above before you add a second.
- **What does not help**: engines beside a target that is full; more threads than the target takes sessions
  (`max_connections`, 100 unless it was raised); cores for what one process does at a time.
- **The sessions that build keys** are two. On a large target more of them would help a table with many indexes, as the table
  above shows; there is no setting for it yet.
- **What stays one process**: checking a foreign key (Postgres checks it in one), the last merge of an index, and
  counting the ledger. With enough machines these are what is left.
"""

LIMITS = """
## Limits to know

- **Vacuum waits.** The source cannot clean up rows that were deleted or changed since the snapshot, for as long as the run lasts.
  A busy source grows by that. A run that is interrupted and goes on takes a new snapshot, and looks what changed since.
- **Transaction numbers.** At the target one for each chunk: {target_numbers} for 10^10 rows, of two thousand million. At the source
  the table above says how many may be used while the snapshot is open, before the server would refuse to write.
- **Chunks** are rows of the ledger's table: {chunks} for 10^10 rows. The engine reads their list as a whole.
- **Sessions.** A thread of an engine has one session at the source and {sessions} at the target: see [cluster.md](cluster.md).
- **Keys of the ledger** are text, so that its index grows with their length.
- **A table that is in use** (`load: live`) keeps its keys on: each row then pays for its index entries at once, and these times
  do not hold.
"""


def page(document: Mapping[str, Any], results: Mapping[str, Any] | None) -> str:
    """The page's text."""
    found = _Figures(rates(document))
    sections = (
        _times(found), _held_up(found), _doubled(found), _losses(found), _room(found), _parents(found),
        _truth(document, results), _costs(document, found.rates),
    )  # fmt: skip
    lines = (wrapped for section in sections for line in section for wrapped in _wrapped(line))
    return HEAD.format(picture=PICTURE) + "\n".join(lines)


def _wrapped(line: str) -> list[str]:
    """Lines of a paragraph; a table's row stays one."""
    if line.startswith("|") or "\n" in line:
        return [line]
    return textwrap.wrap(line, COLUMNS, break_long_words=False, break_on_hyphens=False) or [""]


class _Figures:
    """Simulations, each made once."""

    def __init__(self, found: Rates) -> None:
        self.rates = found
        self.outcome = cache(self._outcome)

    def _outcome(self, setup: Setup) -> Outcome:
        return simulate(setup, self.rates)

    def of(self, name: str, rows: int) -> Outcome:
        outcome: Outcome = self.outcome(replace(SETUPS[name], rows=rows))
        return outcome


def _table(*rows: Sequence[str], right: str) -> Iterator[str]:
    """The first row is the head; `right` has an `r` for each column that is set to the right."""
    yield "| " + " | ".join(rows[0]) + " |"
    yield "|" + "|".join("---:" if side == "r" else "---" for side in right) + "|"
    for row in rows[1:]:
        yield "| " + " | ".join(row) + " |"
    yield ""


def _power(rows: int) -> str:
    return f"10^{len(str(rows)) - 1}"


def machines(setup: Setup) -> str:
    """The set-up in words."""
    if setup.one_machine:
        return f"everything on {setup.target_cores} cores; disk {setup.target_disk:g} MB/s"
    many = "machine" if setup.workers == 1 else "machines"
    return (
        f"source {setup.source_cores} cores, target {setup.target_cores}, {setup.workers} engine {many} of "
        f"{setup.worker_cores} with {setup.threads_each} threads; {setup.network:g} Gbit/s; disks {setup.source_disk:g} and "
        f"{setup.target_disk:g} MB/s"
    )


def _times(found: _Figures) -> Iterator[str]:
    yield "## How long it takes"
    yield ""
    head = ("", *(f"{_power(rows)} rows" for rows in SIZES), "rows per second, on")
    rows = [_time(found, name) for name in SETUPS]
    yield from _table(head, *rows, right="lrrrl")
    yield f"The same by hand, for {_power(SHOWN)} rows and in the table's order:"
    yield ""
    commands = (" ".join(_words(replace(setup, rows=SHOWN))) for setup in SETUPS.values())
    yield "\n".join(("```text", *(f".venv/bin/python -m bench.simulate {words}" for words in commands), "```"))
    yield ""


def _words(setup: Setup) -> Iterator[str]:
    """The options of bench.simulate that make this set-up."""
    plain = Setup(0)
    yield f"--rows 1e{len(str(setup.rows)) - 1}"
    if setup.one_machine:
        yield "--one-machine"
    for name in (field.name for field in fields(Setup)):
        value = getattr(setup, name)
        if name not in ("rows", "one_machine", "losses") and value != getattr(plain, name):
            yield f"--{name.replace('_', '-')} {value:g}"


def _time(found: _Figures, name: str) -> tuple[str, ...]:
    outcomes = [found.of(name, rows) for rows in SIZES]
    rate = outcomes[SIZES.index(SHOWN)].rows_per_second
    return (f"**{name}**", *(duration(o.seconds) for o in outcomes), f"{rate:,.0f}: {machines(SETUPS[name])}")


def _held_up(found: _Figures) -> Iterator[str]:
    yield "## Where it is held up"
    yield ""
    yield (
        f"Of {_power(SHOWN)} rows, phase by phase: *start* (planning the chunks), *rows* (read, judge, write, book), *keys* "
        "(indexes built, foreign keys checked, and the gate: both servers add up all keys)."
    )
    yield ""
    phases = [phase.name for phase in found.of(next(iter(SETUPS)), SHOWN).phases]
    rows = [(f"**{name}**", *(_where(found.of(name, SHOWN), phase) for phase in phases)) for name in SETUPS]
    yield from _table(("", *phases), *rows, right="llll")
    moved = {name: [bottleneck(found.of(name, rows), "rows") for rows in SIZES] for name in SETUPS}
    for name, places in moved.items():
        if len(set(places)) > 1:
            told = ", ".join(f"{place} at {_power(rows)}" for place, rows in zip(places, SIZES, strict=True))
            yield f"- {name}: the rows are held up by {told}"
    yield ""


def _where(outcome: Outcome, phase: str) -> str:
    return f"{duration(outcome.phase(phase).seconds)}: {bottleneck(outcome, phase)}"


def _doubled(found: _Figures) -> Iterator[str]:
    yield "## When to add what"
    yield ""
    yield f"How much of the time goes when one thing is doubled, at {_power(SHOWN)} rows (0 %: it does not help):"
    yield ""
    names = [name for name in SETUPS if not SETUPS[name].one_machine]
    rows = [(what, *(_gain(found, name, lever) for name in names)) for lever, what in LEVERS.items()]
    yield from _table(("doubled", *names), *rows, right="l" + "r" * len(names))
    alone = [name for name in SETUPS if SETUPS[name].one_machine]
    for name in alone:
        gains = ", ".join(f"{what} {_gain(found, name, lever)}" for lever, what in OF_ONE.items())
        yield f"On {name}: {gains}."
    yield ADVICE


def _gain(found: _Figures, name: str, lever: str) -> str:
    setup = replace(SETUPS[name], rows=SHOWN)
    more: dict[str, Any] = {lever: 2 * (setup.threads_each if lever == "threads" else getattr(setup, lever))}
    if setup.one_machine and lever == "target_cores":
        more |= {"source_cores": more[lever], "worker_cores": more[lever]}
    before, after = found.outcome(setup).seconds, found.outcome(replace(setup, **more)).seconds
    return _percent(max(1 - after / before, 0))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _losses(found: _Figures) -> Iterator[str]:
    yield "## When machines are lost"
    yield ""
    name, lost = "four engines", 2
    setup = replace(SETUPS[name], rows=SHOWN)
    outcome = with_losses(setup, found.rates, lost)
    yield (
        f"With {name}, {_power(SHOWN)} rows, and {lost} of the engines lost for good while rows come: "
        f"{duration(outcome.seconds)} instead of {duration(found.outcome(setup).seconds)}; {outcome.repeated:,} rows are begun "
        "again. `python -m bench.simulate --workers 4 --lose 2` tries it with other machines."
    )
    yield ""


def _room(found: _Figures) -> Iterator[str]:
    yield "## Room"
    yield ""
    per = found.rates
    rows = [_room_for(found, rows) for rows in SIZES]
    head = (
        "rows",
        "target, when done",
        "beside it while keys are built",
        "log written in all",
        "read from the source",
        "sent",
    )
    yield from _table(("", *head[1:]), *rows, right="lrrrrr")
    yield (
        f"Per row: table {per.heap_bytes:.0f} bytes, indexes of both {per.index_bytes:.0f}, ledger {per.ledger_bytes:.0f}; these "
        "are the benchmark's rows, so scale by yours. The log is kept until a checkpoint, a replica or a backup has it: set "
        "`max_wal_size` well above what is written between two checkpoints, and watch replication slots. With data checksums, the "
        "first look at a page after a checkpoint writes it to the log once more: fewer checkpoints, less log."
    )
    yield ""
    yield "How long the source's snapshot is open, and how many transactions a second the source may make meanwhile:"
    yield ""
    snapshots = [(f"**{name}**", *(_snapshot(found.of(name, rows)) for rows in SIZES)) for name in SETUPS]
    yield from _table(("", *(f"{_power(rows)} rows" for rows in SIZES)), *snapshots, right="lrrr")
    chunks = SIZES[-1] // CHUNK_ROWS
    yield LIMITS.format(target_numbers=f"{chunks:,}", chunks=f"{chunks:,}", sessions=WORKER_SESSIONS)


def _room_for(found: _Figures, rows: int) -> tuple[str, ...]:
    per = found.rates
    log = per.wal_bytes + per.wal_keys_bytes
    sizes = (per.disk_bytes, per.temporary_bytes, log, per.source_bytes, per.read_bytes + per.sent_bytes)
    return (f"{_power(rows)}", *(_size(each * rows) for each in sizes))


def _size(size: float) -> str:
    unit, name = next(
        (u, n) for u, n in ((TERABYTE, "TB"), (GIGABYTE, "GB"), (MEGABYTE, "MB")) if size >= u or u == MEGABYTE
    )
    return f"{size / unit:.1f} {name}" if size < 10 * unit else f"{size / unit:.0f} {name}"


def _snapshot(outcome: Outcome) -> str:
    thousands = (NUMBERS - FREEZE - RESERVE) / outcome.seconds / 1000
    return f"{duration(outcome.seconds)}; {'any' if thousands > ANY else f'{thousands:,.0f} thousand'}"


def _parents(found: _Figures) -> Iterator[str]:
    yield "## Parents"
    yield ""
    setup = replace(SETUPS["three machines"], rows=SHOWN)
    times = [found.outcome(replace(setup, parents=number)).seconds for number in PARENTS]
    biggest = max(found.rates.crosswalk)
    yield (
        "Every row is joined with what became of its parents. The rates above are of rows with few parents. Where their number "
        "is large, each engine loads them all, spills them to its disk, and looks through them for every batch: with three "
        "machines, "
        f"{_power(SHOWN)} rows take {duration(found.outcome(setup).seconds)}, and with "
        + ", ".join(f"{_power(n)} parents {duration(t)}" for n, t in zip(PARENTS, times, strict=True))
        + f". (Measured up to {biggest[0]:,} parents, named at random, beyond them a straight line; rows that name parents in the "
        "order of their keys cost far less.) Here more engines do help."
    )
    yield ""


def _truth(document: Mapping[str, Any], results: Mapping[str, Any] | None) -> Iterator[str]:
    yield MODEL.format(many=CHUNKS).strip("\n")
    yield ""
    yield "Compared with the clock, on the machine of the rates:"
    yield ""
    for line in compared(comparisons(document, results)):
        yield f"- {line}"
    yield ""


def _costs(document: Mapping[str, Any], per: Rates) -> Iterator[str]:
    yield "## What a million rows cost"
    yield ""
    million = 10**6
    rows = [
        ("source: reading", f"{per.read_cpu * million:.2f} s", _size(per.source_bytes * million) + " from disk"),
        ("source: planning the chunks", f"{per.plan_cpu * million:.2f} s", ""),
        (
            "engine",
            f"{per.engine_cpu * million:.2f} s",
            _size((per.read_bytes + per.sent_bytes) * million) + " by network",
        ),
        (
            "target: rows",
            f"{per.write_cpu * million:.2f} s",
            _size((per.heap_bytes + per.wal_bytes) * million) + " to disk",
        ),
        ("target: ledger", f"{per.ledger_cpu * million:.2f} s", _size(per.ledger_bytes * million) + " to disk"),
        (
            "target: indexes",
            f"{_spent(per, 'index') * million:.2f} s",
            _size((per.index_bytes + per.wal_keys_bytes) * million) + " to disk",
        ),
        ("target: foreign keys", f"{_spent(per, 'foreign_key') * million:.2f} s", ""),
        ("target: gate", f"{(per.gate_target.leader + per.gate_target.workers) / per.measured * million:.2f} s", ""),
        ("source: gate", f"{(per.gate_source.leader + per.gate_source.workers) / per.measured * million:.2f} s", ""),
    ]
    yield from _table(("", "processor", "bytes"), *rows, right="lrr")
    machine, versions = document["machine"], document["versions"]
    quiet = (
        ""
        if is_quiet(document)
        else f"; others took {_percent(document['others'])} of the machine meanwhile, which makes them dearer"
    )
    yield (
        f"Measured {document['finished_at']} with {per.measured:,} rows on {machine['cpu']}, {machine['cores']} cores, Postgres "
        f"{versions['source']} to {versions['target']}, rowcall at commit `{versions['commit']}`; medians of "
        f"{document['repeat']}{quiet}."
    )
    yield ""


def _spent(per: Rates, kind: str) -> float:
    """Processor seconds per row of all statements of a kind, where a million rows are sorted."""
    named = per.indexes if kind == "index" else per.foreign_keys
    make = per.index if kind == "index" else per.foreign_key
    return sum(make(name, 10**6).leader + make(name, 10**6).workers for name in named) / 10**6


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.scaling_page", description=__doc__)
    parser.add_argument("--rates", type=Path, default=RATES)
    parser.add_argument("--results", type=Path, default=RESULTS, help="of the benchmark, to compare with")
    parser.add_argument("--docs", type=Path, default=DOCS, help="the folder to write into")
    chosen = parser.parse_args(words)
    document, results = read(chosen.rates), read(chosen.results) if chosen.results.exists() else None
    (chosen.docs / PAGE).write_text(page(document, results), encoding="utf-8")
    (chosen.docs / PICTURE).write_text(drawn(document), encoding="utf-8")
    return 0


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def drawn(document: Mapping[str, Any]) -> str:
    """The picture: phases of each set-up at SHOWN rows."""
    found = _Figures(rates(document))
    return picture(f"{_power(SHOWN)} rows", {name: found.of(name, SHOWN) for name in SETUPS})


if __name__ == "__main__":
    sys.exit(main())
