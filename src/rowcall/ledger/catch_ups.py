"""The book of catch-ups: what each later run took up of what changed at the source, and what it left as the target has it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from rowcall.ledger.book import partition
from rowcall.postgres.connect import Session
from rowcall.postgres.queries import named_queries

CHANGE = ("entity", "source_key", "was", "held", "gone", "now", "cause", "row_hash", "what")


@dataclass(frozen=True)
class CaughtUp:
    """Of one entity: rows of the target that were `inserted`, `updated`, `removed`; source rows that are `rejected` anew or for
    something else, `excluded`, or `gone`; and target rows that were `kept`, though the source says otherwise."""

    entity: str
    inserted: int
    updated: int
    removed: int
    rejected: int
    excluded: int
    gone: int
    kept: int

    @property
    def any(self) -> bool:
        return any(v for name, v in vars(self).items() if name != "entity")


@dataclass(frozen=True)
class Aside:
    """Rows of one entity in which target and source differ, and why: kept as the target has them (edited, removed, repaired,
    referred, refused), or gone at the source (kept, marked, removed)."""

    entity: str
    why: str
    rows: int


@dataclass(frozen=True)
class CatchUpRecord:
    id: int
    started_at: datetime
    ended_at: datetime
    entities: tuple[CaughtUp, ...]

    def as_json(self) -> dict[str, Any]:
        times = {name: getattr(self, name).astimezone(UTC).isoformat() for name in ("started_at", "ended_at")}
        return {"id": self.id, **times, "entities": [vars(e) for e in self.entities]}


class CatchUpBook:
    """Over one target session. `do` and `rows` run the named queries of catch_ups.sql."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._sql = named_queries("rowcall.ledger", "catch_ups.sql")

    def do(self, name: str, *params: Any, entity: int | None = None) -> int:
        return self.session.execute(self._named(name, entity), params or None)

    def rows(self, name: str, *params: Any, entity: int | None = None) -> list[tuple[Any, ...]]:
        return self.session.rows(self._named(name, entity), params or None)

    def _named(self, name: str, entity: int | None) -> str:
        sql = self._sql[name]
        return sql if entity is None else sql.format(n=entity, lines=partition(entity))

    def next(self) -> int:
        return int(self.rows("next")[0][0])

    def add_xids(self, number: int, xids: Iterable[int]) -> None:
        self.do("add_xids", list(xids), number)

    def records(self, only: int | None = None) -> list[CatchUpRecord]:
        """All catch-ups, or the one of this number."""
        found = self.rows("caught_up", only, only)
        return [
            CatchUpRecord(number, started, ended, tuple(CaughtUp(*row[3:]) for row in rows))
            for (number, started, ended), rows in groupby(found, key=lambda row: (row[0], row[1], row[2]))
        ]

    def kept(self) -> tuple[Aside, ...]:
        """The target rows that are not as the source has them."""
        return tuple(Aside(*row) for row in self.rows("why_kept"))

    def why(self, entity: str, key: str) -> str | None:
        """Why one row is kept; None where it is not."""
        rows = self.rows("kept_as", entity, key)
        return str(rows[0][0]) if rows else None

    def gone(self) -> tuple[Aside, ...]:
        """The migrated rows that the source has no more."""
        return tuple(Aside(*row) for row in self.rows("what_gone"))
