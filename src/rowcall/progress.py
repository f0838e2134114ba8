"""Progress as a callback: rows, rate and time left of one entity."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """`phase` is "judge" (nothing is written), "run", "undo", "verify" or "prove"; `rows` of `total` rows are
    done; rates in rows per second, `eta` in seconds (None where unknown)."""

    phase: str
    entity: str
    rows: int
    total: int
    rows_per_second: float
    eta: float | None


OnProgress = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """For who does not want to know."""


class Meter:
    """Turns finished rows of one entity into Progress. The rate counts only what this command did."""

    def __init__(
        self, on_progress: OnProgress, phase: str, entity: str, total: int, done: int = 0, *, counted: bool = True
    ) -> None:
        self.on_progress, self.phase, self.entity, self.total, self.counted = on_progress, phase, entity, total, counted
        self.rows, self._before, self._started = done, done, time.monotonic()
        self.add(0)

    def add(self, rows: int) -> None:
        self.rows += rows
        if not self.counted:  # an estimate is never reached before the end
            self.total = max(self.total, self.rows + 1)
        passed = max(time.monotonic() - self._started, 1e-6)
        rate = (self.rows - self._before) / passed
        eta = (self.total - self.rows) / rate if rate > 0 else None
        self.on_progress(Progress(self.phase, self.entity, self.rows, self.total, rate, eta))

    def end(self) -> None:
        """All rows are done: where their number was an estimate, it is known now."""
        if not self.counted:
            self.counted, self.total = True, self.rows
            self.add(0)
