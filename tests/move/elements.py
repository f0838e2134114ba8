"""The little world in which columns hold several references."""

from __future__ import annotations

from typing import Any

from conftest import MakeProject, Project, uid

SOURCE = """
create table parent (id int primary key, name text, code text);
insert into parent values (1, 'a', 'A'), (2, 'b', 'B'), (3, null, 'C'), (4, 'd', 'D'), (5, 'e', 'D');
create table owner (id int primary key, name text);
insert into owner values (1, 'o'), (2, 'p');
create table django_content_type (id int primary key, app_label text, model text);
insert into django_content_type values (7, 'app', 'parent'), (8, 'app', 'owner'), (9, 'app', 'other');
create table item (id int primary key, v {type});
"""
TARGET = """
create table parent (id uuid primary key, name text not null);
create table owner (id uuid primary key, name text);
create table item (id uuid primary key, v {type});
"""
PARENTS = "parent: {from: parent, columns: {name: name}}\nowner: {from: owner, columns: {name: name}}\n"
BY_TYPE = "by_type: {app.parent: {to: parent, path: element}, app.owner: {to: owner, path: element -> owner.id}}"


def project(make: MakeProject, given: str, wanted: str, rows: list[Any], reference: str) -> Project:
    made = make(SOURCE.format(type=given), TARGET.format(type=wanted))
    for number, value in enumerate(rows, 1):
        made.source.execute(f"insert into item values (%s, %s::text::{given})", [number, value])
    made.write(PARENTS + f"item: {{from: item, references: {{v: {reference}}}}}")
    return made


def p(number: int) -> str:
    return str(uid("parent", number))


def codes(made: Project, key: int) -> list[tuple[str, Any, Any]]:
    return [(r["code"], r["hop"], r["value"]) for r in made.rejections("item", str(key))]
