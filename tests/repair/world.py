# ruff: noqa: E501
"""A little shop, small enough to read: every reason code, rows with two defects, victims of victims, a tree, composite keys and
keys that are texts. What rows hold are names of fruit and birds: none of them may turn up where values are masked."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Project, uid

from rowcall.errors import UsageError
from rowcall.repair import Effect, Request

# Each line says what its rows are for.
SOURCE = """
create table django_content_type (id int primary key, app_label text, model text);
insert into django_content_type values (1, 'app', 'ticket'), (2, 'app', 'shelf'), (3, 'app', 'other');

create table region (code text primary key, name text);
insert into region values ('north', 'Mango'), ('o''hare', 'Papaya'),
    ('far west', 'Kiwibirdland'), ('far east', 'Ünïcödeländchen');                      -- too_long

create table customer (id int primary key, region text, name text, email text, level text, closed boolean not null default false);
insert into customer values (1, 'north', 'Albatross', 'quince@x', 'basic'), (2, 'o''hare', 'Bluebird', 'lychee@x', 'gold');
insert into customer values (3, 'north', 'Cormorant', 'medlar@x', 'basic', true);         -- excluded
insert into customer values (4, 'far west', 'Dunnock', 'damson@x', 'basic'),              -- parent_quarantined
    (5, 'north', 'Egret', 'guava@x', 'GOLDEN'), (6, 'north', 'Finch', 'loquat@x', 'PLATIN'), -- not_in_enum
    (7, 'north', null, 'durian@x', 'GOLDEN'),                                              -- and a second defect
    (8, 'north', 'Heron', 'quince@x', 'basic'), (9, 'north', 'Ibis', 'lychee@x', 'gold');      -- duplicate_key

create table shop (id int primary key, customer_id int, name text);
insert into shop values (10, 1, 'Jackdaw'), (11, 2, 'Kestrel'), (12, 1, 'Lapwing'),
    (13, 3, 'Magpie'), (22, 3, 'Nuthatch'),                                               -- parent_excluded
    (14, 99, 'Osprey'), (15, 98, 'Pelican'), (16, 99, 'Quail'),                           -- dangling_reference
    (17, null, 'Robin'), (18, null, 'Sparrow'),                                           -- null_reference
    (19, 0, 'Turnstone'), (20, 0, 'Vulture'),                                             -- sentinel_reference
    (21, 5, 'Wagtail');                                                                   -- parent_quarantined

create table ticket (id int primary key, shop_id int, customer_id int, helper_id int, title text, doc text, amount text);
insert into ticket values (100, 10, 1, 1, 'Apricot', '{"a": 1.10}', '1.50'), (101, 11, 2, null, 'Banana', null, null),
    (102, 21, 5, null, 'Cherry', null, null), (103, 14, 1, null, 'Damson', null, null),    -- parent_quarantined
    (104, 10, 1, 77, 'Elder', null, null), (105, 10, 1, 78, 'Fig', null, null),            -- dangling, where NULL may be
    (121, 95, 1, 77, 'Grape', null, null),                                                -- and at both columns
    (122, 95, 1, null, 'Lime', null, null), (123, 96, 2, null, 'Mulberry', null, null),    -- dangling, where it may not
    (124, 96, 98, null, 'Nectarine', null, null),
    (106, 10, 1, null, 'Olive', '{''bird'': ''Toucan''}', null), (107, 10, 1, null, 'Peach', '{"bird": NaN, "note": "Puffin NaN"}', null),
    (108, 10, 1, null, 'Rambutan', '["Penguin", 1.10, ]', null), (109, 10, 1, null, 'Satsuma', '{"bird": ["Ostrich", "Owl', null),
    (120, 10, 1, null, 'Tangerines imperial', '{''bird'': "Stork''s"}', null),              -- malformed, and too long
    (110, 10, 1, null, 'Ugli', '{"bird": "Swan\\u0000"}', null), (111, 10, 1, null, 'Yuzu', '{"bird": "Tern\\ud800"}', null),  -- unstorable
    (125, 10, 1, null, 'Pitaya', '{"bird": "Wren\\u0000\\\\u0000"}', null),
    (112, 10, 1, null, 'Carambola', null, 'Cuckoo'), (113, 10, 1, null, 'Clementine', null, 'Condor'),                       -- not_convertible
    (114, 10, 1, null, 'Currant', null, '1234567.5'), (115, 10, 1, null, 'Jujube', null, '7654321.5'),                       -- out_of_range
    (116, 10, 1, null, 'Pomegranate seeds', null, null), (117, 10, 1, null, 'Grapefruit halves', null, null),               -- too_long
    (118, 10, 1, null, null, null, '2'), (119, 10, 1, null, null, null, null);                                               -- null_in_required

