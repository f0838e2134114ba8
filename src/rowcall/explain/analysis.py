"""The causes of a run as its ledger has them, each with its proof."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb

from rowcall.explain.causes import Cause, find_causes, query, read_rejected
from rowcall.explain.proof import Proof
from rowcall.explain.written import sorts, write_proofs
from rowcall.ledger import Ledger, ProofBook
from rowcall.plan.plan import Plan
from rowcall.postgres.read import Reader

# (entity, code, target columns) -> names of the remedies that fit.
Fits = Callable[[str, str, Iterable[str | None]], tuple[str, ...]]


def analyse(
    plan: Plan, ledger: Ledger, target: Reader, duck: duckdb.DuckDBPyConnection, fits: Fits, *, repaired: bool = False
) -> tuple[Cause, ...]:
    """Root first, with the remedies that fit. A proof is as it was when it was last asked; of a run that is not over it is
    written now. What another mapping would say of the run is not asked. `repaired`: rows count as the run left them."""
    read_rejected(target, duck, repaired=repaired)
    causes = find_causes(duck)
    proofs = {(r.entity, r.code): Proof.recorded(r) for r in ProofBook(ledger.session).proofs()}
    if ledger.run().mapping_fingerprint == plan.mapping.fingerprint:
        if any((cause.entity, cause.code) not in proofs for cause in causes):
            proofs = write_proofs(plan, sorts(ledger)) | proofs
        causes = tuple(replace(c, remedies=fits(c.entity, c.code, [g.column for g in c.groups])) for c in causes)
    parents = {(entity, code): n for entity, code, n in ledger.session.rows(query("parents"))}
    found = ((cause, (cause.entity, cause.code)) for cause in causes)
    return tuple(replace(cause, proof=proofs.get(key), parents=parents.get(key)) for cause, key in found)


def note_proofs(plan: Plan, ledger: Ledger) -> None:
    """Writes the proofs of a run that is over into its ledger: nobody has asked them yet."""
    proofs = write_proofs(plan, sorts(ledger))
    ProofBook(ledger.session).replace(proof.record(*cause) for cause, proof in proofs.items())


def keep_proofs(ledger: Ledger, causes: Sequence[Cause]) -> None:
    """What the proofs answered."""
    ProofBook(ledger.session).replace(c.proof.record(c.entity, c.code) for c in causes if c.proof)


@dataclass(frozen=True)
class Relations:
    """`edges`: (entity, reference, parent entity or None) -> rows whose cause is there; `flows`: (root entity, root code,
    entity, rows) of the victims."""

    edges: Mapping[tuple[str, str, str | None], int]
    flows: tuple[tuple[str, str, str, int], ...]


def relations(duck: duckdb.DuckDBPyConnection) -> Relations:
    """From the rows in `rejected`."""
    edges = {(entity, reference, parent): n for entity, reference, parent, n in duck.execute(query("edges")).fetchall()}
    return Relations(edges, tuple((e, c, to, n) for e, c, to, n in duck.execute(query("flows")).fetchall()))
