from rowcall.ledger.book import ChunkRecord, EntityRecord, EntitySums, Ledger, RunRecord
from rowcall.ledger.keys import KeyBook, TakenKey
from rowcall.ledger.proofs import ProofBook, ProofRecord
from rowcall.ledger.status import Status, read_status

__all__ = [
    "ChunkRecord",
    "EntityRecord",
    "EntitySums",
    "KeyBook",
    "Ledger",
    "ProofBook",
    "ProofRecord",
    "RunRecord",
    "Status",
    "TakenKey",
    "read_status",
]
