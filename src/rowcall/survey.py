"""Asks both servers what the compiler must know: catalogs, the types of expressions, content types, bytes of literals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rowcall.errors import UsageError
from rowcall.ledger import KeyBook, Ledger
from rowcall.mapping import read_mapping
from rowcall.mapping.model import THERE, VIEW, Entity, Mapping
from rowcall.plan.knowledge import Knowledge
from rowcall.plan.plan import Plan
from rowcall.plan.workers import Machine, Room, cpus
from rowcall.postgres.catalog import ServerProbe, read_room, read_schema
from rowcall.postgres.connect import Session
from rowcall.postgres.table_keys import read_keys
from rowcall.schema import Schema, TableKey, Type
from rowcall.sql import literal, qualified

LEDGER_LINE_BYTES = 150  # a settlement line with its primary key
ADMIN_LOG = "django_admin_log"  # django.contrib.admin.models.LogEntry
ADMIN_LOG_COLUMNS = ("action_time", "object_id", "action_flag", "content_type_id", "user_id")
WRITING_FACTOR = 3.0  # a run over its judging alone, as measured


def survey(
    file: Path, source: Session, target: Session, schemas: tuple[str, str], ledger: Ledger
) -> tuple[Mapping, Knowledge]:
    """Reads the mapping against both catalogs. Raises MappingError with every fault."""
    away = [taken.key for taken in KeyBook(target).missing()] if ledger.exists() else []
    source_schema, target_schema = read_schema(source, schemas[0]), read_schema(target, schemas[1]).with_keys(away)
    _need_encodings(source_schema.encoding, target_schema.encoding)
    probe = ServerProbe(source, target)
    mapping = read_mapping(file, source_schema, target_schema, probe)
    types = types_of(mapping.entities, probe)
    literals = literals_of(mapping.entities, target_schema, probe)
    content = content_types(mapping, source, source_schema)
    machine = Machine(cpus(), Room(*read_room(source)), Room(*read_room(target)))
    for entity in mapping.entities:  # an id is never NULL, whatever its column allows
        target_schema = target_schema.beside([target_schema.tables[entity.target].requiring(entity.id_column)])
    return mapping, Knowledge(
        source_schema.beside(mapping.queries), target_schema, types, content, literals, machine, _occupied(target, mapping, ledger),
        _keys(target, mapping, away), _sequences(source, mapping), _admin_log(source, source_schema, mapping),
    )  # fmt: skip


def _sequences(source: Session, mapping: Mapping) -> dict[tuple[str, str], int]:
    """The last value that was given out for each column that paths look up, where a sequence of its own gives them out and may
    be read."""
    hops = {
        (hop.table, hop.to_column)
        for e in mapping.entities
        for r in e.references
        for t in r.routes
        for hop in t.path
        if not hop.table.startswith((VIEW, THERE))
    }
    if not hops:
        return {}
    listed = ", ".join(
        f"({literal(table)}, {literal(qualified(table))}, {literal(column)})" for table, column in sorted(hops)
    )
    rows = source.rows(
        f"select h.name, h.col, s.last_value from (values {listed}) h (name, tbl, col) join pg_sequences s "
        "on format('%I.%I', s.schemaname, s.sequencename) = pg_get_serial_sequence(h.tbl, h.col) where s.last_value is not null"
    )
    return {(table, column): last for table, column, last in rows}


def _admin_log(source: Session, schema: Schema, mapping: Mapping) -> tuple[str, str] | None:
    """Django's log and its content types as SQL, where they are there and may be read."""
    types = mapping.content_types.table
    log = schema.tables.get(f"{types.split('.', 1)[0]}.{ADMIN_LOG}")
    if log is None or types not in schema.tables or not all(map(log.column, ADMIN_LOG_COLUMNS)):
        return None
    names = qualified(log.qualified), qualified(types)
    allowed = " and ".join(
        f"has_table_privilege({literal(name)}, 'select') and not row_security_active({literal(name)})" for name in names
    )
    return names if source.value(f"select {allowed}") else None


def _keys(target: Session, mapping: Mapping, away: Sequence[TableKey]) -> tuple[TableKey, ...]:
    """The keys of the target tables as they are when those that a load took away are back."""
    known = {(key.table, key.name): key for key in read_keys(target, {e.target for e in mapping.entities})}
    return tuple((known | {(key.table, key.name): key for key in away}).values())


def _need_encodings(source: str, target: str) -> None:
    """What is read must be text of a known encoding, and what is judged as UTF-8 must fit where it is written."""
    if source == "SQL_ASCII":
        raise UsageError(
            "the source database has the encoding SQL_ASCII: nobody knows what its bytes mean",
            hint="dump it and restore it into a UTF8 database, with the encoding that its programs wrote",
        )
    if target != "UTF8":
        raise UsageError(
            f"the target database has the encoding {target}, which cannot hold every text",
            hint="create the target with `create database ... encoding 'UTF8' template template0`",
        )


