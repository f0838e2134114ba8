"""The Proof of a cause: a read-only query on the source that returns exactly the rejected keys, and whether it does."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rowcall.ledger.proofs import ProofRecord

QUERY, CHECKED = "query", "checked"


@dataclass(frozen=True)
class Proof:
    """`kind` "query": `sql` is one SELECT of source_key for the source's psql. `kind` "checked": the source alone cannot tell;
    `sql` then says, as an SQL comment, which check rowcall makes anew. `held` is None until the source was asked;
    `rows` is what it returned then, `missing` of these the rejected keys that it did not, `surplus` the keys too many;
    `asked_at` is ISO 8601 in UTC."""

    kind: str
    sql: str
    held: bool | None = None
    rows: int | None = None
    missing: int = 0
    surplus: int = 0
    asked_at: str | None = None
    examples: tuple[str, ...] = field(default=(), repr=False)  # some of the keys that differ: for the screen alone

    @property
    def text(self) -> str:
        """To be pasted into psql."""
        return self.sql.rstrip() + ("\n;" if self.kind == QUERY else "")

    @classmethod
    def recorded(cls, record: ProofRecord) -> Proof:
        """As the ledger has it."""
        r = record
        at = r.asked_at.astimezone(UTC).isoformat(timespec="seconds") if r.asked_at else None
        return cls(r.kind, r.sql, r.held, r.rows, r.missing, r.surplus, at)

    def record(self, entity: str, code: str) -> ProofRecord:
        """As the ledger keeps it."""
        at = datetime.fromisoformat(self.asked_at) if self.asked_at else None
        return ProofRecord(entity, code, self.kind, self.sql, self.held, self.rows, self.missing, self.surplus, at)

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "sql": self.sql,
            "held": self.held,
            "rows": self.rows,
            "missing": self.missing,
            "surplus": self.surplus,
            "asked_at": self.asked_at,
        }
