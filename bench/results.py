"""The results as one document, and what they must show: computed from the figures, nowhere asserted."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.clock import Timing

SCHEMA_VERSION = 1
MEGABYTE = 2**20
Document = Mapping[str, Any]


@dataclass
class Measured:
    """One way's figures over the repeats. `reason` is empty unless it could not be measured (`absent` or `failed`)."""

    label: str
    does: str
    lacks: str
    timings: list[Sequence[Timing]] = field(default_factory=list)
    rows: int = 0
    version: str = ""
    status: str = "measured"
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        told = {"label": self.label, "does": self.does, "lacks": self.lacks, "status": self.status}
        if self.version:
            told["version"] = self.version
        if self.status != "measured":
            return told | {"reason": self.reason}
        seconds = [sum(t.seconds for t in repeat) for repeat in self.timings]
        return told | {
            "rows": self.rows,
            "seconds": [round(s, 2) for s in seconds],
            "median": round(statistics.median(seconds), 2),
            "steps": self._steps(),
            "cpu_seconds": round(statistics.median(sum(t.cpu_seconds for t in repeat) for repeat in self.timings), 2),
            "peak_rss_mb": round(max(t.peak_rss for repeat in self.timings for t in repeat) / MEGABYTE),
        }

    def _steps(self) -> dict[str, float]:
        """Step -> median seconds; empty where there is but one."""
        columns = zip(*self.timings, strict=True)
        steps = {column[0].name: round(statistics.median(t.seconds for t in column), 2) for column in columns}
        return steps if len(steps) > 1 else {}


@dataclass(frozen=True)
class Target:
    """Something that must be shown: `value` is None where a way it needs was not measured."""

    name: str
    value: float | None
    limit: float
    at_most: bool
    unit: str = "x"

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    def as_json(self) -> dict[str, Any]:
        must = f"at {'most' if self.at_most else 'least'} {self.limit:g} {self.unit}"
        return {"name": self.name, "must": must, "value": self.value, "unit": self.unit, "met": self.met}


def median(document: Document, way: str) -> float | None:
    found = document["ways"].get(way, {}).get("median")
    return float(found) if found is not None else None


def ratio(above: float | None, below: float | None) -> float | None:
    return round(above / below, 2) if above is not None and below else None


def with_ratios(document: Document) -> dict[str, Any]:
    """The document with each way's rows per second and its ratio to the floor, and with the targets."""
    floor = median(document, "floor")
    source = document["rows"]["source"]
    ways = {}
    for name, way in document["ways"].items():
        seconds = way.get("median")
        ways[name] = way | (
            {"to_floor": ratio(seconds, floor), "rows_per_second": round(source / seconds)} if seconds else {}
        )
    told = {**document, "ways": ways}
    return {**told, "targets": [target.as_json() for target in targets(told)]}


def targets(document: Document) -> list[Target]:
    def faster(name: str, other: str, limit: float) -> Target:
        return Target(name, ratio(median(document, other), median(document, "rowcall")), limit, at_most=False)

    def memory(name: str, megabytes: float | None) -> Target:
        return Target(name, megabytes, 512, at_most=True, unit="MB")

    run = median(document, "rowcall")
    rates = [_extreme(document, "scale", "rows_per_second"), document["ways"].get("rowcall", {}).get("rows_per_second")]
    peaks = [document["ways"].get("rowcall", {}).get("peak_rss_mb"), _extreme(document, "scale", "peak_rss_mb")]
    return [
        Target("run, of the floor", ratio(run, median(document, "floor")), 1.5, at_most=True),
        faster("faster than pgloader", "pgloader", 1.8),
        faster("faster than dlt, pyarrow and csv", "dlt", 3),
        faster("faster than dlt at its fastest", "dlt_adbc", 3),
        faster("faster than the expert's SQL", "expert", 5.5),
        faster("faster than the batch script", "script", 10),
        Target("check, of run", ratio(median(document, "check"), run), 0.5, at_most=True),
        Target("rows per second at ten times the rows", ratio(*rates), 0.9, at_most=False),
        memory("peak memory", peaks[0]),
        memory("peak memory at ten times the rows", peaks[1]),
        Target("its growth from one to ten times the rows", ratio(peaks[1], peaks[0]), 1.15, at_most=True),
        memory("peak memory with texts of 1 MB", _extreme(document, "wide", "peak_rss_mb")),
    ]


def _extreme(document: Document, name: str, figure: str) -> Any:
    return (document.get(name) or {}).get(figure)