create table note (id int primary key, ticket_id int, body text, made timestamptz, weight int, checked boolean not null default true);
insert into note values (200, 100, 'Crane', '2024-01-01', 1), (201, 102, 'Dove', '2024-01-01', 1), (202, 106, 'Eagle', '2024-01-01', 1),
    (211, 103, 'Falcon', '2024-01-01', 1),                                                -- victims of a ticket
    (203, 100, 'Goose', '2026-01-01', 1), (204, 100, 'Hoopoe', '2026-01-01', 1),           -- after_cutoff
    (207, 100, 'Jay', '2024-01-01', 0), (208, 100, 'Kite', '2024-01-01', 0),               -- expression_failed
    (209, 100, 'Forbidden Lark', '2024-01-01', 1), (210, 100, 'Forbidden Martin', '2024-01-01', 1);  -- refused_by_target
insert into note values (205, 100, 'Nightjar', '2024-01-01', 1, false), (206, 100, 'Oriole', '2024-01-01', 1, false);  -- rule_failed

create table file (id int primary key, note_id int, name text, owner_id int);
insert into file values (300, 200, 'Parrot', 77), (301, 201, 'Quetzal', 78), (302, 202, 'Raven', 79), (303, 202, 'Rook', null);  -- victims of a note

create table node (id int primary key, up_id int, name text);
insert into node values (400, null, 'Siskin'), (401, 400, 'Snipe'),
    (402, 999, 'Starling'), (410, 998, 'Swallow'),                                       -- dangling_reference
    (404, 403, 'Swift'), (403, 402, 'Thrush');                                           -- a victim, and its victim before it

create table part (ticket_id int, pos int, label text, qty int, primary key (ticket_id, pos));
insert into part values (100, 1, 'Cassowary', 1), (106, 1, 'Chough', 1),                   -- a victim
    (100, 2, 'Dotterel', 70000), (100, 3, 'Fieldfare', 80000);                             -- out_of_range

create table shelf (id int primary key, up_id int, ticket_id int);
insert into shelf values (500, null, 100), (501, 500, null), (502, 503, null), (503, 502, null);
create table event (id int primary key, type_id int, object_id int, name text);
insert into event values (600, 1, 100, 'Grouse'), (601, 2, 501, 'Gull'), (602, 2, 502, 'Harrier'), (603, 2, 503, 'Hawk'),  -- cyclic_path
    (604, 3, 100, 'Lorikeet'), (605, 3, 101, 'Macaw');                                     -- unknown_type

create table scan (id int primary key, name text);
insert into scan values (700, 'Pheasant'), (701, 'Pigeon'), (702, 'Pipit'), (703, 'Plover');  -- ambiguous_reference
create table link (id int primary key, scan_id int, ticket_id int);
insert into link values (1, 700, 100), (2, 701, 101), (3, 701, 100), (4, 702, 100), (5, 702, 101), (6, 702, 101),
    (7, 703, 100), (8, 703, 101), (9, 703, 100);
"""

TARGET = """
create type level as enum ('basic', 'gold');
create table regions (id uuid primary key, name varchar(8) not null);
create table customers (id uuid primary key, region_id uuid not null references regions, name text not null,
    email text unique, level level not null, since int not null default 7);
create table shops (id uuid primary key, customer_id uuid not null references customers, name text not null);
create table tickets (id uuid primary key, shop_id uuid not null references shops, helper_id uuid references customers,
    title varchar(10) not null, doc jsonb, amount numeric(6,2));
create table notes (id uuid primary key, ticket_id uuid not null references tickets, body text check (body not like 'Forbidden%'), ratio int);
create table files (id uuid primary key, note_id uuid not null references notes, name text not null,
    owner_id uuid references customers);
create table nodes (id uuid primary key, up_id uuid references nodes, name text);
create table parts (id uuid primary key, ticket_id uuid not null references tickets, label text, qty smallint);
create table events (id uuid primary key, ticket_id uuid not null references tickets, name text);
create table scans (id uuid primary key, ticket_id uuid not null references tickets, name text);
"""
TABLES = ("regions", "customers", "shops", "tickets", "notes", "files", "nodes", "parts", "events", "scans")

MAPPING = """
regions: {from: region, columns: {name: name}}
customers:
  from: customer
  where: {still_open: not closed}
  columns: {name: name, email: email, level: {from: level, convert: enum}}
  references: {region_id: {to: regions, path: region}}
shops:
  from: shop
  columns: {name: name}
  references: {customer_id: {to: customers, path: customer_id, sentinels: [0]}}
tickets:
  from: ticket
  columns: {title: title, doc: {from: doc, convert: jsonb}, amount: {from: amount, convert: numeric}}
  references:
    shop_id: {to: shops, path: shop_id}
    helper_id: {to: customers, path: helper_id}
notes:
  from: note
  rules: {was_checked: checked}
  cutoff: {column: made, at: 2025-01-01T00:00:00Z}
  columns: {body: body, ratio: {sql: 10 / weight}}
  references: {ticket_id: {to: tickets, path: ticket_id}}
files:
  from: file
  columns: {name: name}
  references: {note_id: {to: notes, path: note_id}, owner_id: {to: customers, path: owner_id, missing: [dangling_reference]}}
