"""The databases that the examples migrate: dumps of real applications, made by others, so not part of this repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rowcall.migration import Migration
from rowcall.postgres.connect import Session, connect
from rowcall.postgres.embedded import EmbeddedServers

ROOT = Path(__file__).resolve().parents[2]
# pg_restore of a newer Postgres says this once to an older server, and goes on.
HARMLESS = 'unrecognized configuration parameter "transaction_timeout"'


@dataclass
class Example:
    """A copy of an example's folder with its two servers, filled."""

    folder: Path
    source: Session
    target: Session

    @property
    def migration(self) -> Migration:
        return Migration.open(self.folder)


def dump(name: str) -> Path:
    """The dump's file. Where the dumps are absent the test is skipped, and fails in CI."""
    folder = Path(os.environ.get("ROWCALL_SHARED") or ROOT.parent / "shared" / "data")
    found = folder / f"{name}.dump"
    if not found.is_file():
        reason = (
            f"THE EXAMPLE {name} IS NOT TESTED: there is no {name}.dump; set ROWCALL_SHARED to the folder of the dumps"
        )
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextmanager
def example(name: str, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Example]:
    """The example `name`, ready to run; its variables are set as its README says."""
    restored = dump(name)
    shutil.copytree(ROOT / "examples" / name, folder)
    servers = EmbeddedServers(folder)
    servers.create({"legacy": 16, "target": 18})
    try:
        with servers.use():
            legacy, target = servers.dsn("legacy"), servers.dsn("target")
            _restore(servers.binary("target", "pg_restore"), legacy, restored)
            patch.setenv(f"{name.upper()}_SOURCE", legacy)
            patch.setenv(f"{name.upper()}_TARGET", target)
            with connect(legacy, "target") as source, connect(target, "target") as empty:
                empty.execute((folder / "target.sql").read_text())
                yield Example(folder, source, empty)
    finally:
        servers.remove()


def _restore(program: Path, dsn: str, file: Path) -> None:
    done = subprocess.run([program, "-O", "-x", "-d", dsn, file], capture_output=True, text=True, timeout=120)
    errors = [line for line in done.stderr.splitlines() if "error:" in line and HARMLESS not in line]
    assert not errors, errors
