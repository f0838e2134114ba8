"""Readers: Arrow batches from one connection each."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from conftest import MakeProject

from rowcall.postgres.read import Reader


def test_readers_of_one_database_come_and_go(make_project: MakeProject) -> None:
    dsn = make_project().source_dsn
    first, second = Reader(dsn), Reader(dsn)
    first.close()
    assert second.table("select 1 as n").to_pylist() == [{"n": 1}]
    third = Reader(dsn)
    second.close()
    assert third.table("select 2 as n").to_pylist() == [{"n": 2}]
    third.close()
    third.close()


def test_a_reader_takes_no_part_in_the_transaction_of_another(make_project: MakeProject) -> None:
    project = make_project("create table t (n int)")
    for reader in (Reader(project.source_dsn), Reader(project.source_dsn)):
        assert reader.table("select count(*) as n from t").to_pylist() == [{"n": 0}]
        project.source.execute("insert into t values (1)")
        assert reader.table("select count(*) as n from t").to_pylist() == [{"n": 1}]
        project.source.execute("delete from t")
        reader.close()


def test_many_readers_are_opened_at_once(make_project: MakeProject) -> None:
    dsn, before = make_project().source_dsn, sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(6) as pool:
            for _ in range(40):
                for opened in [pool.submit(Reader, dsn) for _ in range(6)]:
                    opened.result().close()
    finally:
        sys.setswitchinterval(before)
