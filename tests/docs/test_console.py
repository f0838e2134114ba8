"""Every `$ rowcall ...` line of the documentation is run, in the order of its page, in one small demo project."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.pages import PAGES, blocks, name
from rowcall.cli import app
from rowcall.frame import guarded
from rowcall.postgres.embedded import EmbeddedServers

LINE = re.compile(r"^\$ rowcall (.*?)(?:\s+# exit (\d+))?$", re.MULTILINE)
LINES = {page: [line for block in blocks(page, "console") for line in LINE.findall(block)] for page in PAGES}


def rowcall(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ROWCALL_")}
    command = [sys.executable, "-m", "rowcall", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("docs") / "demo"
    try:
        made = rowcall(folder.parent, "demo", str(folder), "--scale", "small", "--quiet")
        assert made.returncode == 0, made.stderr
        assert rowcall(folder, "servers", "start", "--quiet").returncode == 0
        yield folder
    finally:
        EmbeddedServers(folder).stop()
        EmbeddedServers(folder).remove()


@pytest.mark.parametrize("page", [page for page, lines in LINES.items() if lines], ids=name)
def test_console_examples(
    page: Path, demo: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In this process, which has imported everything already: a start for each line takes longer than most of them."""
    monkeypatch.chdir(demo)
    for key in [key for key in os.environ if key.startswith("ROWCALL_")]:
        monkeypatch.delenv(key)
    for words, code in LINES[page]:
        monkeypatch.setattr(sys, "argv", ["rowcall", *shlex.split(words)])
        ended = guarded(app)
        said = capfd.readouterr()
        assert ended in ({int(code)} if code else {0, 3}), f"rowcall {words}\n{said.out}{said.err}"
        assert "internal error" not in said.err


def test_there_are_console_examples() -> None:
    assert sum(map(len, LINES.values())) > 15
