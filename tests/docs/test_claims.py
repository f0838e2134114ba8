"""What the pages promise, tried."""

from __future__ import annotations

import re
from typing import Any

import pytest

from docs.pages import DOCS
from rowcall.postgres.connect import connect
from rowcall.postgres.embedded import EmbeddedServers

ACCEPTED = re.findall(
    r"^\| `\w+` \| `(\w+)`[^|]* \| [^|]* \| ([^|]*) \|$", (DOCS / "conversions.md").read_text(), re.MULTILINE
)
THINGS = "create table thing (id int primary key, amount numeric); insert into thing select g, g from generate_series(1, {}) g"
PICKY = "create table things (id uuid primary key, amount numeric check (amount not in ({})))"
ENTITY = "things: {from: thing, columns: {amount: amount}}"


def test_what_postgres_also_accepts(pair: EmbeddedServers) -> None:
    texts = [(text, type_) for type_, told in ACCEPTED for text in re.findall(r"`([^`]*)`", told)]
    assert len(texts) > 12
    with connect(pair.dsn("target"), "target") as target:
        wrong = [t for t in texts if not target.value("select pg_input_is_valid(%s, %s)", t)]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "type_", "state"),
    [
        ("12.6", "int4", "22P02"),
        ("tomorrow-ish", "date", "22007"),
        ("12/2024", "date", "22007"),
        ("2024-02-30", "date", "22008"),
        ("", "jsonb", "22P02"),
        ('"ok\\u0000"', "jsonb", "22P05"),
    ],
)
def test_what_postgres_refuses(text: str, type_: str, state: str, pair: EmbeddedServers) -> None:
    with connect(pair.dsn("target"), "target") as target:
        assert target.value("select sql_error_code from pg_input_error_info(%s, %s)", [text, type_]) == state


def test_undo_knows_the_rows_beside_refused_ones(make_project: Any) -> None:
    """Rows around a refused one are written under savepoints, which have numbers of their own."""
    project = make_project(THINGS.format(2000), PICKY.format("7, 900, 901, 1999"))
    project.write(ENTITY)
    result = project.run()
    assert (result.totals.migrated, result.totals.quarantined) == (1996, 4)
    assert project.migration.verify().ok
    assert project.migration.undo() == {"things": 1996}
    assert project.target.value("select count(*) from things") == 0


def test_a_table_whose_rows_are_all_refused(make_project: Any) -> None:
    project = make_project(THINGS.format(3), PICKY.format("1, 2, 3"))
    project.write(ENTITY)
    assert project.run().totals.quarantined == 3
    assert project.codes("things", "2") == ["refused_by_target"]


def test_a_row_that_somebody_changed_stops_an_undo(make_project: Any) -> None:
    project = make_project(THINGS.format(3), PICKY.format("2"))
    project.write(ENTITY)
    project.run()
    project.target.execute("update things set amount = 30 where amount = 3")
    with pytest.raises(Exception, match="somebody changed rows since the run wrote them: things: 1 rows"):
        project.migration.undo()
    assert project.target.value("select count(*) from things") == 2


def test_a_unique_value_stays_with_the_first_of_several_entities_of_one_table(make_project: Any) -> None:
    project = make_project(
        "create table a (id int primary key, v int); create table b (id int primary key, v int);"
        "insert into a values (1, 1), (2, 2); insert into b values (1, 2), (2, 3)",
        "create table t (id uuid primary key, v int unique)",
    )
    project.write("a: {from: a, to: t, columns: {v: v}}\nb: {from: b, to: t, columns: {v: v}}")
    result = project.foreseen_run()
    assert result.totals.migrated == 3
    assert project.fates("b") == {"1": "duplicate_key", "2": "migrated"}
