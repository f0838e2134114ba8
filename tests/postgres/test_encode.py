"""What the encoder writes, Postgres reads back as the same value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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


JSON = st.sampled_from(["[1]", '{"a": "x"}', '{"b": [1, 2, 3]}']) | st.none()
ROW = st.tuples(INT8, TEXT, st.booleans() | st.none(), JSON)
Row = tuple[int | None, str | None, bool | None, str | None]


@settings(max_examples=80)
@given(st.lists(st.tuples(ROW, st.booleans()), max_size=30), st.booleans(), st.sampled_from([0, 1, 9]))
def test_rows_come_back_as_they_were(session: Session, drawn: list[tuple[Row, bool]], whole: bool, cut: int) -> None:
    """All rows, or those that are kept, of arrays as they are or cut out of larger ones; a column may be all NULL, all of one
    width, or neither."""
    made = [row for row, _ in drawn]

    def array(values: list[Any], kind: Any) -> Any:
        return pa.array([*values[:1] * cut, *values], kind).slice(min(cut, cut * len(values)))

    columns = [
        payload(array([n for n, _, _, _ in made], pa.int64()), "int8"),
        payload(array([t for _, t, _, _ in made], pa.string()), "text"),
        payload(array([b for _, _, b, _ in made], pa.bool_()).cast(pa.int8()), "bool"),
        payload(array([j for _, _, _, j in made], pa.string()), "jsonb"),
    ]
    kept = None if whole else array([keep for _, keep in drawn], pa.bool_())
    wanted = [row for row, keep in drawn if whole or keep]
    session.execute("truncate box")
    assert copy_in(session, "box", ["n", "t", "b", "j"], [rows(columns, len(made), kept)]) == len(wanted)
    found = session.rows("select n, t, b, j::text from box")
    assert sorted(found, key=repr) == sorted(wanted, key=repr)
