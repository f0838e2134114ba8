"""Accounts at a glance: both servers' own sums over an entity's keys, looked at as soon as its lines are all there.

Where they are equal the entity's account is sound, and its keys need not be read; where not, accounts.py compares the keys.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from rowcall.ledger.book import EntityRecord
from rowcall.mapping.model import Entity, Mapping
from rowcall.plan.keys import entity_key
from rowcall.postgres.connect import Session
from rowcall.postgres.read import Reader
from rowcall.schema import Schema
from rowcall.verify.checks import AccountCheck
from rowcall.verify.differences import query


class Glances:
    """The sound accounts so far, each by its entity's name. `schema` is the source's catalog."""

    def __init__(self, mapping: Mapping, schema: Schema) -> None:
        self.mapping, self.schema = mapping, schema
        self.sound: dict[str, AccountCheck] = {}
        self._keys: dict[str, tuple[int, str]] = {}  # the source's sums, which stay what they are on a snapshot

    def look(self, record: EntityRecord, source: Reader, target: Session) -> None:
        """Looks at an entity; anew where its lines changed since it was looked at.

        Each server adds up 64-bit hashes of its keys (hashtextextended); a key of the ledger is there once by its unique index.
        """
        self.sound.pop(record.name, None)
        if not target.rows(query("closed").format(entity=record.id)):
            return
        with ThreadPoolExecutor(1) as pool:  # both servers at once
            keys = pool.submit(self._of_source, self.mapping.entity(record.name), source)
            ((rows, migrated, quarantined, excluded, digest),) = target.rows(
                query("line_sums").format(entity=record.id)
            )
            without = target.rows(query("without_payload").format(entity=record.id))
            equal = keys.result() == (rows, digest)
        if equal and not without:
            self.sound[record.name] = AccountCheck(
                record.name, rows, migrated, quarantined, excluded, missing_lines=0, surplus_lines=0, duplicates=0,
                without_payload=0, missing_in_target=None, foreign_in_target=None, occupied=record.occupied,
            )  # fmt: skip

    def _of_source(self, entity: Entity, source: Reader) -> tuple[int, str]:
        if entity.name not in self._keys:
            key = f"({entity_key(entity, self.schema).sql})::text"
            sql = query("key_sums").format(key=key, table=entity.relation())
            (told,) = source.table(sql).to_pylist()
            self._keys[entity.name] = told["rows"], told["digest"]
        return self._keys[entity.name]
