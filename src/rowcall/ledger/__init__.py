from rowcall.ledger.book import ChunkRecord, EntityRecord, EntitySums, Ledger, RunRecord
from rowcall.ledger.catch_ups import Aside, CatchUpBook, CatchUpRecord, CaughtUp
from rowcall.ledger.keys import KeyBook, TakenKey
from rowcall.ledger.needs import need_complete, need_ledger
from rowcall.ledger.proofs import ProofBook, ProofRecord
from rowcall.ledger.repairs import RepairBook, RepairRecord
from rowcall.ledger.status import Status, read_status

__all__ = [
    "Aside",
    "CatchUpBook",
    "CatchUpRecord",
    "CaughtUp",
    "ChunkRecord",
    "EntityRecord",
    "EntitySums",
    "KeyBook",
    "Ledger",
    "ProofBook",
    "ProofRecord",
    "RepairBook",
    "RepairRecord",
    "RunRecord",
    "Status",
    "TakenKey",
    "need_complete",
    "need_ledger",
    "read_status",
]
