"""Every reference in the target, computed anew from the source and the crosswalk, and compared."""

from __future__ import annotations

from rowcall.ledger.book import EntityRecord
from rowcall.loading import load, table_of
from rowcall.mapping.model import Entity, Reference
from rowcall.plan.graph import parents
from rowcall.plan.source_sql import nulls_sql, terminals_sql
from rowcall.progress import Meter, OnProgress, silent
from rowcall.sql import ident, literal, qualified
from rowcall.verify.checks import ReferenceCheck
from rowcall.verify.differences import difference, examples, numbers, query
from rowcall.verify.scope import Scope


def check_references(scope: Scope, on_progress: OnProgress = silent) -> tuple[ReferenceCheck, ...]:
    """Checks every reference column of the ledger's entities; an entity at a time is told."""
    references = _References(scope)
    found: list[ReferenceCheck] = []
    for record in scope.records:
        meter = Meter(on_progress, "verify", record.name, record.rows_expected or 0)
        found += references.check(record)
        meter.add(meter.total)
    return tuple(found)


class _References:
    def __init__(self, scope: Scope) -> None:
        self.scope, self.duck = scope, scope.duck.cursor()

    def check(self, record: EntityRecord) -> list[ReferenceCheck]:
        entity = self.scope.entity(record)
        if not entity.references:
            return []
        self._load_crosswalk(record, entity)
        return [self._check(record, entity, reference) for reference in entity.references]

    def _check(self, record: EntityRecord, entity: Entity, reference: Reference) -> ReferenceCheck:
        self._load_held(record, reference)
        self._load_expected(entity, reference)
        self._load_nulled(record, reference)
        self._load_amended(record, reference)
        checked, nulls = numbers(self.duck, "checked")
        found = {name: difference(self.duck, name) for name in ("broken", "wrong")}
        broken, wrong = (count for count, _ in found.values())
        return ReferenceCheck(entity.name, reference.column, checked, nulls, broken, wrong, examples(found))

    def _load_crosswalk(self, record: EntityRecord, entity: Entity) -> None:
        """The entity's migrated lines, those of others that fill its table, and all lines of every entity that its references
        name."""
        lines = "select source_key, {} target_id::text from rowcall.settlement where entity = {}"
        target = self.scope.target
        table_of(self.duck, "own", "k varchar, uid uuid")
        # Rows that a catch-up told as kept are not as the source has them: that is known, and stands in the report.
        kept = f"and source_key not in (select source_key from rowcall.kept_row where entity = {record.id})"
        load(self.duck, "own", target.batches(lines.format("", record.id) + f" and outcome = 'migrated' {kept}"))
        table_of(self.duck, "others", "uid uuid")
        for other in self._peers(record):
            ids = f"select target_id::text from rowcall.settlement where entity = {other.id} and outcome = 'migrated'"
            load(self.duck, "others", target.batches(ids))
        table_of(self.duck, "parents", "entity varchar, k varchar, outcome varchar, uid uuid, repaired boolean")
        for parent in filter(None, map(self.scope.record, parents(entity))):
            batches = target.batches(query("parent_lines").format(entity=parent.id))
            load(self.duck, "parents", batches, f"{literal(parent.name)}, *")

    def _load_held(self, record: EntityRecord, reference: Reference) -> None:
        """What the target holds in the column, and the ids that it may hold."""
        columns = f"{ident(record.id_column)}::text as id, {ident(reference.column)}::text as value"
        table_of(self.duck, "held", "id uuid, value uuid")
        load(self.duck, "held", self.scope.target.batches(f"select {columns} from {qualified(record.target_table)}"))
        table_of(self.duck, "parent_ids", "id uuid, own boolean")
        own = self._led_to(record, reference.column)
        others = {place for peer in self._peers(record) for place in self._led_to(peer, reference.column)} - own
        for (table, column), mine in [*((p, "true") for p in own), *((p, "false") for p in others)]:
            ids = f"select {ident(column)}::text from {qualified(table)}"
            load(self.duck, "parent_ids", self.scope.target.batches(ids), f"*, {mine}")

    def _peers(self, record: EntityRecord) -> list[EntityRecord]:
        """Other entities that fill the same table."""
        return [r for r in self.scope.records if r.target_table == record.target_table and r.id != record.id]

    def _led_to(self, record: EntityRecord, column: str) -> set[tuple[str, str]]:
        """The (table, id column) that an entity's reference in this column may lead to."""
        routes = [route for r in self.scope.entity(record).references if r.column == column for route in r.routes]
        named = filter(None, (self.scope.record(route.to) for route in routes))
        return {(parent.target_table, parent.id_column) for parent in named}

    def _load_expected(self, entity: Entity, reference: Reference) -> None:
        """Where each row's path ends in the source, and which rows name nothing at all."""
        scope, given = self.scope, (entity, self.scope.mapping, self.scope.schema, self.scope.types)
        table_of(self.duck, "terminals", "k varchar, parent varchar, entity varchar")
        for route in reference.routes:
            ends = scope.source.batches(terminals_sql(reference, route, *given))
            load(self.duck, "terminals", ends, f"*, {literal(route.to)}")
        table_of(self.duck, "plain", "k varchar")
        load(self.duck, "plain", scope.source.batches(nulls_sql(reference, *given)))

    def _load_amended(self, record: EntityRecord, reference: Reference) -> None:
        """The parents that repairs gave to rows, by the ledger's own lines."""
        table_of(self.duck, "amended", "k varchar, uid uuid")
        sql = query("amended").format(entity=record.id, column=literal(reference.column))
        load(self.duck, "amended", self.scope.target.batches(sql))

    def _load_nulled(self, record: EntityRecord, reference: Reference) -> None:
        """The rows that the ledger shows as nulled, for a reason that the mapping allows."""
        allowed = ", ".join(sorted(literal(reason.value) for reason in reference.missing)) or "null"
        table_of(self.duck, "nulled", "k varchar, code varchar")
        nulled = (
            f"select source_key, code from rowcall.nulled_reference where entity = {record.id} "
            f"and target_column = {literal(reference.column)} and code in ({allowed})"
        )
        load(self.duck, "nulled", self.scope.target.batches(nulled))