nodes: {from: node, columns: {name: name}, references: {up_id: {to: nodes, path: up_id}}}
parts: {from: part, columns: {label: label, qty: qty}, references: {ticket_id: {to: tickets, path: ticket_id}}}
events:
  from: event
  columns: {name: name}
  references:
    ticket_id:
      type: type_id
      to: tickets
      by_type:
        app.ticket: object_id
        app.shelf: object_id -> shelf.id, up_id* -> shelf.id until ticket_id is not null, ticket_id -> ticket.id
scans:
  from: scan
  columns: {name: name}
  references: {ticket_id: {to: tickets, path: "id -> link.scan_id, ticket_id -> ticket.id"}}
"""

# Everything that a repair may touch, of which its undo must leave nothing: (table or view, order).
HELD = (
    *((table, "id") for table in TABLES),
    ("rowcall.settlements", "entity, source_key"),
    ("rowcall.quarantine", "entity, source_key"),
    ("rowcall.nulled_reference", "entity, source_key, target_column"),
    ("rowcall.archive", "entity, source_key"),
    ("(select id, rows_read, rows_migrated, rows_quarantined, rows_excluded from rowcall.chunk)", "id"),
)


def state(project: Project) -> dict[str, str]:
    """A hash over each of the target's tables, and over what the ledger says of rows."""
    return {
        table: str(
            project.target.value(
                f"select count(*) || ' ' || md5(coalesce(string_agg(t::text, '|' order by {by}), '')) from {table} t"
            )
        )
        for table, by in HELD
    }


def sums(project: Project) -> bool:
    """Whether each chunk's sums are those of its lines, and close."""
    wrong = project.target.value(
        """select count(*) from rowcall.chunk c
           left join lateral (select count(*) filter (where outcome = 'migrated') as m, count(*) filter (where outcome = 'quarantined') as q,
                                     count(*) filter (where outcome = 'excluded') as x from rowcall.settlements s where s.chunk = c.id) n on true
           where (c.rows_migrated, c.rows_quarantined, c.rows_excluded) is distinct from (n.m, n.q, n.x) or c.rows_read <> n.m + n.q + n.x"""
    )
    return bool(wrong == 0)


def dispositions(project: Project, entity: str) -> dict[str, str]:
    """Key -> what was decided of a quarantined row."""
    return dict(
        project.target.rows("select source_key, disposition from rowcall.quarantine where entity = %s", [entity])
    )


def home(project: Project, entity: str) -> set[str]:
    """Keys of rows that repairs brought home: their line, their disposition and their row in the target agree."""
    keys = {key for key, told in dispositions(project, entity).items() if told == "repaired"}
    lines = dict(
        project.target.rows(
            "select source_key, target_id from rowcall.settlements where entity = %s and outcome = 'migrated'", [entity]
        )
    )
    rows = {id_ for (id_,) in project.target.rows(f"select id from {entity}")}
    assert {key: lines.get(key) for key in keys} == {key: uid(entity, key) for key in keys}
    assert {lines[key] for key in keys} <= rows
    return keys


def row(project: Project, entity: str, key: object) -> dict[str, Any]:
    """A target row by its source key."""
    ((found,),) = project.target.rows(f"select to_jsonb(t) from {entity} t where id = %s", [uid(entity, key)])
    return dict(found)


def asked(
    cause: str,
    remedy: str,
    *,
    reason: str = "",
    follow: bool = False,
    keys: tuple[str, ...] | None = None,
    **settings: Any,
) -> Request:
    entity, _, code = cause.partition("/")
    return Request(entity, code, remedy, settings, reason, follow, keys)


def apply(project: Project, cause: str, remedy: str, **more: Any) -> Effect:
    """Applies a repair; `more` are its settings, and what else a request has."""
    return project.migration.healing.apply(asked(cause, remedy, **more))


def preview(project: Project, cause: str, remedy: str, **more: Any) -> Effect:
    """With the values of its samples."""
    return project.migration.healing.preview(asked(cause, remedy, **more), show_values=True)


def refused(project: Project, cause: str, remedy: str, **more: Any) -> str:
    """What is said of a repair that cannot be asked for so: in words, with a hint."""
    with pytest.raises(UsageError) as told:
        project.migration.healing.preview(asked(cause, remedy, **more))
    assert told.value.hint
    return str(told.value)


def fates(effect: Effect, entity: str) -> dict[str, str]:
    """Key -> "home", or the code for which a row was left."""
    return {key: fate.left_for or "home" for (name, key), fate in effect.fates.items() if name == entity}


def put(effect: Effect) -> dict[str, str | None]:
    """Key -> what stands there now, of the samples."""
    return {sample.key: sample.after for sample in effect.samples}


def secrets(project: Project) -> set[str]:
    """What quarantined rows hold: every word of at least four letters."""
    found = project.target.rows(
        """select distinct m[1] from rowcall.quarantine q cross join lateral jsonb_each_text(q.payload) e
           cross join lateral regexp_matches(e.value, '[[:alpha:]]{4,}', 'g') m"""
    )
    return {word for (word,) in found} - {"true", "false", "bird", "note"}
