"""What the processes of a server, and those that we started, spend their processor time on: sampled from /proc (Linux)."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg

from bench.clock import WayFailed

PROC = Path("/proc")
TICK = os.sysconf("SC_CLK_TCK")
PARENT, OWN, CHILDREN = 1, (11, 12), (13, 14)  # fields of /proc/<pid>/stat behind the program's name; see man proc
BACKGROUND = "background"  # checkpointer, writers, autovacuum, io workers
OTHER = "other"  # what no pattern fits, and what a process did after it was last seen
WORKERS = " workers"  # behind a label: the share of parallel workers
LOOK = (
    "select pid, backend_type, leader_pid is not null, state, query from pg_stat_activity where pid <> pg_backend_pid()"
)
Labels = Sequence[tuple[str, str]]


def stat(pid: int) -> list[str]:
    """The fields behind the program's name; none where the process is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def seconds(pid: int, fields: Sequence[int]) -> float:
    """Processor seconds of a process: its own, or those of its children that ended."""
    found = stat(pid)
    return sum(int(found[f]) for f in fields) / TICK if found else 0.0


def children() -> Iterator[int]:
    """Our own running children."""
    for file in (PROC / "self" / "task").glob("*/children"):
        try:
            yield from map(int, file.read_text().split())
        except OSError:
            continue


class Activity:
    """One server. `spent` is label -> processor seconds since the beginning, `now` what went on at the last look; `watching`
    is, once it is closed, what the looking itself took.

    A statement's label is that of the first pattern which fits its text. What a process spent between two looks counts half
    for what it did at each.
    """

    def __init__(self, dsn: str, labels: Labels) -> None:
        self.labels = [(re.compile(pattern, re.IGNORECASE | re.DOTALL), label) for pattern, label in labels]
        self.connection: psycopg.Connection[Any] = psycopg.connect(dsn, autocommit=True)
        self.own = self.connection.info.backend_pid
        if not (found := stat(self.own)):
            raise WayFailed("there is no /proc: processor time can be told apart on Linux only")
        self.postmaster = int(found[PARENT])
        self.spent: defaultdict[str, float] = defaultdict(float)
        self.now: set[str] = set()
        self._seen: dict[int, tuple[float, str]] = {}
        self.look()
        self.spent.clear()
        self._begun, self.watching = self._whole(), seconds(self.own, OWN)

    def look(self) -> set[str]:
        """What is going on."""
        self.now = set()
        for pid, kind, parallel, state, query in self.connection.execute(LOOK).fetchall():
            label = self._label(kind, query or "")
            if state != "idle":
                self.now.add(label)
            self._count(pid, label + (WORKERS if parallel and label not in (OTHER, BACKGROUND) else ""))
        return self.now

    def _label(self, kind: str, query: str) -> str:
        if kind not in ("client backend", "parallel worker"):
            return BACKGROUND
        found = ((pattern.search(query), label) for pattern, label in self.labels)
        return next((_named(match, label) for match, label in found if match), OTHER)

    def _count(self, pid: int, label: str) -> None:
        passed = seconds(pid, OWN)
        before, earlier = self._seen.get(pid, (0.0, label))
        self.spent[earlier] += (passed - before) / 2
        self.spent[label] += (passed - before) / 2
        self._seen[pid] = passed, label

    def _whole(self) -> float:
        """Of all processes that there are or were, but for our own session's."""
        living = sum(seconds(pid, OWN) for pid in self._seen)
        return living + seconds(self.postmaster, (*OWN, *CHILDREN))

    def close(self) -> None:
        """The last look; what was not seen is `other`."""
        self.look()
        self.watching = seconds(self.own, OWN) - self.watching
        self.spent[OTHER] += max(self._whole() - self._begun - sum(self.spent.values()), 0.0)
        self.connection.close()


def _named(match: re.Match[str], label: str) -> str:
    """The label, with the object's name where the pattern has one group."""
    return f"{label} {match[1]}" if match.groups() else label
