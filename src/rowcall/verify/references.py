"""Every reference in the target, computed anew from the source and the crosswalk, and compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rowcall.ledger.book import EntityRecord
from rowcall.loading import load, table_of
from rowcall.mapping.model import ELEMENT, KEYS, TYPE, Entity, Reference, Route
from rowcall.plan.elements import element_entity, element_part, elements_sql
from rowcall.plan.graph import parents
from rowcall.plan.keys import need_column, read_as
from rowcall.plan.source_sql import nulls_sql, terminals_sql, values_sql
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
        return [self._way_of(reference)(record, entity, reference) for reference in entity.references]

    def _way_of(self, reference: Reference) -> Callable[[EntityRecord, Entity, Reference], ReferenceCheck]:
        return self._check_merge if reference.merges else self._check_elements if reference.each else self._check

    def _check_elements(self, record: EntityRecord, entity: Entity, reference: Reference) -> ReferenceCheck:
        """References in the elements of a column: those of each row, in their order, against where the source's lead."""
        each, scope = reference.each, self.scope
        assert each is not None
        rows = element_entity(entity, reference, scope.schema)
        self._load_nulled(record, reference)
        table_of(self.duck, "wanted", "k varchar, place varchar, pos bigint, type varchar")
        columns = f"rowcall_k, rowcall_at, rowcall_pos, {TYPE}"
        load(self.duck, "wanted", scope.source.batches(f"select {columns} from {rows.relation()}"))
        for number, name in scope.types.items():  # in the target a type has its name
            self.duck.execute("update wanted set type = ? where type = ?", [name, str(number)])
        self._load_ends(rows, reference)
        self._load_parent_ids(record, reference)
        table_of(self.duck, "elements", "id uuid, pos bigint, value varchar, type varchar")
        there = replace(each, given="jsonb")  # whatever it was in the source
        places = elements_sql(there, ident("t", reference.column))
        parts = f"{element_part(each, ELEMENT)} as value, {element_part(each, TYPE)} as type"
        values = f"t.{ident(record.id_column)}::text as id, x.pos, {parts}"
        held = f"select {values} from {qualified(record.target_table)} t cross join lateral ({places}) x where x.raw is not null"
        load(self.duck, "elements", scope.target.batches(held))
        if each.kind == KEYS:  # of which JSON keeps no order
            self.duck.execute("update wanted set pos = 0; update elements set pos = 0")
        found = {name: difference(self.duck, name) for name in ("lost_elements", "wrong_elements")}
        lost, wrong = (count for count, _ in found.values())
        (checked,) = self.duck.execute("select count(*) from wanted semi join own using (k)").fetchone() or (0,)
        return ReferenceCheck(entity.name, reference.column, checked, 0, lost, wrong, examples(found))

    def _check_merge(self, record: EntityRecord, entity: Entity, reference: Reference) -> ReferenceCheck:
        """Rows for which another stands: is it the one to which their path leads, and is it there?"""
        target = self.scope.target
        table_of(self.duck, "self", "name varchar")
        self.duck.execute("insert into self values (?)", [entity.name])
        table_of(self.duck, "merged", "k varchar, uid uuid")
        load(self.duck, "merged", target.batches(query("merged_lines").format(entity=record.id)))
        table_of(self.duck, "held", "id uuid")
        ids = f"select {ident(record.id_column)}::text from {qualified(record.target_table)}"
        load(self.duck, "held", target.batches(ids))
        self._load_expected(entity, reference)
        found = {name: difference(self.duck, name) for name in ("lost", "unmerged")}
        lost, unmerged = (count for count, _ in found.values())
        (checked,) = self.duck.execute("select count(*) from merged").fetchone() or (0,)
        return ReferenceCheck(entity.name, reference.column, checked, 0, lost, unmerged, examples(found))

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
        """What the target holds in the column, and what it may hold."""
        columns = f"{ident(record.id_column)}::text as id, {ident(reference.column)}::text as value"
        table_of(self.duck, "held", "id uuid, value uuid")
        load(self.duck, "held", self.scope.target.batches(f"select {columns} from {qualified(record.target_table)}"))
        self._load_parent_ids(record, reference)

    def _load_parent_ids(self, record: EntityRecord, reference: Reference) -> None:
        """The ids that the column may hold."""
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
        there = (self.scope.mapping.entity(route.to) for route in routes if route.there)
        return {(parent.target_table, parent.id_column) for parent in named} | {(e.target, e.id_column) for e in there}

    def _load_expected(self, entity: Entity, reference: Reference) -> None:
        """Where each row's path ends in the source, and which rows name nothing at all."""
        self._load_ends(entity, reference)
        scope = self.scope
        table_of(self.duck, "plain", "k varchar")
        plain = nulls_sql(reference, entity, scope.mapping, scope.schema, scope.types)
        load(self.duck, "plain", scope.source.batches(plain))

    def _load_ends(self, entity: Entity, reference: Reference) -> None:
        scope, given = self.scope, (entity, self.scope.mapping, self.scope.schema, self.scope.types)
        table_of(self.duck, "terminals", "k varchar, parent varchar, entity varchar")
        for route in reference.routes:
            if route.there:
                self._load_there(entity, reference, route)
                continue
            ends = scope.source.batches(terminals_sql(reference, route, *given))
            load(self.duck, "terminals", ends, f"*, {literal(route.to)}")

    def _load_there(self, entity: Entity, reference: Reference, route: Route) -> None:
        """Where a path to rows of the target leads: its value at the source, looked up in the target as it is now."""
        scope, found, last = self.scope, self.scope.mapping.entity(route.to), route.path[-1]
        table_of(self.duck, "led", "k varchar, value varchar")
        sql = values_sql(reference, route, entity, scope.mapping, scope.schema, scope.types)
        load(self.duck, "led", scope.source.batches(sql))
        table_of(self.duck, "there", "value varchar, id uuid")
        value = read_as(need_column(scope.schema.tables[last.table], last.to_column))
        sql = f"select ({value})::text as value, {ident(found.id_column)}::text as id from {qualified(found.target)}"
        load(self.duck, "there", scope.target.batches(f"select * from ({sql}) t where value is not null"))
        to = literal(route.to)
        self.duck.execute(f"insert into terminals select k, id::varchar, {to} from led join there using (value)")
        self.duck.execute(
            f"insert into parents select distinct {to}, id::varchar, 'migrated', id, true from led join there using (value)"
        )

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
