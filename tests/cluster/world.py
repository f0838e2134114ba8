# ruff: noqa: E501
"""A database with everything that hangs together across chunks, and real clusters of two worker processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from conftest import MakeProject, Project
from distributed import Client, LocalCluster

from rowcall.mapping.model import VARIABLES

SOURCE_SQL = """
create table office (id int primary key, name text);
insert into office select g, 'o' || g from generate_series(1, 300) g;
create table person (id int primary key, email text, boss_id int);
insert into person select g, 'e' || case when g % 97 = 0 then g / 2 else g end, nullif(g / 3, 0) from generate_series(1, {people}) g;
create table card (id int primary key, person_id int);
insert into card select g, g from generate_series(1, {people}) g;
create table label (id int primary key, word text, office_id int);
insert into label select g, 'W' || case when g % 31 = 0 then g / 2 else g end, g % 310 + 1 from generate_series(1, {labels}) g;
create table item (id int primary key, office_id int, card_id int, label_id int, doc text);
insert into item select g, g % 303 + 1, g % ({people} + 20) + 1, g % {labels} + 1,
    case when g % 50 = 0 then '[1,]' else '{{"g": ' || g || '}}' end from generate_series(1, {items}) g;
"""
TARGET_SQL = """
create table office (id uuid primary key, name text);
create table person (id uuid primary key, email text unique, boss_id uuid references person);
create table label (id uuid primary key, word text unique, office_id uuid references office);
create table item (id uuid primary key, office_id uuid not null references office, person_id uuid references person,
                   label_id uuid not null references label, doc jsonb not null check (doc->>'g' <> '777'));
"""
MAPPING = """
office: {from: office, columns: {name: name}}
person: {from: person, columns: {email: email}, references: {boss_id: {to: person, path: boss_id}}}
label: {from: label, columns: {word: {sql: lower(word)}}, references: {office_id: {to: office, path: office_id, missing: null}}}
item:
  from: item
  columns: {doc: {from: doc, convert: jsonb}}
  references:
    office_id: {to: office, path: office_id}
    person_id: {to: person, path: "card_id -> card.id, person_id -> person.id", missing: null}
    label_id: {to: label, path: label_id}
"""
TABLES = {"office": "id", "person": "id", "label": "id", "item": "id"}
LINES = "select count(*) from rowcall.settlement"


def world(make_project: MakeProject, people: int, labels: int, items: int) -> Project:
    project = make_project(SOURCE_SQL.format(people=people, labels=labels, items=items), TARGET_SQL)
    project.write(MAPPING)
    return project


def at_home(make_project: MakeProject, project: Project) -> str:
    """The state that a run without a cluster reaches on the same source."""
    alone = make_project(target_sql=TARGET_SQL, source_of=project.source_dsn)
    alone.write(MAPPING)
    assert alone.run().complete
    return alone.state(TABLES)


@dataclass
class Lab:
    """A scheduler and its workers, each a process of its own that comes back when it is killed."""

    cluster: Any
    client: Any

    @property
    def address(self) -> str:
        return str(self.cluster.scheduler_address)

    def pids(self) -> list[int]:
        return list(self.client.run(os.getpid, on_error="ignore").values())


@contextmanager
def lab(project: Project, threads: int = 1, **variables: str) -> Iterator[Lab]:
    """Two workers that have the project's DSNs in their environment; `variables` are set beside them."""
    dsns = {VARIABLES["source"]: project.source_dsn, VARIABLES["target"]: project.target_dsn}
    path = os.pathsep.join(filter(None, sys.path))
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=threads, processes=True, dashboard_address=None, host="127.0.0.1",
            memory_limit=0, env={"PYTHONPATH": path, **dsns, **variables},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):  # fmt: skip
        yield Lab(cluster, client)
