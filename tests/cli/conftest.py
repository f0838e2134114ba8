"""One small demo for the session, and the command line as a user calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from rowcall.cli import app
from rowcall.frame import guarded
from rowcall.postgres.embedded import EmbeddedServers


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Call = Callable[..., Done]


def rowcall(*words: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> Done:
    """The console script in a process of its own."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith("ROWCALL_")}
    done = subprocess.run(
        [sys.executable, "-m", "rowcall", *map(str, words)],
        cwd=cwd, env={**plain, **(env or {})}, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


def here(*words: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> Done:
    """The same in this process, which has imported everything already: for commands whose own process does not matter."""
    with pytest.MonkeyPatch.context() as patch, _caught(1, "stdout") as out, _caught(2, "stderr") as err:
        for key in [key for key in os.environ if key.startswith("ROWCALL_")]:
            patch.delenv(key)
        for key, value in (env or {}).items():
            patch.setenv(key, value)
        patch.chdir(cwd or Path.cwd())
        patch.setattr(sys, "argv", ["rowcall", *map(str, words)])
        code = guarded(app)
    assert "Traceback" not in err[0]
    return Done(code, out[0], err[0])


@contextmanager
def _caught(number: int, name: str) -> Iterator[list[str]]:
    """What this process and its children write there; told when it is over."""
    said: list[str] = []
    with TemporaryFile("w+") as file, pytest.MonkeyPatch.context() as patch:
        before = os.dup(number)
        os.dup2(file.fileno(), number)
        patch.setattr(sys, name, file)
        try:
            yield said
        finally:
            file.flush()
            os.dup2(before, number)
            os.close(before)
            file.seek(0)
            said.append(file.read())


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small demo that has run; its servers stay up for the session."""
    folder = tmp_path_factory.mktemp("cli") / "demo"
    made = rowcall("demo", folder, "--scale", "small", "--json")
    assert made.code == 0, made.err
    (folder / "demo.out.json").write_text(made.out)
    assert rowcall("servers", "start", "-p", folder).code == 0
    yield folder
    EmbeddedServers(folder).stop()
    EmbeddedServers(folder).remove()
