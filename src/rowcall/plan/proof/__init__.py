from rowcall.plan.proof.writer import Known, Untold, proof_sql

__all__ = ["Known", "Untold", "proof_sql"]
