"""How many workers a run gets: by the machine's CPUs and by the connections that both servers still take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOST = 8  # where the mapping names no number: each worker holds batches in memory
QUOTA = Path("/sys/fs/cgroup/cpu.max")

# Connections of each worker, and of a command beside its workers and the sessions that it has open when the room is measured.
EACH = {"source": 1, "target": 2}
BESIDE = {"source": 5, "target": 7}


@dataclass(frozen=True)
class Room:
    """How many more connections a server takes of us; `server` is the same text for the same server."""

    free: int
    server: str


@dataclass(frozen=True)
class Machine:
    """What limits the number of workers. `cpus` are those that this process may use."""

    cpus: int
    source: Room
    target: Room

    def fits(self, share: int = 1) -> dict[str, int]:
        """Side -> for how many workers one in `share` of its free connections suffices."""
        one = self.source.server == self.target.server
        each = dict.fromkeys(EACH, sum(EACH.values())) if one else EACH
        beside = dict.fromkeys(BESIDE, sum(BESIDE.values())) if one else BESIDE
        rooms = {"source": self.source, "target": self.target}
        return {side: max((room.free // share - beside[side]) // each[side], 0) for side, room in rooms.items()}


@dataclass(frozen=True)
class Workers:
    """`lacking` is the side whose connections do not suffice, "" where they do; `number` is 0 then."""

    number: int
    why: str
    lacking: str = ""


def staff(wanted: int | None, machine: Machine) -> Workers:
    """As many workers as the mapping wants; None: as fit the CPUs, where half of the free connections stay to others."""
    room = f"the source takes {machine.source.free} more connections, the target {machine.target.free}"
    fits = machine.fits()
    least = min(fits, key=lambda side: fits[side])
    if fits[least] < (wanted or 1):
        need = "not even one fits" if not fits[least] else f"{wanted} do not fit, {fits[least]} would"
        return Workers(0, f"{need}: {room}", least)
    if wanted:
        return Workers(wanted, f"as the mapping says; {room}")
    halved = machine.fits(2)
    number = max(1, min(machine.cpus, MOST, *halved.values()))
    return Workers(number, f"auto: {machine.cpus} CPU{'s' * (machine.cpus != 1)}, {room}")


def cpus(quota: Path = QUOTA) -> int:
    """The CPUs that this process may use: by its affinity, and by the quota of its container (cgroup v2).

    https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max: quota and period in microseconds, or "max")
    """
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(own, *_quota(quota)))


def _quota(file: Path) -> Iterator[int]:
    try:
        allowed, period = file.read_text(encoding="ascii").split()
        yield -(-int(allowed) // int(period))
    except (OSError, ValueError):
        yield os.cpu_count() or 1
