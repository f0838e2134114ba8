# ruff: noqa: E501
"""Tables whose rows the catalog cannot tell apart: a declared key, or rows that are counted."""

from __future__ import annotations

from collections import Counter

import pytest
from conftest import MakeProject, Project, set_chunk_rows

from rowcall.errors import MappingError, SourceUnreadable

SOURCE = """
create table kind (id int primary key, name text);
insert into kind values (1, 'one'), (2, 'two');
create table log (day date, line int, kind_id int, said text);
insert into log select '2024-01-01'::date + g / 10, g % 10, g % 3 + 1, 'said ' || g from generate_series(0, 99) g;
create table reading (sensor text, value numeric, at timestamptz, kind_id int);
insert into reading select 's' || g % 3, case when g % 4 = 0 then null else g % 2 end, '2024-01-01', g % 2 + 1 from generate_series(1, 60) g;
"""
TARGET = """
create table kind (id uuid primary key, name text);
create table log (id uuid primary key, kind_id uuid not null references kind, said text);
create table reading (id uuid primary key, sensor text, value numeric, kind_id uuid not null references kind);
"""
MAPPING = """
kind: {from: kind, columns: {name: name}}
log: {from: log, key: [day, line], rows: unique, columns: {said: said}, references: {kind_id: {to: kind, path: kind_id}}, deleted: delete}
reading:
  from: reading
  rows: counted
  columns: {sensor: sensor, value: value}
  references: {kind_id: {to: kind, path: kind_id}}
  deleted: delete
"""


def made(make: MakeProject, mapping: str = MAPPING) -> Project:
    project = make(SOURCE, TARGET)
    project.write(mapping)
    return project


def readings(project: Project) -> Counter[tuple[str, str | None]]:
    return Counter(project.target.rows("select sensor, value::text from reading"))


@pytest.mark.parametrize("chunk", [7, 1000])
def test_every_row_has_its_line(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    set_chunk_rows(monkeypatch, chunk)
    project = made(make_project)
    project.foreseen_run()
    assert readings(project) == Counter(project.source.rows("select sensor, value::text from reading"))
    fates = Counter(project.fates("log").values())
    assert (fates["migrated"], fates["dangling_reference"]) == (67, 33)
    assert project.migration.verify().ok
    key = next(iter(project.fates("reading")))
    assert project.migration.explain("reading", key).outcome == "migrated"
    assert project.migration.sample("reading")
    ids = dict(project.target.rows("select source_key, target_id from rowcall.settlements where entity = 'reading'"))
    project.run(restart=True)
    assert ids == dict(
        project.target.rows("select source_key, target_id from rowcall.settlements where entity = 'reading'")
    )


def test_later_rows_are_taken_up_by_their_number(make_project: MakeProject) -> None:
    project = made(make_project)
    project.run()
    project.source.execute(
        "delete from reading where ctid in (select ctid from reading where sensor = 's1' and value is null limit 1);"
        "insert into reading select * from reading where sensor = 's2' and value = 1 limit 2; insert into log values ('2025-01-01', 1, 1, 'new')"
    )
    result = project.run()
    assert result.caught_up
    assert {e.entity: (e.inserted, e.removed) for e in result.caught_up.entities if e.any} == {
        "log": (1, 0),
        "reading": (2, 1),
    }
    assert readings(project) == Counter(project.source.rows("select sensor, value::text from reading"))
    assert project.migration.verify().ok


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "insert into log select * from log where line = 3",
            "has 10 values more than once in its declared key (day, line)",
        ),
        (
            "insert into log values (null, 1, 1, 'x'), ('2024-05-05', null, 1, 'y')",
            "has 2 rows with a NULL in its declared key",
        ),
    ],
)
def test_a_declared_key_that_is_none(make_project: MakeProject, change: str, told: str) -> None:
    project = made(make_project)
    project.source.execute(change)
    for command in (project.check, project.run):
        with pytest.raises(SourceUnreadable) as found:
            command()
        assert told in str(found.value)
    assert project.target.value("select count(*) from log") == 0


FAULTS = [
    ("rows: counted", "rows: counted\n  key: sensor", "need no `key`"),
    ("kind: {from: kind,", "kind: {from: kind, rows: counted,", "has a primary key"),
    ("  rows: counted\n", "", "reading has no unique index over NOT NULL columns"),
    ("rows: unique, ", "", "so it is no key"),
    ("path: kind_id}}, deleted", "path: said -> reading.sensor}}, deleted", "the path ends in reading"),
]  # fmt: skip


def test_what_is_no_key_is_told(make_project: MakeProject) -> None:
    project = made(make_project)
    for old, new, told in FAULTS:
        assert old in MAPPING
        project.write(MAPPING.replace(old, new))
        with pytest.raises(MappingError) as found:
            project.migration.plan()
        assert told in str(found.value), (new, str(found.value))
