# ruff: noqa: E501
"""Filling columns: expressions that fail on some rows, rules, maps, constants; and every defect of a row told at once."""

from __future__ import annotations

import pytest
from conftest import MakeProject

from rowcall.errors import BudgetExceeded


def test_an_expression_fails_for_its_own_rows_only(make_project: MakeProject, small_chunks: None) -> None:
    project = make_project(
        "create table item (id int primary key, n int, t text); insert into item select g, g % 7, g::text from generate_series(1, 60) g;"
        "update item set t = 'forty' where id = 40; update item set t = 'gone' where id = 41; update item set n = null where id = 42",
        "create table item (id uuid primary key, inverse int, doubled int not null)",
    )
    project.write(
        """
        item:
          from: item
          where: {kept: "t <> 'gone' and 100 / (id - 60) < 0"}
          rules: {sane: "t::int < 55"}
          columns:
            inverse: {sql: 1 / n}
            doubled: {sql: "t::int * 2"}
        """
    )
    project.foreseen_run()
    fates = project.fates("item")
    by_zero = {str(g) for g in range(7, 60, 7)}
    failed = {key for key, fate in fates.items() if fate == "expression_failed"}
    assert fates["42"] == "migrated"  # 1 / NULL is NULL
    assert failed == (by_zero - {"42"}) | {"40", "60"}
    assert fates["41"] == "kept"  # its text is no number, which does not matter any more
    assert {key for key, fate in fates.items() if fate == "rule_failed"} == {"55", "57", "58", "59"}
    assert project.evidence("item")["7"] == "columns.inverse"
    assert set(project.evidence("item")["40"].split(", ")) == {"rules.sane", "columns.doubled"}
    assert project.evidence("item")["60"] == "where.kept"
    assert project.evidence("item")["55"] == "sane"
    assert project.values("item", "inverse")["1"] == "1"
    assert project.migration.verify().ok


def test_a_row_tells_all_of_its_defects_in_order(make_project: MakeProject, small_chunks: None) -> None:
    project = make_project(
        """create table parent (id int primary key);
           create table item (id int primary key, parent_id int, made timestamptz, body text, doc text, n text, name text, state text, code text);
           insert into item select g, null, '2024-01-01', 'b', '{}', '1', 'n', 'open', 'c' || g from generate_series(1, 30) g;
           insert into parent values (1); update item set parent_id = 1;
           update item set parent_id = 9, made = '2026-01-01', body = null, doc = '{', n = '99999999999', name = 'far too long', state = 'odd' where id = 17;
           update item set n = 'x', name = 'far too long' where id = 18""",
        """create type state as enum ('open'); create table parent (id uuid primary key);
           create table item (id uuid primary key, parent_id uuid not null references parent, body text not null, doc jsonb, n int,
             name varchar(5), state state, code text unique)""",
    )
    project.write(
        """
        parent: {from: parent}
        item:
          from: item
          rules: {second: "id not in (17, 18)", first: id <> 17}
          cutoff: {column: made, at: 2025-01-01T00:00:00Z}
          columns:
            state: {from: state, convert: enum}
            name: name
            n: {from: n, convert: int}
            doc: {from: doc, convert: jsonb}
            body: body
            code: code
          references: {parent_id: {to: parent, path: parent_id}}
        """
    )
    project.foreseen_run()
    assert project.codes("item", "17") == [
        "dangling_reference",
        "after_cutoff",
        "null_in_required",
        "malformed_json",
        "out_of_range",
        "too_long",
        "not_in_enum",
        "rule_failed",
        "rule_failed",
    ]
    evidence = [r["evidence"] for r in project.rejections("item", "17")]
    assert evidence[-2:] == ["second", "first"]
    assert [r["column"] for r in project.rejections("item", "17")][:7] == [
        "parent_id",
        "made",
        "body",
        "doc",
        "n",
        "name",
        "state",
    ]
    assert project.codes("item", "18") == ["not_convertible", "too_long", "rule_failed"]
    assert project.fates("item")["17"] == "dangling_reference"
    payload = project.target.value("select payload from rowcall.quarantine where source_key = '17'")
    assert payload["doc"] == "{"
    assert payload["body"] is None
    assert payload["made"] == "2026-01-01 00:00:00+00"


