"""Proofs asked: each query is run on the source, and its keys are compared with those that the run rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

import duckdb

from rowcall.errors import SourceUnreadable
from rowcall.explain.analysis import Fits, analyse
from rowcall.explain.causes import Cause, query
from rowcall.explain.proof import QUERY, Proof
from rowcall.explain.written import checked, sorts, write_proofs
from rowcall.ledger import Ledger
from rowcall.loading import load, table_of
from rowcall.plan.elements import element_entity
from rowcall.plan.plan import Plan
from rowcall.plan.source_sql import terminals_sql
from rowcall.postgres.read import STATEMENT_FAULTS, ComputationFailed, Reader
from rowcall.progress import Meter, OnProgress, silent
from rowcall.rows import Reason
from rowcall.sql import literal

_NOT_AGAIN = "and (entity, key, code) not in (select (entity, key, code) from again)"


class Checks(Protocol):
    """What the source alone cannot tell is checked by the tool itself."""

    def judge_again(self, table: str) -> None:
        """Judges every row anew; (entity, key, code) of those that are rejected go into a DuckDB table of this name."""

    def refused_again(self, entity: str, keys: Sequence[str]) -> Mapping[str, str]:
        """Key -> evidence of those of these rows that the target refuses when they are written again (and taken back)."""


class Prover:
    """`source` reads one snapshot; `duck` holds `rejected`, the first rejection of every quarantined row."""

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        source: Reader,
        target: Reader,
        duck: duckdb.DuckDBPyConnection,
        checks: Checks,
        fits: Fits,
    ) -> None:
        self.plan, self.ledger, self.checks, self.fits = plan, ledger, checks, fits
        self.source, self.target, self.duck = source, target, duck
        self._judged_again = False

    def prove(self, on_progress: OnProgress = silent, entity: str | None = None) -> tuple[Cause, ...]:
        """The run's causes with proofs that were asked just now; where only those of one entity are, the others stay as they
        were. A repaired row is still at the source: it counts as the run left it."""
        causes = analyse(self.plan, self.ledger, self.target, self.duck, self.fits, repaired=True)
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
            except (ComputationFailed, SourceUnreadable) as error:
                if isinstance(error, SourceUnreadable) and error.sqlstate[:2] not in STATEMENT_FAULTS:
                    raise
                proof = checked(f"the source ends the query (SQLSTATE {error.sqlstate})")
        return self._checked(cause, proof)

    def _compared(self, cause: Cause, proof: Proof) -> Proof:
        row = self.duck.execute(query("compare"), {"entity": cause.entity, "code": cause.code}).fetchone()
        rows, missing, surplus, lacking, more = row or (0, 0, 0, None, None)
        examples = tuple(f"lacks {key}" for key in lacking or ()) + tuple(f"has {key}" for key in more or ())
        return replace(_asked(proof, rows, missing, surplus), examples=examples)

    # -- what the source alone cannot tell --------------------------------------------------------------------------

    def _checked(self, cause: Cause, proof: Proof) -> Proof:
        if cause.code == Reason.REFUSED_BY_TARGET.value:
            return self._written_again(proof, cause, self._evidence(cause))
        if not self._judged_again:
            self.checks.judge_again("again")
            self._judged_again = True
        if cause.code == Reason.UNSTORABLE_TEXT.value:  # found by the judge, or by the target alone
            return self._written_again(proof, cause, self._evidence(cause, _NOT_AGAIN))
        self._load_led(cause)
        later = Reason(cause.code).order > Reason.PARENT_QUARANTINED.order
        earlier = [code.value for code in Reason if code.order < Reason(cause.code).order]
        params = {"entity": cause.entity, "code": cause.code, "later": later, "earlier": earlier}
        row = self.duck.execute(query("check"), params).fetchone()
        rows, missing, surplus = map(int, row or (0, 0, 0))
        return _asked(proof, rows, missing, surplus)

    def _written_again(self, proof: Proof, cause: Cause, told: Mapping[str, str]) -> Proof:
        """The target must refuse these rows again, for the same reason; the cause's others were found already."""
        refused = self.checks.refused_again(cause.entity, list(told)) if told else {}
        missing = sum(refused.get(key) != evidence for key, evidence in told.items())
        return _asked(proof, cause.rows - missing, missing, 0)

    def _evidence(self, cause: Cause, but: str = "") -> dict[str, str]:
        """Key -> evidence of a cause's rows; `but`: SQL that leaves some out."""
        sql = f"select key, evidence from rejected where entity = ? and code = ? {but} order by key"
        return dict(self.duck.execute(sql, [cause.entity, cause.code]).fetchall())

    def _load_led(self, cause: Cause) -> None:
        """Where every path of the entity leads, by the source's own SQL: (source_key, parent_entity, parent_key)."""
        know, mapping = self.plan.knowledge, self.plan.mapping
        entity = mapping.entity(cause.entity)
        table_of(self.duck, "led", "source_key varchar, parent_entity varchar, parent_key varchar")
        if cause.code != Reason.PARENT_QUARANTINED.value:
            return
        for reference in entity.references:
            for route in (r for r in reference.routes if not r.there):
                rows, key = entity, "source_key"
                if reference.each:
                    rows, key = (
                        element_entity(entity, reference, know.source),
                        "regexp_replace(source_key, ' #[0-9]+$', '')",
                    )
                sql = terminals_sql(reference, route, rows, mapping, know.source, know.content_types)
                load(self.duck, "led", self.source.batches(sql), f"{key}, {literal(route.to)}, parent_key")


def _asked(proof: Proof, rows: int, missing: int, surplus: int) -> Proof:
    held, at = not missing and not surplus, datetime.now(UTC).isoformat(timespec="seconds")
    return replace(proof, held=held, rows=rows, missing=missing, surplus=surplus, asked_at=at)
