from rowcall.plan.proof.writer import CIRCLE, Known, Untold, proof_sql

__all__ = ["CIRCLE", "Known", "Untold", "proof_sql"]
