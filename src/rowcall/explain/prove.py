"""Proofs asked: each query is run on the source, and its keys are compared with those that the run rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

import duckdb

from rowcall.explain.causes import Cause, query
from rowcall.explain.proof import CHECKED, QUERY, Proof
from rowcall.ledger import Ledger
from rowcall.loading import load, table_of
from rowcall.plan.plan import Plan
from rowcall.plan.proof import CIRCLE, Known, Untold, proof_sql
from rowcall.plan.source_sql import terminals_sql
from rowcall.postgres.read import ComputationFailed, Reader
from rowcall.progress import Meter, OnProgress, silent
from rowcall.rows import Reason
from rowcall.sql import literal


class Checks(Protocol):
    """What the source alone cannot tell is checked by the tool itself."""

    def judge_again(self, table: str) -> None:
        """Judges every row anew; (entity, key, code) of those that are rejected go into a DuckDB table of this name."""

    def refused_again(self, entity: str, keys: Sequence[str]) -> Mapping[str, str]:
        """Key -> evidence of those of these rows that the target refuses when they are written again (and taken back)."""


@dataclass(frozen=True)
class Sorts:
    """What rows were rejected for: (entity, code) as the cause of a row, and (entity, code, column) as one of its defects."""

    causes: frozenset[tuple[str, str]]
    defects: frozenset[tuple[str, str, str | None]]


def sorts(ledger: Ledger) -> Sorts:
    """As the ledger's quarantine has them."""
    rows = ledger.session.rows(query("known"))
    causes = frozenset((entity, code) for entity, code, _, first, _ in rows if first)
    late = [code.value for code in Reason if code.order > Reason.PARENT_QUARANTINED.order]
    circles = {(entity, CIRCLE, None) for entity, *_, lead in rows if lead in late}
    return Sorts(causes, frozenset((entity, code, column) for entity, code, column, *_ in rows) | circles)


def write_proofs(plan: Plan, known: Sorts) -> dict[tuple[str, str], Proof]:
    """(entity, code) -> the proof, which nobody has asked yet."""
    return {(entity, code): _written(plan, entity, code, known.defects) for entity, code in sorted(known.causes)}


def _written(plan: Plan, entity: str, code: str, known: Known) -> Proof:
    try:
        return Proof(QUERY, proof_sql(plan, entity, Reason(code), known) + "\n")
    except Untold as untold:
        return checked(untold.why)


def checked(why: str) -> Proof:
    """The proof of a cause that no query on the source alone can show."""
    return Proof(CHECKED, f"-- {why}:\n-- `rowcall explain --prove` checks it by rowcall's own judge and the target\n")


class Prover:
    """`source` reads one snapshot; `duck` holds `rejected`, the first rejection of every quarantined row."""

    def __init__(
        self, plan: Plan, ledger: Ledger, source: Reader, duck: duckdb.DuckDBPyConnection, checks: Checks
    ) -> None:
        self.plan, self.ledger, self.source, self.duck, self.checks = plan, ledger, source, duck, checks
        self._judged_again = False

    def prove(
        self, causes: Sequence[Cause], on_progress: OnProgress = silent, entity: str | None = None
    ) -> tuple[Cause, ...]:
        """The causes with proofs that were asked just now; where only those of one entity are, the others stay as they are."""
        proofs = write_proofs(self.plan, sorts(self.ledger))
        proven = []
        for cause in causes:
            if entity not in (None, cause.entity):
                proven.append(cause)
                continue
            meter = Meter(on_progress, "prove", f"{cause.entity}/{cause.code}", cause.rows)
            proven.append(replace(cause, proof=self._prove(cause, proofs[cause.entity, cause.code])))
            meter.add(meter.total)
        return tuple(proven)

    def _prove(self, cause: Cause, proof: Proof) -> Proof:
        if proof.kind == QUERY:
            try:
                table_of(self.duck, "asked", "source_key varchar")
                load(self.duck, "asked", self.source.batches(proof.sql))
                return self._compared(cause, proof)
            except ComputationFailed as error:
                proof = checked(f"a row of the source ends the query ({error.sqlstate})")
        return self._checked(cause, proof)

    def _compared(self, cause: Cause, proof: Proof) -> Proof:
        row = self.duck.execute(query("compare"), {"entity": cause.entity, "code": cause.code}).fetchone()
        rows, missing, surplus = map(int, row or (0, 0, 0))
        return _asked(proof, rows, missing, surplus)

    # -- what the source alone cannot tell --------------------------------------------------------------------------

    def _checked(self, cause: Cause, proof: Proof) -> Proof:
        if cause.code == Reason.REFUSED_BY_TARGET.value:
            told = self._evidence(cause)
            refused = self.checks.refused_again(cause.entity, list(told))
            same = sum(refused.get(key) == evidence for key, evidence in told.items())
            return _asked(proof, same, len(told) - same, 0)
        if not self._judged_again:
            self.checks.judge_again("again")
            self._judged_again = True
        self._load_led(cause)
        row = self.duck.execute(query("check"), {"entity": cause.entity, "code": cause.code}).fetchone()
        rows, missing, surplus = map(int, row or (0, 0, 0))
        return _asked(proof, rows, missing, surplus)

    def _evidence(self, cause: Cause) -> dict[str, str]:
        """Key -> evidence of a cause's rows."""
        sql = "select key, evidence from rejected where entity = ? and code = ? order by key"
        return dict(self.duck.execute(sql, [cause.entity, cause.code]).fetchall())

    def _load_led(self, cause: Cause) -> None:
        """Where every path of the entity leads, by the source's own SQL: (source_key, parent_entity, parent_key)."""
        know, mapping = self.plan.knowledge, self.plan.mapping
        entity = mapping.entity(cause.entity)
        table_of(self.duck, "led", "source_key varchar, parent_entity varchar, parent_key varchar")
        for reference in entity.references:
            for route in reference.routes:
                sql = terminals_sql(reference, route, entity, mapping, know.source, know.content_types)
                load(self.duck, "led", self.source.batches(sql), f"source_key, {literal(route.to)}, parent_key")


def _asked(proof: Proof, rows: int, missing: int, surplus: int) -> Proof:
    held, at = not missing and not surplus, datetime.now(UTC).isoformat(timespec="seconds")
    return replace(proof, held=held, rows=rows, missing=missing, surplus=surplus, asked_at=at)
