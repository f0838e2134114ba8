"""Quoting without a connection agrees with the servers' own."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid5

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcall.postgres.connect import Session, connect
from rowcall.postgres.embedded import EmbeddedServers
from rowcall.sql import ident, literal
from rowcall.workspace import Workspace

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=15)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


@pytest.fixture(scope="module")
def postgres(pair: EmbeddedServers) -> Iterator[Session]:
    with connect(pair.dsn("target"), "target") as session:
        yield session


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with Workspace() as workspace:
        yield workspace.duck


@given(name=NAMES, text=TEXTS)
def test_postgres_reads_back_what_was_quoted(postgres: Session, name: str, text: str) -> None:
    cursor = postgres.connection.execute(f"select {literal(text)} as {ident(name)}".encode())
    assert cursor.fetchone() == (text,)
    assert cursor.description is not None
    assert cursor.description[0].name == name.encode()[:63].decode(errors="ignore")


@given(name=NAMES, text=TEXTS)
def test_duckdb_reads_back_what_was_quoted(duck: duckdb.DuckDBPyConnection, name: str, text: str) -> None:
    found = duck.sql(f"select {literal(text)} as {ident(name)}")
    assert found.fetchone() == (text,)
    assert found.columns == [name]


def test_literals_of_null_and_numbers() -> None:
    assert (literal(None), literal(-3), ident("a", 'b"c')) == ("NULL", "-3", '"a"."b""c"')


@given(namespace=st.uuids(), text=TEXTS)
def test_the_workspaces_uuid5_is_pythons(duck: duckdb.DuckDBPyConnection, namespace: UUID, text: str) -> None:
    found = duck.sql(f"select uuid5('{namespace.hex}', {literal(text)})").fetchone()
    assert found is not None
    assert found[0] == uuid5(namespace, text).bytes
