"""What a review of the proofs and of the evidence found."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

import psycopg
import pytest
from conftest import MakeProject, Project
from psycopg.conninfo import make_conninfo

from rowcall.errors import UsageError

A_B = """
create table a (id uuid primary key);
create table b (id uuid primary key, a_id uuid not null references a);
"""


def test_columns_that_are_called_as_a_proof_calls_its_own(make_project: MakeProject) -> None:
    project = make_project(
        "create table a (id int primary key); insert into a values (7);"
        "create table b (id int primary key, k int, n text, c0 text, s0 text, u0 text);"
        "insert into b values (1, 7, 'x', '1', 'x', 'x'), (2, 8, 'y', '2', 'y', 'y');"
        "insert into b values (3, 9, 'z', 'no', 'z', 'x'), (30, 7, 'x', '3', 'w', 'x')",
        A_B.replace("references a)", "references a, n text unique, v int, s0 text)"),
    )
    project.write(
        """
        a: {from: a}
        b: {from: b, columns: {v: {from: c0, convert: int}, n: n, s0: s0}, references: {a_id: {to: a, path: k}}}
        """
    )
    project.foreseen_run()
    assert project.fates("b") == {
        "1": "migrated", "2": "dangling_reference", "3": "dangling_reference", "30": "duplicate_key"
    }  # fmt: skip


def test_texts_of_different_collations_meet(make_project: MakeProject) -> None:
    project = make_project(
        "create table a (id text collate \"C\" primary key); insert into a values ('x');"
        "create table b (id int primary key, a_id text collate \"POSIX\"); insert into b values (1, 'x'), (2, 'X')",
        A_B,
    )
    project.write("a: {from: a}\nb: {from: b, references: {a_id: {to: a, path: a_id}}}")
    project.check()
    project.run()
    project.prove()
    assert project.fates("b") == {"1": "migrated", "2": "dangling_reference"}


def test_a_text_that_ends_the_query_leaves_the_other_proofs(make_project: MakeProject) -> None:
    project = make_project(
        "create table t (id int primary key, v text, n text);"
        "insert into t values (1, '{}', '1'), (2, repeat('[', 200000), '2'), (3, '{', 'x'), (4, '{\"a\": \"\\u0000\"}', '4')",
        "create table t (id uuid primary key, v jsonb, n int)",
    )
    project.write("t: {from: t, columns: {v: {from: v, convert: jsonb}, n: {from: n, convert: int}}}")
    project.foreseen_run()
    proofs = project.prove()
    assert (proofs["t", "malformed_json"].kind, proofs["t", "unstorable_text"].kind) == ("checked", "checked")
    project.source.execute("update t set v = '{}' where id = 4")
    held = {c.code: c.proof.held for c in project.migration.prove() if c.proof}
    assert held == {"malformed_json": True, "unstorable_text": False}


def test_another_mapping_proves_nothing(make_project: MakeProject) -> None:
    project = make_project(
        "create table a (id int primary key); create table b (id int primary key, a_id int); insert into b values (1, 0)",
        A_B,
    )
    mapping = "a: {from: a}\nb: {from: b, references: {a_id: {to: a, path: a_id}}}"
    project.write(mapping)
    project.run()
    project.write(mapping.replace("b: {from: b", "bees: {from: b, to: b"))
    with pytest.raises(UsageError, match="the mapping changed"):
        project.migration.prove()
    (cause,) = project.migration.causes()
    assert (cause.entity, cause.rows, cause.remedies) == ("b", 1, ())
    assert cause.proof is not None  # as the run noted it
    assert project.migration.report().open == 1
    text = io.StringIO()
    project.migration.cleaning_list(text.write)
    assert len(list(csv.reader(io.StringIO(text.getvalue())))) == 2


LOG = """
create table django_content_type (id int primary key, app_label text, model text);
create table django_admin_log (id serial primary key, action_time timestamptz, object_id text, action_flag int,
    content_type_id int, user_id int);
