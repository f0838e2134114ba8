"""The forecast as a document: what `check` writes, `run` copies into the ledger, and the report compares with the run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from rowcall.explain.causes import Cause
from rowcall.ledger.repairs import RepairRecord
from rowcall.rows import Counts

FILE = Path(".rowcall") / "forecast.json"


@dataclass(frozen=True)
class ForecastDocument:
    """Counts are rows. `digest` is over every (entity, key, code) that was quarantined: equal digests mean equal key sets."""

    mapping_fingerprint: str
    made_at: str
    counts: Mapping[str, Counts]
    excluded: Mapping[tuple[str, str], int]
    causes: Sequence[Cause]
    digest: str
    estimate: dict[str, Any]
    notes: tuple[str, ...] = ()
    over_budget: bool = False
    repairs: Sequence[dict[str, Any]] = ()  # what the project file's repairs would do
    decided: Mapping[str, int] = field(default_factory=dict)  # entity -> rows that would no longer be open then

    @property
    def open(self) -> int:
        """Rows about which nothing would be decided."""
        return self.totals.quarantined - sum(self.decided.values())

    @property
    def totals(self) -> Counts:
        return sum(self.counts.values(), Counts())

    def as_json(self) -> dict[str, Any]:
        return {
            "schema_version": 1,
            "mapping_fingerprint": self.mapping_fingerprint,
            "made_at": self.made_at,
            "totals": {**vars(self.totals), "open": self.open},
            "entities": [
                {"name": n, **vars(c), "open": c.quarantined - self.decided.get(n, 0)} for n, c in self.counts.items()
            ],
            "repairs": list(self.repairs),
            "excluded": [{"entity": e, "rule": r, "rows": n} for (e, r), n in self.excluded.items()],
            "causes": [c.as_json() for c in self.causes],
            "digest": self.digest,
            "estimate": self.estimate,
            "notes": list(self.notes),
            "over_budget": self.over_budget,
        }

    def save(self, folder: Path) -> None:
        (folder / FILE).parent.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(json.dumps(self.as_json(), indent=1) + "\n", encoding="utf-8")


def saved(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """The project's last forecast as JSON, if it was made with this very mapping."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return dict(found) if isinstance(found, dict) and found.get("mapping_fingerprint") == fingerprint else None


def digest(duck: duckdb.DuckDBPyConnection) -> str:
    """Over the table `rejected`: (entity, key, code) of every quarantined row, whatever their order."""
    row = duck.sql(
        "select count(*)::varchar || ':' || coalesce(bit_xor(md5_number(entity || chr(31) || key || chr(31) || code)), 0)::varchar "
        "from rejected"
    ).fetchone()
    return str(row[0]) if row else ""


def matched(forecast: dict[str, Any] | None, counts: Mapping[str, Counts], own_digest: str) -> bool | None:
    """Whether a run ended as its forecast said, key for key; None where there was no forecast."""
    if forecast is None:
        return None
    told = {
        e["name"]: Counts(e["source"], e["migrated"], e["quarantined"], e["excluded"]) for e in forecast["entities"]
    }
    return told == dict(counts) and forecast["digest"] == own_digest


def repairs_matched(forecast: dict[str, Any], repairs: Iterable[RepairRecord]) -> bool:
    """Whether the project file's repairs did what was foreseen of them; those that it did
    not know, or that found no row, are no part of it."""
    told, done = Counter[tuple[str, str, str]](), Counter[tuple[str, str, str]]()
    for r in forecast.get("repairs", ()):
        if r["chosen"]:
            told[r["entity"], r["code"], r["remedy"]] += sum(r["home"].values()) + r["decided"]
    for record in repairs:
        if record.origin == "project":
            done[record.entity, record.code, record.remedy] += record.home
    return all(told[repair] == home for repair, home in done.items() if repair in told)
