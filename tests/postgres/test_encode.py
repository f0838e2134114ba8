"""What the encoder writes, Postgres reads back as the same value."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowcall.move.encode import numeric_bytes, payload, rows
from rowcall.postgres.connect import Session, connect
from rowcall.postgres.copy import copy_in
from rowcall.postgres.embedded import EmbeddedServers

INT8 = st.integers(-(2**63), 2**63 - 1) | st.none()
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0")) | st.none()


@pytest.fixture(scope="module")
def session(pair: EmbeddedServers) -> Iterator[Session]:
    with connect(pair.dsn("target"), "target") as opened:
        opened.execute("create temporary table box (n int8, t text, b bool, j jsonb)")
        yield opened


@given(st.from_regex(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", fullmatch=True))
def test_numeric_bytes_are_those_of_postgres(session: Session, text: str) -> None:
    assert numeric_bytes(text) == session.value("select numeric_send(%s::numeric)", [text])


@settings(max_examples=40)
@given(st.lists(st.tuples(INT8, TEXT, st.booleans() | st.none()), max_size=30))
def test_rows_come_back_as_they_were(session: Session, made: list[tuple[int | None, str | None, bool | None]]) -> None:
    columns = [
        payload(pa.array([n for n, _, _ in made], pa.int64()), "int8"),
        payload(pa.array([t for _, t, _ in made], pa.string()), "text"),
        payload(pa.array([b for _, _, b in made], pa.bool_()).cast(pa.int8()), "bool"),
        payload(pa.array(["[1]" for _ in made], pa.string()), "jsonb"),
    ]
    session.execute("truncate box")
    assert copy_in(session, "box", ["n", "t", "b", "j"], [rows(columns, len(made))]) == len(made)
    found = session.rows("select n, t, b from box where j = '[1]'")
    assert sorted(found, key=repr) == sorted(made, key=repr)
