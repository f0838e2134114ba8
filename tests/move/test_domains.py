# ruff: noqa: E501
"""Domains keep what they say of their values; expressions may yield any type, and may fail in any way."""

from __future__ import annotations

import pytest
from conftest import MakeProject

from rowcall.errors import MappingError

NUMBERS = "create table item (id int primary key, n numeric, t text, at timestamp(3));"


def test_a_domain_over_a_narrower_type_rounds_nothing(make_project: MakeProject) -> None:
    project = make_project(
        NUMBERS
        + """insert into item values (1, 1.239, '1.24', '2024-01-01 00:00:01'), (2, 1.24, '1.239', '2024-01-01 00:00:01'),
             (3, 1.24, '1.24', '2024-01-01 00:00:00.6'), (4, 1.24, '1.24', '2024-01-01 00:00:01'), (5, null, null, null)""",
        """create domain amount as numeric(10,2); create domain price as amount; create domain second as timestamp(0);
           create table item (id uuid primary key, n price, t amount, at second)""",
    )
    project.write("item: {from: item, columns: {n: n, t: {from: t, convert: numeric}, at: at}}")
    project.foreseen_run()
    bad, good = "out_of_range", "migrated"
    assert project.fates("item") == {"1": bad, "2": bad, "3": bad, "4": good, "5": good}
    assert project.evidence("item")["1"] == "would be rounded to fit numeric(10,2)"
    assert project.values("item", "t")["4"] == "1.24"
    assert project.migration.verify().ok


def test_a_source_domain_is_as_wide_as_it_says(make_project: MakeProject) -> None:
    project = make_project(
        "create domain amount as numeric(10,4); create table item (id int primary key, n amount); insert into item values (1, 1.2399), (2, 1.25)",
        "create table item (id uuid primary key, n numeric(10,2))",
    )
    project.write("item: {from: item, columns: {n: n}}")
    project.foreseen_run()
    assert project.fates("item") == {"1": "out_of_range", "2": "migrated"}


REQUIRED = """create domain required as text not null; create domain title as required check (value <> '');
  create domain link as uuid not null; create domain said as text default 'so' not null;
  create table owner (id uuid primary key);
  create table item (id uuid primary key, title title, owner link references owner, said said);"""


def test_a_domain_that_forbids_null_is_foreseen(make_project: MakeProject) -> None:
    project = make_project(
        """create table owner (id int primary key); insert into owner values (1);
           create table item (id int primary key, title text, owner int);
           insert into item values (1, 'a', 1), (2, null, 1), (3, 'c', null), (4, 'd', 1)""",
        REQUIRED,
    )
    project.write(
        """
        owner: {from: owner}
        item: {from: item, columns: {title: title}, references: {owner: {to: owner, path: owner}}}
        """
    )
    project.foreseen_run()
    fates = {"1": "migrated", "2": "null_in_required", "3": "null_reference", "4": "migrated"}
    assert project.fates("item") == fates
    assert project.values("item", "said")["1"] == "so"


def test_a_required_domain_must_be_filled(make_project: MakeProject) -> None:
    project = make_project("create table item (id int primary key)", REQUIRED)
    project.write("item: {from: item, columns: {title: {value: null}}}")
    with pytest.raises(MappingError) as told:
        project.check()
    assert "title is NOT NULL" in str(told.value)
    assert "owner" in str(told.value)


@pytest.mark.parametrize("expression", ["n::positive", "only_positive(n)", "custom(n)"])
def test_an_expression_may_fail_in_any_way(make_project: MakeProject, small_chunks: None, expression: str) -> None:
    """A domain's check is class 23, `raise` P0, and a code of one's own is of no class that Postgres knows."""
    project = make_project(
        """create domain positive as int check (value > 0);
           create function only_positive(n int) returns int language plpgsql as
             $$ begin if n <= 0 then raise exception 'no: %', n; end if; return n; end $$;
           create function custom(n int) returns int language plpgsql as
             $$ begin if n <= 0 then raise exception 'no' using errcode = 'RC001'; end if; return n; end $$;
           create table item (id int primary key, n int);
           insert into item select g, g from generate_series(1, 30) g; update item set n = -n where id in (7, 22)""",
        "create table item (id uuid primary key, n int)",
    )
    project.write(f"item: {{from: item, columns: {{n: {{sql: {expression}}}}}}}")
    project.foreseen_run()
    failed = {key for key, fate in project.fates("item").items() if fate == "expression_failed"}
    assert failed == {"7", "22"}
    assert project.evidence("item")["7"] == "columns.n"
    assert project.migration.verify().ok


def test_an_expression_may_yield_a_type_that_no_column_has(make_project: MakeProject) -> None:
    state = "create type state as enum ('open', 'done'); create domain known as state;"
    project = make_project(
        state
        + "create table item (id int primary key, t text); insert into item values (1, 'open'), (2, 'odd'), (3, 'done')",
        state + "create table item (id uuid primary key, a state, b known, c text[])",
    )
    project.write(
        """item: {from: item, columns: {a: {sql: "t::state"}, b: {sql: "t::known"}, c: {sql: "string_to_array(t, 'n')"}}}"""
    )
    project.foreseen_run()
    assert project.fates("item") == {"1": "migrated", "2": "expression_failed", "3": "migrated"}
    assert project.values("item", "b") == {"1": "open", "3": "done"}
    assert project.values("item", "c") == {"1": '{ope,""}', "3": "{do,e}"}
