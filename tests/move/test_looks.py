# ruff: noqa: E501
"""The first look and the closer one: however rows are gathered and in whatever order they come back, the result is the same."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import MakeProject, Project, undisturbed

from rowcall.move import judging, verdicts
from rowcall.plan.chunks import CHUNK_BYTES, fewer

SOURCE = """
create table office (id int primary key, name text);
insert into office select g, 'o' || g from generate_series(1, 50) g;
create table note (id int primary key, office_id int, kind text, doc text, at timestamptz, n int, small smallint, yes boolean);
insert into note select g, case when g % 40 = 0 then 999 else g % 50 + 1 end,
    case when g % 70 = 0 then 'odd' else 'plain' end,
    case when g % 30 = 0 then '{"a": NaN}' when g % 31 = 0 then null when g % 32 = 0 then '{"a": "\\u00e9"}' else '{"b": ' || g || ', "a": "x"}' end,
    case when g % 3 = 0 then null else timestamptz '2020-01-01' + g * interval '1 minute' end, g,
    case when g % 5 = 0 then null else g % 100 end, g % 2 = 0
from generate_series(1, 600) g;
"""
TARGET = """
create type kind as enum ('plain');
create table office (id uuid primary key, name text not null);
create table note (
    id uuid primary key, office_id uuid not null references office, kind kind not null, doc jsonb not null, at timestamptz,
    n bigint not null, small bigint, yes boolean not null
);
"""
MAPPING = """
office: {from: office, columns: {name: name}}
note:
  from: note
  where: {old: id > 20}
  columns: {kind: {from: kind, convert: enum}, doc: {from: doc, convert: jsonb}, at: at, n: n, small: small, yes: yes}
  references: {office_id: {to: office, path: office_id}}
"""
TABLES = {"office": "id", "note": "id"}


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    made = make_project(SOURCE, TARGET)
    made.write(MAPPING)
    return made


def test_all_kinds_of_rows_in_one_chunk(project: Project) -> None:
    project.foreseen_run()
    fates = project.fates("note")
    wrong = {
        "dangling_reference": {g for g in range(21, 601) if g % 40 == 0},
        "not_in_enum": {g for g in range(21, 601) if g % 70 == 0 and g % 40 and g % 30 and g % 31},
        "malformed_json": {g for g in range(21, 601) if g % 30 == 0 and g % 40},
        "null_in_required": {g for g in range(21, 601) if g % 31 == 0 and g % 40 and g % 30},
    }
    for cause, keys in wrong.items():
        assert {int(k) for k, fate in fates.items() if fate == cause} == keys, cause
    assert {int(k) for k, fate in fates.items() if fate == "old"} == set(range(1, 21))
    assert project.codes("note", "280") == ["dangling_reference", "not_in_enum"]
    numbers = dict(project.target.rows("select n, concat_ws('|', small, yes, at is null, doc->>'a') from note"))
    assert numbers[32] == "32|t|f|é"
    assert numbers[33] == "33|f|t|x"
    assert numbers[35] == "f|f|x"  # a NULL in a number
    assert project.migration.verify().ok


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("rowcall.move.belt.LOOKED_UP", 0),  # joined by a hash table over the batch: the order is lost
        ("rowcall.move.judging.CLOSER_ROWS", 1),
        ("rowcall.move.judging.CLOSER_BYTES", 1),
        ("rowcall.postgres.read.BATCH_BYTES", 2_000),
    ],
)
def test_the_result_is_the_same(
    make_project: MakeProject, project: Project, monkeypatch: pytest.MonkeyPatch, where: str, value: int
) -> None:
    expected = undisturbed(make_project, project, TARGET, MAPPING, TABLES)
    monkeypatch.setattr(where, value)
    assert project.run().complete
    assert project.state(TABLES) == expected


def test_a_batch_that_comes_back_in_another_order_is_put_in_turn(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[tuple[bool, bool]]()

    def spy(found: Any, numbers: Any) -> Any:
        turned = in_turn(found, numbers)
        seen.append((found["row"].to_pylist() == numbers.to_pylist(), turned is not None))
        return turned

    in_turn = verdicts.in_turn
    monkeypatch.setattr(judging, "in_turn", spy)
    monkeypatch.setattr("rowcall.move.belt.LOOKED_UP", 0)
    assert project.run().complete
    assert (False, True) in seen
    assert all(turned for _, turned in seen)
    assert project.migration.verify().ok


def test_wide_rows_make_more_chunks(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rowcall.plan.chunks.CHUNK_BYTES", 8_192)
    project.foreseen_run()
    assert (
        project.target.value(
            "select count(*) from rowcall.chunk c join rowcall.entity e on e.id = c.entity where e.name = 'note'"
        )
        > 3
    )


def test_how_many_rows_a_chunk_holds() -> None:
    assert fewer(150_000, 2_000_000, 400 << 20) == 150_000
    assert fewer(150_000, 2_000, 2_000 << 20) == CHUNK_BYTES >> 20
    assert fewer(150_000, 10, 1 << 40) == 1
