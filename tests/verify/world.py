"""A small legacy database with every way for a path to end, and its migration done by hand: target rows and ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid5

from rowcall.ledger.book import EntityRecord, Ledger
from rowcall.mapping import Mapping, read_mapping
from rowcall.postgres.catalog import ServerProbe, read_schema
from rowcall.postgres.connect import Session, connect
from rowcall.postgres.embedded import EmbeddedServers
from rowcall.postgres.read import Reader
from rowcall.schema import Schema
from rowcall.verify import Scope
from rowcall.workspace import Workspace

NAMESPACE = UUID("5b0e7f0c-0000-4000-8000-000000000001")
TYPES = {1: "app.order", 2: "app.plan", 3: "app.other", 9: "app.plan"}  # 9: what app.plan had before

SOURCE_SQL = """
create table django_content_type (id int primary key, app_label text, model text);
insert into django_content_type values (1, 'app', 'order'), (2, 'app', 'plan'), (3, 'app', 'other');
create table person (id int primary key, name text, boss_id int);
insert into person values (1, 'a', null), (2, 'b', 1), (3, 'c', 2);
create table orders (id int primary key, person_id int, deleted boolean not null default false);
insert into orders values (10, 1, false), (11, 2, false), (12, 99, false), (13, 1, true);
create table plan (id int primary key, parent_id int, order_id int);
insert into plan values (20, null, 10), (21, 20, null), (22, 21, null), (23, 24, null), (24, 23, null),
    (25, 999, null), (26, null, null), (27, null, 12);
create table note (id bigint primary key, content_type_id int, object_id int, author_id int);
insert into note values (100, 1, 10, 1), (101, 2, 22, 1), (102, 2, 23, 1), (103, 2, 25, 1), (104, 2, 26, 1),
    (105, 2, 27, 1),
    (106, 1, 0, 1), (107, 3, 10, 1), (108, 1, 11, null), (109, 9, 20, 77), (110, 1, 13, 1);
create table file (name text, version int, primary key (name, version));
insert into file values ('a', 1), ('b', 1), ('c', 1), ('d', 1);
create table file_order (file_name text, order_id int);
insert into file_order values ('a', 10), ('b', 10), ('b', 11), ('d', 10), ('d', 10);
"""
TARGET_SQL = """
create table people (id uuid primary key, name text, boss_id uuid);
create table orders (id uuid primary key, person_id uuid not null);
create table notes (id uuid primary key, order_id uuid not null, author_id uuid);
create table files (id uuid primary key, order_id uuid not null);
"""
MAPPING_YAML = f"""
rowcall: 1
project: little
namespace: {NAMESPACE}
source: {{embedded: legacy}}
target: {{embedded: target}}
content_types: {{formerly: {{app.plan: [9]}}}}
entities:
  people:
    from: person
    columns: {{name: name}}
    references:
      boss_id: {{to: people, path: boss_id}}
  orders:
    from: orders
    where: {{not_deleted: not deleted}}
    references:
      person_id: {{to: people, path: person_id}}
  notes:
    from: note
    references:
      order_id:
        type: content_type_id
        to: orders
        by_type:
          app.order: object_id
          app.plan: object_id -> plan.id, parent_id* -> plan.id until order_id is not null, order_id -> orders.id
        sentinels: [0]
      author_id: {{to: people, path: author_id, missing: [dangling_reference]}}
  files:
    from: file
    references:
      order_id: {{to: orders, path: "name -> file_order.file_name, order_id -> orders.id"}}
