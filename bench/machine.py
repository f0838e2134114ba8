"""What the figures were measured on. No name and no path of the machine is told."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.world import HERE, SOURCE, TARGET, World

LIBRARIES = ("adbc-driver-postgresql", "duckdb", "numpy", "psycopg", "pyarrow")
SETTINGS = ("shared_buffers", "max_wal_size", "wal_level", "fsync", "synchronous_commit", "full_page_writes")
GIGABYTE = 1e9
BUSY = 0.3  # of load(): above it no figure can be trusted


def machine() -> dict[str, Any]:
    """{"cpu", "cores", "memory_gb", "os"}."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIGABYTE
    return {"cpu": _cpu(), "cores": cores(), "memory_gb": round(memory, 1), "os": _system()}


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float:
    """The work that waits for each core now: near 0 on a machine that has nothing else to do."""
    return round(os.getloadavg()[0] / cores(), 2)


def quiet(patience: float) -> float:
    """The load, when it has fallen to BUSY or the patience (seconds) is at its end: what the caller did just before fades."""
    deadline = time.monotonic() + patience
    while (now := load()) > BUSY and time.monotonic() < deadline:
        time.sleep(2)
    return now


def _cpu() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", _text("/proc/cpuinfo"), re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def _system() -> str:
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)', _text("/etc/os-release"), re.MULTILINE)
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{found[1] if found else platform.system()}, {platform.system()} {kernel}, {platform.machine()}"


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def versions(world: World) -> dict[str, Any]:
    """{"python", "rowcall", "commit", "source", "target", "libraries": name -> version}."""
    return {
        "python": platform.python_version(),
        "rowcall": _installed("rowcall"),
        "commit": _commit(),
        "source": world.value(world.dsn(SOURCE), "show server_version"),
        "target": world.value(world.dsn(TARGET), "show server_version"),
        "libraries": {name: _installed(name) for name in LIBRARIES},
    }


def settings(world: World) -> dict[str, str]:
    """Settings of the two servers, which are alike."""
    return {name: world.value(world.dsn(TARGET), f"show {name}") for name in SETTINGS}


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "from source"


def _commit() -> str:
    """The short commit, with `+` where files of the engine or the bench differ from it; empty outside of git."""
    commit = _git("rev-parse", "--short=10", "HEAD")
    changed = _git("status", "--porcelain", "--", "src", "bench", ":!bench/results.json")
    return commit + ("+" if commit and changed else "")


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(HERE.parent), *words], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
