"""What the terminal shows while work goes on: progress and messages on stderr, documents on stdout."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from rowcall.errors import UsageError
from rowcall.progress import OnProgress, silent
from rowcall.progress import Progress as Step
from rowcall.report.words import duration, rate

FILE_WIDTH = 110  # columns, where the output is no terminal
PHASES = {
    "judge": "judging",
    "run": "moving",
    "undo": "removing",
    "verify": "verifying",
    "prove": "proving",
    "mend": "mending",
}


class Screen:
    """`as_json`: one JSON document on stdout and nothing else there; `quiet`: no progress and no messages."""

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json, self.quiet = as_json, quiet
        self.out = Console(highlight=False)
        self.err = Console(stderr=True, highlight=False)
        if not self.out.is_terminal:
            self.out.width = max(self.out.width, FILE_WIDTH)

    def say(self, line: str) -> None:
        """A message beside the result."""
        if not self.quiet:
            self.err.print(line, markup=False, soft_wrap=True)

    def show(self, *parts: Any) -> None:
        """The result for people; not where JSON was asked for."""
        if not self.as_json:
            for part in parts:
                # Lines of ours are not broken: what is copied out of a terminal must still be what it was.
                whole = isinstance(part, str) or not (self.out.is_terminal or isinstance(part, Table))
                self.out.print(part, markup=False, soft_wrap=whole)

    def document(self, content: Any) -> None:
        """The result as JSON, where it was asked for."""
        if self.as_json:
            self.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def write(self, text: str) -> None:
        """Text to stdout as it is."""
        self.out.file.write(text)
        self.out.file.flush()

    @contextmanager
    def sink(self, output: Path | None) -> Iterator[Callable[[str], object]]:
        """Where a document goes: a file, or stdout. A file that was begun and not finished is removed again, and what was there
        before stays."""
        if output is None:
            yield self.write
            return
        output = output.resolve()
        plain = output.is_file() or not output.exists()  # a pipe or a device is written to as it is
        made = output.with_name(f".{output.name}.part") if plain else output
        try:
            file = made.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise UsageError(
                f"{output} cannot be written: {error.strerror}", hint="name another file behind -o"
            ) from None
        try:
            with file:
                yield file.write
            if plain:
                if output.exists():
                    shutil.copymode(output, made)
                made.replace(output)
        finally:
            if plain:
                made.unlink(missing_ok=True)
        self.say(f"wrote {output}")

    @contextmanager
    def progress(self) -> Iterator[OnProgress]:
        """Bars on a terminal, one line per finished entity elsewhere."""
        if self.quiet:
            yield silent
        elif self.err.is_terminal:
            with _bars(self.err) as bars:
                yield _Bars(bars)
        else:
            yield self._line

    def _line(self, step: Step) -> None:
        if step.rows >= step.total:
            self.err.print(
                f"{PHASES[step.phase]} {step.entity}: {step.rows:,} rows, {rate(step.rows_per_second)}", markup=False
            )


def _bars(console: Console) -> Progress:
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}")]
    return Progress(*columns, console=console)


class _Bars:
    def __init__(self, bars: Progress) -> None:
        self.bars, self.tasks = bars, dict[tuple[str, str], TaskID]()

    def __call__(self, step: Step) -> None:
        name = (step.phase, step.entity)
        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(f"{PHASES[step.phase]} {step.entity}", total=step.total or 1, told="")
        told = f"{step.rows:,}/{step.total:,} rows  {rate(step.rows_per_second)}"
        if step.eta is not None and step.rows < step.total:
            told += f"  {duration(step.eta)} left"
        self.bars.update(self.tasks[name], completed=step.rows if step.total else 1, told=told)
