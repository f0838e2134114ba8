"""What a database or role may set for its sessions, and what rowcall makes of it; databases that it refuses."""

from __future__ import annotations

from threading import Thread

import psycopg
import pytest
from conftest import MakeProject, Project
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from rowcall.errors import LedgerConflict, UsageError
from rowcall.postgres.connect import Session, connect, lively
from rowcall.postgres.read import ComputationFailed, Reader

SOURCE = "create table item (id int primary key, body text); insert into item select g, 'B' || g from generate_series(1, 5) g"
TARGET = "create table item (id uuid primary key, body text);"
MAPPING = "item: {from: item, columns: {body: body}}"
LIMITS = ("transaction_timeout", "idle_session_timeout", "lock_timeout", "statement_timeout")


def set_for_all(session: Session, *settings: str) -> None:
    """Sets something for the next sessions of a database."""
    for setting in settings:
        session.execute(f"alter database {session.value('select current_database()')} set {setting}")


def other_encoding(project: Project, side: str, encoding: str) -> str:
    """The DSN of a new database beside the project's; it goes with the server."""
    session, dsn = (project.source, project.source_dsn) if side == "source" else (project.target, project.target_dsn)
    name = f"{conninfo_to_dict(dsn)['dbname']}_{encoding.lower()}"
    session.execute(f"create database {name} template template0 encoding '{encoding}' lc_collate 'C' lc_ctype 'C'")
    return make_conninfo(dsn, dbname=name)


def test_no_timeout_of_the_project_cuts_a_session_off(make_project: MakeProject) -> None:
    project = make_project()
    set_for_all(project.target, *(f"{name} = '5s'" for name in LIMITS))
    asked = "select " + ", ".join(f"current_setting('{name}') as {name}" for name in LIMITS)
    with connect(project.target_dsn, "target") as session:
        assert session.rows(asked) == [("0",) * len(LIMITS)]
    reader = Reader(project.target_dsn, "target")
    assert reader.table(asked).to_pylist() == [dict.fromkeys(LIMITS, "0")]
    reader.close()


def test_a_target_that_is_read_only_by_default_is_written(make_project: MakeProject) -> None:
    project = make_project(SOURCE, TARGET)
    set_for_all(project.target, "default_transaction_read_only = on")
    project.write(MAPPING)
    project.foreseen_run()


def test_both_drivers_notice_a_server_that_went_away() -> None:
    options = conninfo_to_dict(lively("host=somewhere connect_timeout=3"))
    assert (options["connect_timeout"], options["keepalives"], options["keepalives_idle"]) == ("3", "1", "30")


def test_triggers_find_what_the_search_path_of_the_database_names(make_project: MakeProject) -> None:
    project = make_project(
        SOURCE,
        TARGET
        + """create schema extensions;
           create function extensions.slug(t text) returns text language sql as 'select lower(t)';
           create function slugged() returns trigger language plpgsql as 'begin new.body := slug(new.body); return new; end';
           create trigger slugged before insert on item for each row execute function slugged()""",
    )
    set_for_all(project.target, 'search_path = "$user", public, extensions')
    project.write(MAPPING)
    project.foreseen_run()
    assert project.values("item", "body")["1"] == "b1"


@pytest.mark.parametrize("schema", ["public", 'a "b', "it's"])
def test_the_schema_comes_first_and_public_is_never_lost(make_project: MakeProject, schema: str) -> None:
    project = make_project()
    set_for_all(project.target, "search_path = other")
    with connect(project.target_dsn, "target", search_path=schema) as session:
        quoted = session.value("select quote_ident(%s)", [schema])
        first = f'"{schema}"' if schema == "public" else quoted
        assert session.value("show search_path") == f"{first}, other, public"


def test_a_target_whose_foreign_keys_would_not_fire_is_refused(make_project: MakeProject) -> None:
    project = make_project(SOURCE, TARGET)
    set_for_all(project.target, "session_replication_role = replica")
    project.write(MAPPING)
    with pytest.raises(UsageError, match="session_replication_role is replica"):
        project.check()


@pytest.mark.parametrize(("side", "encoding"), [("source", "SQL_ASCII"), ("target", "LATIN1")])
def test_an_encoding_that_loses_text_is_refused(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, side: str, encoding: str
) -> None:
    project = make_project(SOURCE, TARGET)
    project.write(MAPPING)
    monkeypatch.setenv(project.variable(side), other_encoding(project, side, encoding))
    with pytest.raises(UsageError, match=f"the {side} database has the encoding {encoding}"):
        project.check()


def test_a_text_that_cannot_be_read_is_no_fault_of_an_expression(make_project: MakeProject) -> None:
    reader = Reader(other_encoding(make_project(), "source", "SQL_ASCII"))
    with pytest.raises(ComputationFailed, match="not valid in the database's encoding"):
        reader.table("select E'caf\\xe9' as t")
    reader.close()


def test_a_schema_with_a_dot_in_its_name_is_a_fault_of_the_mapping(make_project: MakeProject) -> None:
    project = make_project('create schema "a.b"; create table "a.b".item (id int primary key)', TARGET)
    project.write("item: {from: a.b.item}")
    with pytest.raises(UsageError, match=r"the schema 'a\.b' has a dot in its name"):
        project.check()


def test_a_schema_of_the_ledgers_name_is_left_alone(make_project: MakeProject) -> None:
    project = make_project(SOURCE, TARGET + "create schema rowcall")
    project.write(MAPPING)
    with pytest.raises(LedgerConflict, match="not a ledger"):
        project.run()


def test_statistics_wait_for_nobody(make_project: MakeProject) -> None:
    project = make_project(SOURCE, TARGET)
    project.write(MAPPING, "load: live")
    with psycopg.connect(project.target_dsn) as vacuum:
        vacuum.execute("lock table item in share update exclusive mode")
        run = Thread(target=project.run, daemon=True)
        run.start()
        run.join(30)
        assert not run.is_alive()