def types_of(entities: Iterable[Entity], probe: ServerProbe) -> dict[tuple[str, str], Type]:
    """(table, SQL) -> the type of every expression of these entities."""
    found: dict[tuple[str, str], Type] = {}
    for entity in entities:
        expressions = [rule.sql for rule in entity.columns if rule.sql is not None]
        for sql, type_ in zip(expressions, probe.types(entity.relation(), expressions), strict=True):
            assert isinstance(type_, Type)  # the mapping's check asked the same
            found[(entity.source, sql)] = type_
    return found


def literals_of(entities: Iterable[Entity], target: Schema, probe: ServerProbe) -> dict[tuple[str, str], bytes]:
    """(text, type as SQL) -> the bytes of every constant and result of a value map of these entities."""
    return {(text, t.sql): probe.bytes(text, t) for text, t in _literals(entities, target)}


def _literals(entities: Iterable[Entity], target: Schema) -> set[tuple[str, Type]]:
    """Every (text, type) that a constant or a value map writes."""
    found: set[tuple[str, Type]] = set()
    for entity in entities:
        for rule in entity.columns:
            column = target.tables[entity.target].column(rule.column)
            texts = (
                [rule.constant, *(v for _, v in rule.values.entries), rule.values.default]
                if rule.values
                else [rule.constant]
            )
            found |= {(text, column.type) for text in texts if text is not None and column is not None}
    return found


def content_types(mapping: Mapping, source: Session, schema: Schema) -> dict[int, str]:
    """Content type id -> "app_label.model", with the ids that types had formerly; {} where the mapping needs none."""
    table, typed = mapping.content_types.table, any(_typed(entity) for entity in mapping.entities)
    if not typed or table not in schema.tables:  # elements may name their types themselves
        return {}
    rows = source.rows(f"select id, app_label || '.' || model from {qualified(table)} order by id")
    former = {number: label for label, numbers in mapping.content_types.formerly.items() for number in numbers}
    return dict(rows) | former


def _typed(entity: Entity) -> bool:
    return any(r.type_column for r in entity.references) or any(c.content_type for c in entity.columns)


def _occupied(target: Session, mapping: Mapping, ledger: Ledger) -> frozenset[str]:
    """Entities whose target table held rows of others before the run; the ledger remembers what the run found."""
    if ledger.exists():
        return frozenset(e.name for e in ledger.entities() if e.occupied)
    return frozenset(
        e.name for e in mapping.entities if target.value(f"select exists (select from {qualified(e.target)})")
    )


def filled_shares(source: Session, plan: Plan) -> dict[tuple[str, str], float]:
    """(table, column) -> the share of rows that hold a value there, by the source's statistics.
    https://www.postgresql.org/docs/current/view-pg-stats.html"""
    tables = ", ".join(literal(e.source) for e in plan.mapping.entities)
    rows = source.rows(
        "select schemaname || '.' || tablename, attname, null_frac from pg_stats "
        f"where schemaname || '.' || tablename in ({tables}) and not inherited"
    )
    return {(str(table), str(column)): 1 - float(nulls) for table, column, nulls in rows}


def estimate(source: Session, plan: Plan, rows: int, judged_seconds: float) -> dict[str, Any]:
    """What a run would take, as an estimate: disk from the source tables' size, time from the judging's own.

    Bytes of WAL and disk count the rows and their indexes once (pg_total_relation_size) and about 150 bytes a ledger line.
    """
    tables = ", ".join(f"{literal(t)}::regclass" for t in {qualified(e.base) for e in plan.mapping.entities})
    size = int(source.value(f"select coalesce(sum(pg_total_relation_size(t)), 0) from unnest(array[{tables}]) t") or 0)
    ledger = rows * LEDGER_LINE_BYTES
    return {
        "rows": rows,
        "target_bytes": size + ledger,
        "wal_bytes": size + ledger,
        "minutes": round(judged_seconds * WRITING_FACTOR / 60, 2),
        "source_locks": {"mode": "ACCESS SHARE", "tables": len(plan.source_tables)},
        "target_locks": {"mode": "ROW EXCLUSIVE", "tables": len({e.target for e in plan.mapping.entities})},
        # For the moment in which keys are taken away, and again when they are put back.
        "target_locks_for_keys": {
            "mode": "ACCESS EXCLUSIVE",
            "tables": len({t for load in plan.loads() for k in load.taken for t in (k.table, k.refers_to) if t}),
        },
    }
