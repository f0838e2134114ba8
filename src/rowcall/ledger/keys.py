"""The book of keys that a load took away from the target: what stands in it can be put back exactly as it was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from rowcall.postgres.connect import Session
from rowcall.postgres.queries import named_queries
from rowcall.schema import TableKey


@dataclass(frozen=True)
class TakenKey:
    """`state`: "away" (neither built nor attached) or "built" (the index stands, or the foreign key NOT VALID)."""

    key: TableKey
    state: str


class KeyBook:
    """Speaks to rowcall.taken_key; every change belongs into the transaction of the DDL that it tells of."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._sql = named_queries("rowcall.ledger", "keys.sql")

    def missing(self) -> tuple[TakenKey, ...]:
        """What is not back yet."""
        return tuple(TakenKey(_key(said), state) for said, state in self.session.rows(self._sql["missing"]))

    def take(self, keys: Iterable[TableKey]) -> None:
        for key in keys:
            self.session.execute(self._sql["take"], [key.table, key.name, json.dumps(asdict(key))])

    def note(self, key: TableKey, state: str) -> None:
        """The key's new state."""
        self.session.execute(self._sql["note"], [state, state, key.table, key.name])


def _key(said: dict[str, object]) -> TableKey:
    return TableKey(**{k: tuple(v) if isinstance(v, list) else v for k, v in said.items()})  # type: ignore[arg-type]