"""
A, B, C, D = ('["a", 1]', '["b", 1]', '["c", 1]', '["d", 1]')
RULE = "not_deleted"
# entity -> key -> what became of it: None (migrated), a rule's name, or a rejection's code
FATES: dict[str, dict[str, str | None]] = {
    "people": {"1": None, "2": None, "3": None},
    "orders": {"10": None, "11": None, "12": "dangling_reference", "13": RULE},
    "notes": {
        "100": None,
        "101": None,
        "102": "cyclic_path",
        "103": "dangling_reference",
        "104": "null_reference",
        "105": "parent_quarantined",
        "106": "sentinel_reference",
        "107": "unknown_type",
        "108": None,
        "109": None,
        "110": "parent_excluded",
    },
    "files": {A: None, B: "ambiguous_reference", C: "dangling_reference", D: None},
}
# (entity, column) -> key -> the parent's (entity, key), for migrated rows
REFERENCES: dict[tuple[str, str], dict[str, tuple[str, str] | None]] = {
    ("people", "boss_id"): {"1": None, "2": ("people", "1"), "3": ("people", "2")},
    ("orders", "person_id"): {"10": ("people", "1"), "11": ("people", "2")},
    ("notes", "order_id"): {
        "100": ("orders", "10"),
        "101": ("orders", "10"),
        "108": ("orders", "11"),
        "109": ("orders", "10"),
    },
    ("notes", "author_id"): {"100": ("people", "1"), "101": ("people", "1"), "108": None, "109": None},
    ("files", "order_id"): {A: ("orders", "10"), D: ("orders", "10")},
}


def uid(entity: str, key: str) -> UUID:
    return uuid5(NAMESPACE, f"{entity}:{key}")


@dataclass
class World:
    """Sessions, catalog and mapping; `target` may be spoiled by a test, `refill` makes it whole again."""

    source: Session
    target: Session
    source_reader: Reader
    target_reader: Reader
    workspace: Workspace
    mapping: Mapping
    schema: Schema

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.target)

    @property
    def scope(self) -> Scope:
        records = self.ledger.entities()
        readers = (self.source_reader, self.target_reader)
        return Scope(records, self.mapping, self.schema, TYPES, *readers, self.workspace.cursor())

    def refill(self) -> None:
        """The migration of the whole world, as it should be."""
        self.target.execute("drop schema if exists rowcall cascade; truncate people, orders, notes, files")
        with self.target.transaction():
            self.ledger.create("little", "f" * 64, "0", None)
            self.ledger.add_snapshot(
                datetime.now(UTC), "0/1", str(self.source.value("select txid_current_snapshot()::text"))
            )
            for number, entity in enumerate(FATES, 1):
                e = self.mapping.entity(entity)
                record = EntityRecord(
                    number, entity, e.target, e.id_column, "", number, None, False, e.source, e.identity, False
                )
                self.ledger.add_entity(record)
                self._settle(number, entity)
        self.ledger.set_state("complete")

    def _settle(self, number: int, entity: str) -> None:
        columns = [column for name, column in REFERENCES if name == entity]
        for key, fate in FATES[entity].items():
            if fate is None:
                parents = [REFERENCES[entity, column][key] for column in columns]
                values = [uid(entity, key), *(uid(*parent) if parent else None for parent in parents)]
                named = ", ".join(["id", *columns])
                self.target.execute(
                    f"insert into {entity} ({named}) values ({', '.join(['%s'] * len(values))})", values
                )
            outcome = "migrated" if fate is None else "excluded" if fate == RULE else "quarantined"
            line = [number, key, outcome, uid(entity, key) if fate is None else None, fate, number]
            self.target.execute("insert into rowcall.settlement values (%s, %s, %s, %s, %s, %s)", line)
            if outcome == "quarantined":
                self._quarantine(number, entity, key, str(fate))
        if entity == "notes":
            nulled = [number, "109", "author_id", "dangling_reference", 1, "77", number]
            self.target.execute("insert into rowcall.nulled_reference values (%s, %s, %s, %s, %s, %s, %s)", nulled)

    def _quarantine(self, number: int, entity: str, key: str, code: str) -> None:
        parent = ("orders", "12") if code == "parent_quarantined" else (None, None)
        root = parent if parent[0] else (entity, key)
        column = "person_id" if entity == "orders" else "order_id"
        rejection = {"code": code, "column": column, "reference": column, "hop": 1, "value": "secret", "evidence": None}
        row = [number, key, "{}", json.dumps([rejection]), *root, *parent, number]
        self.target.execute(
            "insert into rowcall.quarantined_row values (%s, %s, %s, %s, 'open', %s, %s, %s, %s, %s)", row
        )


def make_world(folder: Path) -> Iterator[World]:
    """The servers, filled, for as long as the caller holds on."""
    servers = EmbeddedServers(folder)
    servers.create({"legacy": 16, "target": 18})
    try:
        with servers.use():
            yield from _open(servers.dsn("legacy"), servers.dsn("target"), folder)
    finally:
        servers.remove()


def _open(source_dsn: str, target_dsn: str, folder: Path) -> Iterator[World]:
    for dsn, sql in ((source_dsn, SOURCE_SQL), (target_dsn, TARGET_SQL)):
        with connect(dsn, "target") as session:
            session.execute(sql)
    file = folder / "rowcall.yaml"
    file.write_text(MAPPING_YAML)
    with connect(source_dsn, "source") as source, connect(target_dsn, "target") as target, Workspace() as workspace:
        schema = read_schema(source)
        mapping = read_mapping(file, schema, read_schema(target), ServerProbe(source, target))
        readers = Reader(source_dsn), Reader(target_dsn, "target")
        yield World(source, target, *readers, workspace, mapping, schema)
        for reader in readers:
            reader.close()
