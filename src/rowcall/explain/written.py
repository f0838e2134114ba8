"""Proofs as they are written: from what rows were rejected for, before anybody asks them."""

from __future__ import annotations

from dataclasses import dataclass

from rowcall.explain.causes import query
from rowcall.explain.proof import CHECKED, QUERY, Proof
from rowcall.ledger import Ledger
from rowcall.plan.plan import Plan
from rowcall.plan.proof import CIRCLE, Known, Untold, proof_sql
from rowcall.rows import Reason


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
