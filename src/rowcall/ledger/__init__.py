from rowcall.ledger.book import ChunkRecord, EntityRecord, EntitySums, Ledger, RunRecord
from rowcall.ledger.status import Status, read_status

__all__ = ["ChunkRecord", "EntityRecord", "EntitySums", "Ledger", "RunRecord", "Status", "read_status"]