def test_maps_constants_and_expressions(make_project: MakeProject) -> None:
    project = make_project(
        "create table item (id int primary key, s int, t text); insert into item values (1, 1, 'A'), (2, 2, 'B'), (3, 3, 'C'), (4, null, null)",
        """create type state as enum ('open', 'closed', 'B', 'none');
           create table item (id uuid primary key, reject text, keep text, nulled int, used state, kept_label state, k text, doc jsonb,
             number numeric(5,2) not null, truth bool, nothing int, slug text, made timestamptz)""",
    )
    project.write(
        """
        item:
          from: item
          columns:
            reject: {from: s, map: {1: one, 2: two, null: nobody}}
            keep: {from: t, map: {A: alpha}, else: keep}
            nulled: {from: s, map: {1: 10}, else: null}
            used: {from: t, map: {A: open}, else: {value: none}}
            kept_label: {from: t, map: {A: open}, else: keep}
            k: {value: legacy}
            doc: {value: {a: [1, null, "x"]}}
            number: {value: 1.5}
            truth: {value: false}
            nothing: {value: null}
            slug: {sql: "lower(t) || '-' || id"}
            made: {value: "2024-02-29T00:00:00Z"}
        """
    )
    project.foreseen_run()
    assert project.fates("item") == {"1": "migrated", "2": "migrated", "3": "not_in_enum", "4": "migrated"}
    assert project.codes("item", "3") == ["not_in_enum", "not_in_enum"]  # `reject`, and a label that the enum lacks
    assert project.values("item", "reject") == {"1": "one", "2": "two", "4": "nobody"}
    assert project.values("item", "keep") == {"1": "alpha", "2": "B", "4": None}
    assert project.values("item", "nulled") == {"1": "10", "2": None, "4": None}
    assert project.values("item", "used") == {"1": "open", "2": "none", "4": None}
    assert project.values("item", "kept_label") == {"1": "open", "2": "B", "4": None}
    assert project.values("item", "slug") == {"1": "a-1", "2": "b-2", "4": None}
    row = project.target.rows("select distinct k, doc::text, number::text, truth, nothing, made::text from item")
    assert row == [("legacy", '{"a": [1, null, "x"]}', "1.50", False, None, "2024-02-29 00:00:00+00")]


def test_content_types_become_labels(make_project: MakeProject) -> None:
    project = make_project(
        """create table django_content_type (id int primary key, app_label varchar(9), model varchar(9));
           insert into django_content_type values (1, 'app', 'plan'), (2, 'app', 'file');
           create table item (id int primary key, type_id int); insert into item values (1, 1), (2, 2), (3, 3), (4, null), (5, 12)""",
        "create table item (id uuid primary key, label text, short text)",
    )
    project.write(
        """
        item:
          from: item
          columns:
            label: {content_type: type_id}
            short: {content_type: type_id, map: {app.plan: plan}, else: null}
        """,
        "content_types: {formerly: {app.plan: [12]}}",
    )
    project.foreseen_run()
    assert project.fates("item") == {**dict.fromkeys("1245", "migrated"), "3": "unknown_type"}
    assert project.values("item", "label") == {"1": "app.plan", "2": "app.file", "4": None, "5": "app.plan"}
    assert project.values("item", "short") == {"1": "plan", "2": None, "4": None, "5": "plan"}


def test_where_names_the_first_rule_that_takes_a_row(make_project: MakeProject) -> None:
    project = make_project(
        "create table item (id int primary key, gone bool, n text); insert into item values (1, false, 'x'), (2, true, 'x'), (3, null, '1'), (4, false, '1')",
        "create table item (id uuid primary key, n int)",
    )
    project.write(
        """
        item:
          from: item
          where: {present: not gone, even: id % 2 = 0}
          columns: {n: {from: n, convert: int}}
        """
    )
    project.foreseen_run()
    assert project.fates("item") == {"1": "even", "2": "present", "3": "present", "4": "migrated"}


@pytest.mark.parametrize("budget", ["3", "4%"])
def test_a_spent_budget_stops_the_run_and_a_higher_one_lets_it_go_on(
    make_project: MakeProject, small_chunks: None, budget: str
) -> None:
    project = make_project(
        "create table item (id int primary key, n text); insert into item select g, case when g % 10 = 3 then 'x' else '1' end from generate_series(1, 100) g",
        "create table item (id uuid primary key, n int)",
    )
    entity = "item: {from: item, columns: {n: {from: n, convert: int}}%s}"
    project.write(entity % "", f"error_budget: {budget}")
    with pytest.raises(BudgetExceeded) as caught:
        project.run()
    assert caught.value.exit_code == 4
    assert project.migration.status().state == "interrupted"
    settled = len(project.fates("item"))
    assert 0 < settled < 100
    assert project.target.value("select count(*) from item") == sum(
        f == "migrated" for f in project.fates("item").values()
    )
    with pytest.raises(BudgetExceeded):
        project.run()
    project.write(entity % ", error_budget: 10", "error_budget: 50%")
    result = project.run()
    assert result.complete
    assert result.exit_code == 3
    assert (result.totals.migrated, result.totals.quarantined) == (90, 10)
