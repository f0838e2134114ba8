"""The proofs of a run's causes, as the ledger keeps them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rowcall.postgres.connect import Session
from rowcall.postgres.queries import named_queries


@dataclass(frozen=True)
class ProofRecord:
    """`held` is None until the proof was asked; `missing` and `surplus` count the keys by which it differs then."""

    entity: str
    code: str
    kind: str
    sql: str
    held: bool | None
    rows: int | None
    missing: int
    surplus: int
    asked_at: datetime | None


class ProofBook:
    """Over one target session."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._sql = named_queries("rowcall.ledger", "queries.sql")

    def replace(self, proofs: Iterable[ProofRecord]) -> None:
        """These proofs in place of all that there were."""
        with self.session.transaction():
            self.session.execute(self._sql["forget_proofs"])
            for p in proofs:
                line = [p.code, p.kind, p.sql, p.held, p.rows, p.missing, p.surplus, p.asked_at, p.entity]
                self.session.execute(self._sql["add_proof"], line)

    def proofs(self) -> list[ProofRecord]:
        return [ProofRecord(*row) for row in self.session.rows(self._sql["proofs"])]

    def unproven(self) -> int:
        """Proofs that were asked and do not hold."""
        return int(self.session.value(self._sql["unproven"]))
