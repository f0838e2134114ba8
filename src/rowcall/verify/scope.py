"""What is verified, and from where it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from rowcall.errors import LedgerConflict
from rowcall.ledger.book import EntityRecord
from rowcall.mapping.model import Entity, Mapping
from rowcall.plan.source_sql import ContentTypes
from rowcall.postgres.read import Reader
from rowcall.schema import Schema


@dataclass(frozen=True)
class Scope:
    """The ledger's entities under the mapping of their run.

    `schema` is the source's catalog, `types` its content types. The source's reader should read one snapshot; `duck` is
    where keys are joined: the checks work on cursors of it, with temporary tables of their own.
    """

    records: Sequence[EntityRecord]
    mapping: Mapping
    schema: Schema
    types: ContentTypes
    source: Reader
    target: Reader
    duck: duckdb.DuckDBPyConnection

    def entity(self, record: EntityRecord) -> Entity:
        """An entity of the ledger as the mapping has it. Raises LedgerConflict where it has it no more."""
        for entity in self.mapping.entities:
            if entity.name == record.name:
                return entity
        raise LedgerConflict(
            f"the ledger knows the entity {record.name}, the mapping does not", hint="use the mapping of the run"
        )

    def record(self, name: str) -> EntityRecord | None:
        return next((r for r in self.records if r.name == name), None)
