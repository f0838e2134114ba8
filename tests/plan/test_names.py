"""Names and keys that two databases read differently: case, length, and numbers that are written in several ways."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from conftest import uid

from rowcall.errors import Interrupted, MappingError
from rowcall.move.worker import Worker
from rowcall.sql import label

CHILD = "create table c (id uuid primary key, a uuid, b uuid)"


def test_labels_keep_apart_what_duckdb_and_postgres_would_not() -> None:
    texts = ["ref", "Ref", "REF", "x" * 70, "x" * 71, "until a = 'A'", "until a = 'a'", "é", "e"]
    labels = [label(text) for text in texts]
    assert len({name.lower() for name in labels}) == len(texts)
    assert all(len(name.encode()) <= 63 for name in labels)


def test_columns_that_differ_in_case_lead_to_their_own_parents(make_project: Any) -> None:
    project = make_project(
        "create table par (id int primary key); insert into par values (1), (2);"
        'create table c (id int primary key, "Ref" int, ref int); insert into c values (1, 1, 2)',
        'create table par (id uuid primary key); create table c (id uuid primary key, a uuid, b uuid, "V" int, v int)',
    )
    project.write("""
        par: {from: par}
        c: {from: c, columns: {V: Ref, v: ref}, references: {a: {to: par, path: Ref}, b: {to: par, path: ref}}}
    """)
    assert project.foreseen_run().totals.migrated == 3
    assert project.target.rows('select a, b, "V", v from c') == [(uid("par", 1), uid("par", 2), 1, 2)]


def test_entities_and_tables_that_differ_in_case(make_project: Any) -> None:
    project = make_project(
        'create table "Par" (id int primary key); insert into "Par" values (1);'
        "create table par (id int primary key); insert into par values (2);"
        "create table c (id int primary key, a int, b int); insert into c values (1, 1, 2)",
        f'create table "Par" (id uuid primary key); create table par (id uuid primary key); {CHILD}',
    )
    project.write("""
        Par: {from: Par}
        par: {from: par}
        c: {from: c, references: {a: {to: Par, path: a -> Par.id}, b: {to: par, path: b}}}
    """)
    assert project.foreseen_run().totals.migrated == 3
    assert project.target.rows("select a, b from c") == [(uid("Par", 1), uid("par", 2))]


def test_long_conditions_that_differ_in_case(make_project: Any) -> None:
    project = make_project(
        "create table o (id int primary key); insert into o values (1), (2);"
        "create table t (id int primary key, up int, kind text, o int); insert into t values"
        "(1, null, 'A', 1), (2, 1, 'a', 2), (3, 2, '', null)",
        "create table o (id uuid primary key); create table t (id uuid primary key, a uuid, b uuid)",
    )
    until = "o is not null and kind <> 'a name that is longer than Postgres takes for one' and kind ="
    project.write(f"""
        o: {{from: o}}
        t:
          from: t
          where: {{leaves: up = 2}}
          references:
            a: {{to: o, path: ["up* -> t.id until {until} 'A'", o -> o.id]}}
            b: {{to: o, path: ["up* -> t.id until {until} 'a'", o -> o.id]}}
    """)
    assert project.foreseen_run().totals.migrated == 3
    assert project.target.rows("select a, b from t") == [(uid("o", 1), uid("o", 2))]


def test_a_number_is_one_key_however_it_is_written(make_project: Any) -> None:
    project = make_project(
        "create table o (id bigint primary key); insert into o values (1), (20);"
        "create table n (id numeric primary key); insert into n values (1.0), ('NaN'), (2.50);"
        "create table c (id int primary key, a numeric(12, 2), b numeric(10, 2));"
        "insert into c values (1, 1, 1), (2, 20, 2.5), (3, 1, 'NaN')",
        f"create table o (id uuid primary key); create table n (id uuid primary key); {CHILD}",
    )
    project.write("""
        o: {from: o}
        n: {from: n}
        c: {from: c, references: {a: {to: o, path: a}, b: {to: n, path: b}}}
    """)
    assert project.foreseen_run().totals.quarantined == 0
    assert project.values("c", "b")["2"] == str(uid("n", "2.50"))
    assert project.migration.verify().ok


def test_a_climb_that_ends_nowhere_is_no_plain_null(make_project: Any) -> None:
    project = make_project(
        "create table o (id int primary key); insert into o values (1);"
        "create table t (id int primary key, up int, o int);"
        "insert into t values (1, null, null), (2, 1, null), (3, 2, null), (4, null, 1)",
        "create table o (id uuid primary key); create table t (id uuid primary key, o uuid references o)",
    )
    project.write("""
        o: {from: o}
        t: {from: t, references: {o: {to: o, path: "up* -> t.id until o is not null, o -> o.id"}}}
    """)
    project.foreseen_run()
    assert project.fates("t") == {"1": "migrated", "4": "migrated", "2": "null_reference", "3": "null_reference"}
    assert project.migration.verify().ok


def test_a_change_under_a_savepoint_is_seen_on_resume(
    make_project: Any, small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A savepoint's transaction number stands in no snapshot's list."""
    project = make_project(
        "create table p (id int primary key, v text); insert into p select i, 'old' from generate_series(1, 30) i",
        "create table p (id uuid primary key, v text)",
    )
    project.write("p: {from: p, columns: {v: v}}")
    with psycopg.connect(project.source_dsn) as other:
        other.execute("select txid_current()")
        with other.transaction():
            other.execute("update p set v = 'new' where id = 5")
        project.source.execute("select txid_current()")
        settle, done = Worker.settle, list[int]()

        def twice(self: Worker, *args: Any) -> Any:
            if len(done) == 2:
                raise KeyboardInterrupt
            done.append(1)
            return settle(self, *args)

        monkeypatch.setattr(Worker, "settle", twice)
        with pytest.raises(Interrupted):
            project.run()
        monkeypatch.setattr(Worker, "settle", settle)
    project.run()
    assert project.values("p", "v")["5"] == "new"


def test_restart_with_a_faulty_mapping_undoes_nothing(make_project: Any) -> None:
    project = make_project(
        "create table p (id int primary key, v text); insert into p values (1, 'x')",
        "create table p (id uuid primary key, v text)",
    )
    project.write("p: {from: p, columns: {v: v}}")
    project.run(restart=True)  # with nothing to undo it is a first run
    project.write("p: {from: p, columns: {v: vv}}")
    with pytest.raises(MappingError):
        project.run(restart=True)
    assert project.target.value("select count(*) from p") == 1
