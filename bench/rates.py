"""The measured rates, as the simulation needs them: processor seconds and bytes of a row on each resource."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log2
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
RATES = Path(__file__).resolve().parent / "rates.json"
QUIET = 0.2  # of the processor time, the kernel's own work included: where others took more, the clock says nothing


@dataclass(frozen=True)
class Statement:
    """One statement of a server for a table of some rows: processor seconds of its own process, those of its parallel workers,
    bytes that it writes to the disk (and reads again), and bytes that it must read unless the server's memory has them."""

    leader: float
    workers: float = 0.0
    disk: float = 0.0
    read: float = 0.0


@dataclass(frozen=True)
class Rates:
    """Rates of a run of `measured` rows. Fields named `..._cpu` are processor seconds, the others bytes; both per row."""

    measured: int
    start: float  # processor seconds of the engine before the first row, of however many
    analyze: float  # processor seconds of the target, of however many rows
    plan_cpu: float
    read_cpu: float
    engine_cpu: float
    write_cpu: float
    ledger_cpu: float
    source_bytes: float
    read_bytes: float
    sent_bytes: float
    heap_bytes: float
    ledger_bytes: float
    index_bytes: float  # of the table and of the ledger
    wal_bytes: float
    wal_keys_bytes: float
    temporary_bytes: float
    indexes: Mapping[str, Statement]  # processor seconds at `measured` rows, bytes per row; as all statements here
    foreign_keys: Mapping[str, Statement]
    gate_source: Statement
    gate_target: Statement
    crosswalk: Sequence[
        tuple[int, float, float]
    ]  # (parents, to load them, to judge a row): processor seconds of an engine

    def parents(self, number: int) -> tuple[float, float]:
        """Processor seconds of an engine to load the fates of so many parents, and those that they add to each row.

        Between the points that were measured, and beyond the last, it is a straight line.
        """
        numbers, judged = [p[0] for p in self.crosswalk], [p[2] for p in self.crosswalk]
        loading = _line(number, numbers, [p[1] for p in self.crosswalk])
        return loading, max(_line(number, numbers, judged) - judged[0], 0.0)

    @property
    def disk_bytes(self) -> float:
        """What stays on the target's disk."""
        return self.heap_bytes + self.ledger_bytes + self.index_bytes

    def index(self, name: str, rows: float) -> Statement:
        """An index of so many rows: a sort takes n log n."""
        return _times(self.indexes[name], rows / self.measured * log2(max(rows, 2)) / log2(self.measured), rows)

    def foreign_key(self, name: str, rows: float) -> Statement:
        return _times(self.foreign_keys[name], rows / self.measured, rows)

    def gate(self, rows: float) -> tuple[Statement, Statement]:
        """What the source adds up, and what the target adds up at the same time."""
        factor = rows / self.measured
        return _times(self.gate_source, factor, rows), _times(self.gate_target, factor, rows)


def _line(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """The broken line through these points, whose last piece goes on."""
    place = max(next((i for i, found in enumerate(xs) if found > x), len(xs) - 1), 1)
    x0, x1, y0, y1 = xs[place - 1], xs[place], ys[place - 1], ys[place]
    return max(y0 + (y1 - y0) * (x - x0) / (x1 - x0), 0.0)


def _times(statement: Statement, factor: float, rows: float) -> Statement:
    return Statement(
        statement.leader * factor, statement.workers * factor, statement.disk * rows, statement.read * rows
    )


def load(path: Path = RATES) -> Rates:
    """Raises FileNotFoundError where nothing was measured yet."""
    return rates(json.loads(path.read_text(encoding="utf-8")))


def rates(document: Mapping[str, Any]) -> Rates:
    """The rates of a document that bench.legs made. What no label fits counts as writing."""
    rows: int = document["rows"]["source"]
    source, engine, target = (document["cpu"][name] for name in ("source", "engine", "target"))
    size = {name: value / rows for name, value in document["bytes"].items()}
    indexes, keys = (dict(_statements(document["statements"], kind)) for kind in ("index", "foreign_key"))
    written = size["indexes"] + size["ledger_indexes"] + size["wal_keys"] + 2 * size["temporary"]

    def of_table(name: str, statement: Statement, disk: float) -> Statement:
        return replace(statement, disk=disk, read=size["ledger" if name.startswith("settlement_") else "heap"])

    def per_row(spent: Mapping[str, float], *names: str) -> float:
        return sum(spent.get(name, 0.0) for name in names) / rows

    return Rates(
        measured=rows,
        start=engine.get("start", 0.0),
        analyze=target.get("analyze", 0.0),
        plan_cpu=per_row(source, "plan", "plan workers"),
        read_cpu=per_row(source, "read", "background", "other"),
        engine_cpu=per_row(engine, "rows"),
        write_cpu=per_row(target, "heap", "commit", "background", "other"),
        ledger_cpu=per_row(target, "ledger"),
        source_bytes=size["source_table"],
        read_bytes=size["read"],
        sent_bytes=size["sent_rows"] + size["sent_ledger"],
        heap_bytes=size["heap"],
        ledger_bytes=size["ledger"] + size["quarantine"],
        index_bytes=size["indexes"] + size["ledger_indexes"],
        wal_bytes=size["wal_rows"],
        wal_keys_bytes=size["wal_keys"],
        temporary_bytes=size["temporary"],
        indexes={name: of_table(name, statement, written / len(indexes)) for name, statement in indexes.items()},
        foreign_keys={name: of_table(name, statement, 0.0) for name, statement in keys.items()},
        gate_source=Statement(source.get("gate", 0.0), source.get("gate workers", 0.0), 0.0, size["source_table"]),
        gate_target=Statement(target.get("gate", 0.0), target.get("gate workers", 0.0), 0.0, size["ledger"]),
        crosswalk=[(p["parents"], p["load_cpu"], p["batch_cpu"] / p["batch_rows"]) for p in document["crosswalk"]],
    )


def _statements(spent: Mapping[str, float], kind: str) -> Iterator[tuple[str, Statement]]:
    """(name, statement without its bytes) of those of a kind."""
    for name in dict.fromkeys(words[1] for words in map(str.split, spent) if words[0] == kind):
        yield name, Statement(spent.get(f"{kind} {name}", 0.0), spent.get(f"{kind} {name} workers", 0.0))


def is_quiet(document: Mapping[str, Any]) -> bool:
    """Whether its seconds on the clock can be compared with anything."""
    return bool(document["others"] <= QUIET)
