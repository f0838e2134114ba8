"""Where a run stands, counted from the ledger's lines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rowcall.ledger.book import EntitySums, Ledger
from rowcall.ledger.keys import KeyBook


@dataclass(frozen=True)
class Status:
    """`state` is the run's, or "not begun"; `seconds` since it started; `rows_per_second` and `eta` (seconds) over all
    settled chunks, None where nothing was settled yet or the run does not go on."""

    state: str
    entities: tuple[EntitySums, ...] = ()
    seconds: float | None = None
    keys_away: int = 0  # keys and indexes of the target that a load took away and that are not back yet

    @property
    def rows(self) -> int:
        return sum(e.rows_read for e in self.entities)

    @property
    def expected(self) -> int:
        return sum(e.total for e in self.entities)

    @property
    def rows_per_second(self) -> float | None:
        return self.rows / self.seconds if self.rows and self.seconds else None

    @property
    def eta(self) -> float | None:
        running = self.state == "running" and self.rows_per_second
        return (self.expected - self.rows) / self.rows_per_second if running and self.rows_per_second else None

    def told(self) -> str:
        about = "" if all(e.counted for e in self.entities) else "about "
        line = f"{self.state}: {self.rows:,} of {about}{self.expected:,} rows settled"
        line += f", about {self.eta:.0f} s left" if self.eta else ""
        if self.keys_away and self.state != "running":
            line += f"; {self.keys_away} keys and indexes are away: `rowcall run` or `rowcall undo` puts them back"
        return line

    def as_json(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "rows": self.rows,
            "expected": self.expected,
            "rows_per_second": self.rows_per_second,
            "eta_seconds": self.eta,
            "keys_away": self.keys_away,
            "entities": [
                {
                    "name": e.name,
                    "expected": e.expected,
                    "counted": e.counted,
                    **vars(e.counts),
                    "open": e.open,
                    "chunks": e.chunks,
                    "chunks_settled": e.chunks_settled,
                    "rows_per_second": e.rows_read / e.seconds if e.seconds else None,
                }
                for e in self.entities
            ],
        }


def read_status(ledger: Ledger) -> Status:
    if not ledger.exists():
        return Status("not begun")
    run = ledger.run()
    end = run.finished_at or datetime.now(UTC)
    away = len(KeyBook(ledger.session).missing())
    return Status(run.state, tuple(ledger.sums()), (end - run.started_at).total_seconds(), away)
