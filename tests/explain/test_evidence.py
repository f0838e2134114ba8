"""What refines a code: how a parent went, by the sequence and Django's log; rules, cycles, candidates, faults of JSON."""

from __future__ import annotations

import pytest
from conftest import MakeProject, Project

from rowcall.plan.json_fault import json_fault

SOURCE = """
create table django_content_type (id serial primary key, app_label text, model text);
insert into django_content_type values (1, 'shop', 'customer'), (2, 'shop', 'basket'), (7, 'shop', 'parcel');
create table django_admin_log (id serial primary key, action_time timestamptz, object_id text, action_flag int,
    content_type_id int, user_id int);
create table shop_customer (id serial primary key, gone boolean default false);
insert into shop_customer (gone) select g = 3 from generate_series(1, 20) g;
delete from shop_customer where id in (5, 6, 7);
insert into django_admin_log (action_time, object_id, action_flag, content_type_id, user_id) values
    ('2024-03-01 10:00+02', '5', 3, 1, 17), ('2023-01-01', '5', 3, 1, 16), ('2024-03-02', '6', 2, 1, 17),
    ('2020-01-01', '99', 3, 1, 18), ('2024-03-01', '7', 3, 2, 17);
create table shop_order (id serial primary key, customer_id int, made timestamptz);
insert into shop_order (customer_id, made) values
    (1, '2024-01-01'), (5, '2024-01-01'), (5, '2024-06-01'), (6, '2024-01-01'), (7, '2024-01-01'), (21, '2024-01-01'),
    (99, '2024-01-01'), (-1, '2024-01-01'), (3, '2024-01-01');
"""
TARGET = """
create table customer (id uuid primary key);
create table orders (id uuid primary key, customer_id uuid not null references customer);
"""
MAPPING = """
customer: {from: shop_customer, where: {still_there: not gone}}
orders:
  from: shop_order
  cutoff: {column: made, at: 2025-01-01T00:00:00Z}
  references: {customer_id: {to: customer, path: customer_id}}
"""


def told(project: Project, entity: str) -> dict[str, tuple[str | None, str | None]]:
    """Key -> (evidence, detail) of the first rejection."""
    sql = "select source_key, rejections->0->>'evidence', rejections->0->>'detail' from rowcall.quarantine where entity = %s"
    return {key: (evidence, detail) for key, evidence, detail in project.target.rows(sql, [entity])}


def test_how_a_parent_went(make_project: MakeProject) -> None:
    project = make_project(SOURCE, TARGET)
    project.write(MAPPING)
    project.foreseen_run()
    last, beyond = "below the last key given out, 20; no deletion is logged", "beyond the last key given out, 20"
    assert told(project, "orders") == {
        "2": ("was_deleted", "deleted 2024-03-01T08:00:00Z by user 17"),  # the latest of its deletions
        "3": ("was_deleted", "deleted 2024-03-01T08:00:00Z by user 17, before this row was made"),
        "4": ("was_deleted", last),  # the log has a change of it only
        "5": ("was_deleted", last),  # and here the deletion of a basket with that key
        "6": ("never_existed", beyond),
        "7": (
            "was_deleted",
            "deleted 2020-01-01T00:00:00Z by user 18, before this row was made",
        ),  # beyond the sequence, and yet in the log
        "8": ("never_existed", beyond),
        "9": ("still_there", None),
    }
    (orders,) = [c for c in project.migration.causes("orders") if c.code == "dangling_reference"]
    assert {(g.evidence, g.rows) for g in orders.groups} == {("was_deleted", 5), ("never_existed", 2)}


def test_a_log_of_another_shape_is_left_alone(make_project: MakeProject) -> None:
    project = make_project(SOURCE, TARGET)
    project.source.execute("drop table django_admin_log; create table django_admin_log (id int)")
    project.write(MAPPING)
    project.foreseen_run()
    assert told(project, "orders")["2"] == ("was_deleted", "below the last key given out, 20; no deletion is logged")


def test_a_column_without_a_sequence_has_no_such_evidence(make_project: MakeProject) -> None:
    project = make_project(
        "create table a (id int primary key); create table b (id int primary key, a_id int); insert into b values (1, 5)",
        "create table a (id uuid primary key); create table b (id uuid primary key, a_id uuid not null references a)",
    )
    project.write("a: {from: a}\nb: {from: b, references: {a_id: {to: a, path: a_id}}}")
    project.foreseen_run()
    assert told(project, "b") == {"1": (None, None)}


TREE = """
create table django_content_type (id int primary key, app_label text, model text);
insert into django_content_type values (1, 'x', 'thing'), (3, 'x', 'other');
create table thing (id int primary key, up int, done boolean); create table tag (id int primary key, thing_id int, box_id int);
insert into thing values (1, 2, false), (2, 3, false), (3, 1, false), (4, 1, false), (5, null, true), (6, 6, false);
create table note (id int primary key, kind int, object_id int);
insert into note values (1, 1, 1), (2, 1, 4), (3, 1, 6), (4, 3, 1), (5, 9, 1), (6, 1, 5);
insert into tag values (1, 5, 20), (2, 5, 20), (3, 5, 21), (4, 5, null);
create table box (id int primary key);
insert into box values (20), (21);
create table lid (id int primary key, thing_id int); insert into lid values (1, 5);
"""
TREE_TARGET = """
create table thing (id uuid primary key); create table box (id uuid primary key);
create table note (id uuid primary key, thing_id uuid not null); create table lid (id uuid primary key, box_id uuid not null);
"""
TREE_MAPPING = """
thing: {from: thing}
box: {from: box}
note:
  from: note
  references:
    thing_id:
      type: kind
      to: thing
      by_type: {x.thing: "object_id -> thing.id, up* -> thing.id until done"}
lid: {from: lid, references: {box_id: {to: box, path: "thing_id -> tag.thing_id, box_id -> box.id"}}}
"""


def test_cycles_candidates_and_types(make_project: MakeProject) -> None:
    project = make_project(TREE, TREE_TARGET)
    project.write(TREE_MAPPING)
    project.foreseen_run()
    assert told(project, "note") == {
        "1": (None, "1 -> 2 -> 3 -> 1"),
        "2": (None, "4 -> 1 -> 2 -> 3 -> 1"),
        "3": (None, "6 -> 6"),
        "4": ("not_mapped x.other", None),
        "5": ("no_such_type", None),
    }
    assert told(project, "lid") == {"1": (None, "20 (2 rows), 21 (1 row)")}


@pytest.mark.parametrize(
    ("text", "kind", "place"),
    [
        ("", "empty", None),
        (" \n", "empty", None),
        ('{"a": 1', "truncated", 8),
        ('{"a": "b', "truncated", 7),
        ('{"a": tru', "truncated", 7),
        ("{'a': 1}", "python_style", 2),
        ('{"a": True}', "python_style", 7),
        ('{"a": None, "b": \'x\'}', "python_style", 7),
        ('{"a": NaN}', "nan", 7),
        ('{"a": -Infinity}', "nan", 7),
        ('{"a": 1,}', "trailing_comma", 9),
        ("[1, ]", "trailing_comma", 5),
        ('{"a": 1} x', "extra_data", 10),
        ('{"a": "x\ty"}', "control_character", 9),
        (r'{"a": "x\u0000"}', "zero_character", 9),
        (r'{"a": "\ud83e"}', "surrogate", 8),
        ('{"a" 1}', "syntax", 6),
        ('{"a": 1}', "unknown", None),
    ],
)
def test_what_is_wrong_with_a_json(text: str, kind: str, place: int | None) -> None:
    assert json_fault(text) == (kind, place)