create table x_a (id serial primary key, number int unique);
insert into x_a (number) select g from generate_series(1, 3) g;
create table b (id int primary key, kind int, a_id int);
"""


def evidence(project: Project) -> Mapping[str, str | None]:
    return project.evidence("b")


def test_the_log_tells_of_keys_and_not_of_other_numbers(make_project: MakeProject) -> None:
    project = make_project(
        LOG + "insert into django_content_type values (5, 'x', 'a');"
        "insert into django_admin_log values (1, now(), '17', 3, 5, 5);"
        "insert into b values (1, 5, 17)",
        A_B,
    )
    project.write('a: {from: x_a}\nb: {from: b, references: {a_id: {to: a, path: "a_id -> x_a.number"}}}')
    project.foreseen_run()
    assert evidence(project) == {"1": None}


def test_the_log_is_read_by_former_ids_of_a_type_too(make_project: MakeProject) -> None:
    project = make_project(
        LOG + "insert into django_content_type values (5, 'x', 'a');"
        "insert into django_admin_log values (1, now(), '17', 3, 12, 5);"
        "insert into b values (1, 5, 17)",
        A_B,
    )
    project.write(
        "a: {from: x_a}\nb: {from: b, references: {a_id: {type: kind, to: a, by_type: {x.a: a_id}}}}",
        "content_types: {formerly: {x.a: [12]}}",
    )
    project.foreseen_run()
    assert evidence(project) == {"1": "was_deleted"}


def test_a_log_behind_row_level_security_stops_nothing(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(LOG + "insert into b values (1, 5, 17)", A_B)
    project.source.execute(
        "do $$ begin create role log_reader login password 'few rights'; exception when duplicate_object then null; end $$;"
        "alter table django_admin_log enable row level security;"
        "grant select on all tables in schema public to log_reader; grant select on all sequences in schema public to log_reader"
    )
    reader = make_conninfo(project.source_dsn, user="log_reader", password="few rights", passfile="")
    monkeypatch.setenv(project.variable("source"), reader)
    project.write("a: {from: x_a}\nb: {from: b, references: {a_id: {to: a, path: a_id}}}")
    project.foreseen_run()
    assert evidence(project) == {"1": "never_existed"}


def test_keys_that_are_no_numbers_are_masked_in_every_detail(make_project: MakeProject) -> None:
    project = make_project(
        "create table django_content_type (id int primary key, app_label text, model text);"
        "insert into django_content_type values (2, 'x', 'p');"
        "create table p (mail text primary key, up text);"
        "insert into p values ('123', 'ann@example.org'), ('ann@example.org', '123');"
        "create table n (mail text primary key, kind int, p text);"
        "insert into n values ('123', 2, '123'), ('bob@example.org', 1, '123')",
        "create table p (id uuid primary key); create table n (id uuid primary key, p_id uuid not null)",
    )
    project.write(
        """
        p: {from: p}
        n: {from: n, references: {p_id: {type: kind, to: p, by_type: {x.p: "p -> p.mail, up* -> p.mail"}}}}
        """,
        "content_types: {formerly: {x.p: [1]}}",
    )
    project.foreseen_run()
    report = project.migration.report()
    assert "example.org" not in str(report.as_json()) + repr(report)
    text = io.StringIO()
    project.migration.cleaning_list(text.write)
    assert "ann@example.org" not in text.getvalue()
    assert {s.detail for c in report.causes for s in c.samples} == {"999 -> xxx@xxxxxxx.xxx -> 999"}


def test_the_cleaning_list_computes_nothing_in_a_spreadsheet(make_project: MakeProject) -> None:
    project = make_project(
        "create table a (id int primary key); create table b (id text primary key, a_id int);"
        "insert into b values ('=1+1', 5), ('-3', 5), ('@x', 5), ('-2+3', 5)",
        A_B,
    )
    project.write("a: {from: a}\nb: {from: b, references: {a_id: {to: a, path: a_id}}}")
    project.run()
    text = io.StringIO()
    project.migration.cleaning_list(text.write)
    assert {r["key"] for r in csv.DictReader(io.StringIO(text.getvalue()))} == {"'=1+1", "-3", "'@x", "'-2+3"}


def test_what_only_the_target_finds_unstorable_is_written_again(make_project: MakeProject) -> None:
    project = make_project(
        "create table t (id int primary key, j text); insert into t values (1, '{}'), (2, '{\"a\": \"\\u0000\"}')",
        "create table t (id uuid primary key, j text check (j::jsonb is not null))",
    )
    project.write("t: {from: t, columns: {j: j}}")
    project.foreseen_run(matched=False)
    assert project.fates("t")["2"] == "unstorable_text"
    assert project.prove()["t", "unstorable_text"].kind == "checked"


def test_a_check_of_victims_fails_where_they_have_another_cause_now(make_project: MakeProject) -> None:
    project = make_project(
        "create table a (id int primary key, n int); insert into a values (1, 1), (2, 2);"
        "create table b (id int primary key, x_id int, a_id int); insert into b values (1, 1, 2), (2, 1, 1)",
        "create table a (id uuid primary key, n int check (n <> 2));"
        "create table b (id uuid primary key, x_id uuid not null references a, a_id uuid not null references a)",
    )
    project.write(
        "a: {from: a, columns: {n: n}}\nb: {from: b, references: {x_id: {to: a, path: x_id}, a_id: {to: a, path: a_id}}}"
    )
    project.foreseen_run(matched=False)
    project.source.execute("update b set x_id = 99 where id = 1")
    held = {c.code: c.proof.held for c in project.migration.prove() if c.proof}
    assert held["parent_quarantined"] is False


def test_an_older_ledger_can_be_undone(make_project: MakeProject) -> None:
    project = make_project(
        "create table a (id int primary key); insert into a values (1)", "create table a (id uuid primary key)"
    )
    project.write("a: {from: a}")
    project.run()
    project.target.execute("drop table rowcall.proof")
    project.migration.undo()
    assert project.target.value("select to_regnamespace('rowcall') is null")
    with pytest.raises(psycopg.errors.UndefinedTable):
        project.target.value("select count(*) from rowcall.run")


def test_a_victim_of_a_refused_row_may_have_a_later_defect(make_project: MakeProject) -> None:
    project = make_project(
        "create table a (id int primary key, n int); insert into a values (1, 1), (2, 2);"
        "create table b (id int primary key, a_id int, v text); insert into b values (1, 2, 'x'), (2, 2, '3'), (3, 1, 'x')",
        "create table a (id uuid primary key, n int check (n <> 2));"
        "create table b (id uuid primary key, a_id uuid not null references a, v int)",
    )
    project.write(
        """
        a: {from: a, columns: {n: n}}
        b: {from: b, columns: {v: {from: v, convert: int}}, references: {a_id: {to: a, path: a_id}}}
        """
    )
    project.foreseen_run(matched=False)
    assert project.fates("b") == {"1": "parent_quarantined", "2": "parent_quarantined", "3": "not_convertible"}
    assert {proof.kind for proof in project.prove().values()} == {"checked"}
