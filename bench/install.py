"""Gets the peers: Debian's programs as they are on PATH or unpacked below bench/.peers, dlt in an environment of its own.

Nothing is installed into the system or into rowcall's own environment.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.world import HERE

PEERS = HERE / ".peers"
# Fetched only where the program does not start without them.
LIBRARIES = {"pgloader": ("libssl3", "libzstd1", "libsqlite3-0"), "pgcopydb": ("libpq5",)}
REQUIREMENTS = (
    "dlt[postgres,sql-database,parquet]>=1.20",
    "adbc-driver-manager",
    "adbc-driver-postgresql",
    "connectorx",
    "pyarrow",
)
MINUTES = 15


class Absent(Exception):
    """A peer cannot be had here. The message is one line."""


@dataclass(frozen=True)
class Program:
    """A peer's program, ready to run."""

    path: Path
    version: str
    environment: Mapping[str, str] = field(default_factory=dict)


def debian(name: str) -> Program:
    """A program of Debian. Raises Absent."""
    if found := shutil.which(name):
        return Program(Path(found), _version_of(Path(found), {}))
    if not (PEERS / "debian" / "usr" / "bin" / name).exists():
        _unpack(name)
    path = PEERS / "debian" / "usr" / "bin" / name
    try:
        _version_of(path, _libraries())
    except Absent:
        _unpack(*LIBRARIES[name])
        _version_of(path, _libraries())
    return Program(path, _package_version(name), _libraries())


def _unpack(*packages: str) -> None:
    folder = PEERS / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    for package in packages:
        _run(["apt-get", "download", package], cwd=folder)
        for file in folder.glob(f"{package}_*.deb"):
            _run(["dpkg-deb", "-x", str(file), str(PEERS / "debian")])


def _libraries() -> dict[str, str]:
    folders = sorted({str(path.parent) for path in (PEERS / "debian").glob("**/*.so.*")})
    return {"LD_LIBRARY_PATH": os.pathsep.join(folders)} if folders else {}


def _version_of(path: Path, environment: Mapping[str, str]) -> str:
    said = _run([str(path), "--version"], environment=environment)
    found = re.search(r'version "?([\w.~+-]+)', said)
    return found[1] if found else "unknown"


def _package_version(name: str) -> str:
    """That of the package: what the program says of itself may be older."""
    [file] = (PEERS / "packages").glob(f"{name}_*.deb")
    return file.name.split("_")[1].replace("%3a", ":")


def dlt() -> Program:
    """The Python that has dlt. Raises Absent."""
    python = PEERS / "venv" / "bin" / "python"
    stamp = PEERS / "venv" / ".installed"
    wanted = "\n".join(REQUIREMENTS)
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(PEERS / "venv", ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(PEERS / "venv")])
        for words in (["--upgrade", "pip>=25.1"], REQUIREMENTS):
            _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words])
        stamp.write_text(wanted)
    return Program(python, _run([str(python), "-c", "import dlt; print(dlt.__version__)"]).strip())


def _run(command: Sequence[str], cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """A program's output on both channels. Raises Absent where it fails or is not there."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | dict(environment or {})
    try:
        done = subprocess.run(
            command, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60 * MINUTES
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Absent(f"{Path(command[0]).name} cannot be run ({type(error).__name__})") from None
    if done.returncode != 0:
        said = " ".join(done.stdout.split())[-200:]
        raise Absent(f"`{' '.join([Path(command[0]).name, *command[1:3]])}` ended with {done.returncode}: {said}")
    return done.stdout
