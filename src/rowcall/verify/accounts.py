"""Conservation, shown by key anti-joins: the source's keys against the ledger's lines, these against the target's ids.

Nothing here trusts a counter: every number is counted from keys that were read for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rowcall.ledger.book import EntityRecord
from rowcall.loading import load, table_of
from rowcall.plan.keys import entity_key
from rowcall.sql import ident, literal, qualified
from rowcall.verify.checks import AccountCheck
from rowcall.verify.differences import EXAMPLES, Difference, difference, examples, numbers, query
from rowcall.verify.scope import Scope

LEDGER_SIDE = ("missing_lines", "surplus_lines", "duplicates")
TARGET_SIDE = ("missing_in_target", "foreign_in_target")


def check_accounts(
    scope: Scope, *, target_ids: bool = True, sound: Mapping[str, AccountCheck] = MappingProxyType({})
) -> tuple[AccountCheck, ...]:
    """Checks every entity of the ledger but those whose accounts were found `sound` (entity -> account). `target_ids=False`
    leaves the target tables unread: the source's keys against the ledger's lines only."""
    accounts = _Accounts(scope, target_ids)
    return tuple(sound.get(record.name) or accounts.check(record) for record in scope.records)


class _Accounts:
    def __init__(self, scope: Scope, target_ids: bool) -> None:
        self.scope, self.target_ids = scope, target_ids
        self.duck = scope.duck.cursor()

    def check(self, record: EntityRecord) -> AccountCheck:
        self._load_keys(record)
        found = {name: difference(self.duck, name) for name in LEDGER_SIDE}
        found["without_payload"] = self._without_payload(record)
        if self.target_ids:
            self._load_ids(record)
            found |= {name: difference(self.duck, name) for name in TARGET_SIDE}
        source, migrated, quarantined, excluded = numbers(self.duck, "sums")
        counts = {name: count for name, (count, _) in found.items()}
        return AccountCheck(
            record.name,
            source,
            migrated,
            quarantined,
            excluded,
            missing_lines=counts["missing_lines"],
            surplus_lines=counts["surplus_lines"],
            duplicates=counts["duplicates"],
            without_payload=counts["without_payload"],
            missing_in_target=counts.get("missing_in_target"),
            foreign_in_target=counts.get("foreign_in_target"),
            occupied=record.occupied,
            examples=examples(found),
        )

    def _load_keys(self, record: EntityRecord) -> None:
        scope, entity = self.scope, self.scope.entity(record)
        key = entity_key(entity, scope.schema).sql
        table_of(self.duck, "source_keys", "k varchar")
        load(self.duck, "source_keys", scope.source.batches(f"select ({key})::text from {entity.relation()}"))
        table_of(self.duck, "lines", "k varchar, outcome varchar, uid uuid")
        uid = "null::text"
        if self.target_ids:  # but of rows that somebody removed, which a catch-up told
            gone = f"select source_key from rowcall.kept_row where entity = {record.id} and why = 'removed'"
            uid = f"case when source_key not in ({gone}) then target_id::text end"
        lines = f"select source_key, outcome::text, {uid} from rowcall.settlement where entity = {record.id}"
        load(self.duck, "lines", scope.target.batches(lines))

    def _load_ids(self, record: EntityRecord) -> None:
        """The target's ids, and all that the ledger knows of that table: several entities may fill one."""
        table_of(self.duck, "target_ids", "id uuid")
        ids = f"select {ident(record.id_column)}::text from {qualified(record.target_table)}"
        load(self.duck, "target_ids", self.scope.target.batches(ids))
        peers = ", ".join(str(r.id) for r in self.scope.records if r.target_table == record.target_table)
        table_of(self.duck, "known_ids", "id uuid")
        known = (
            f"select target_id::text from rowcall.written where entity in ({peers}) union all "
            "select target_id::text from rowcall.synthetic_row "
            f"where version is not null and target_table = {literal(record.target_table)}"
        )
        load(self.duck, "known_ids", self.scope.target.batches(known))

    def _without_payload(self, record: EntityRecord) -> Difference:
        keys = self.scope.target.table(query("without_payload").format(entity=record.id)).column(0)
        return len(keys), tuple(keys[:EXAMPLES].to_pylist())
