"""The duplicates that one judging of a whole entity found, handed to the machines that settle its chunks.

They travel through the ledger: to find them again, every process would have to judge the whole entity by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from rowcall.ledger.book import DUPLICATE, Ledger
from rowcall.loading import load
from rowcall.move import encode
from rowcall.plan.judge import Judge, duplicates_table
from rowcall.postgres.copy import copy_in
from rowcall.postgres.read import Reader

BOOKED_AT_ONCE = 50_000  # rows


def create_duplicates(duck: duckdb.DuckDBPyConnection, judge: Judge) -> None:
    name = duplicates_table(judge.entity.name)
    duck.execute(f"create or replace table {name} (k {judge.key.kind}, columns varchar)")


def book_duplicates(ledger: Ledger, duck: duckdb.DuckDBPyConnection, judge: Judge, entity: int) -> None:
    """What the workspace holds of an entity's duplicates, in place of what the ledger held. `entity` is its number."""
    with ledger.session.transaction():
        ledger.forget_duplicates(entity)
        copy_in(ledger.session, "rowcall.duplicate", DUPLICATE, _blocks(duck, judge, entity))


def _blocks(duck: duckdb.DuckDBPyConnection, judge: Judge, entity: int) -> Iterator[memoryview]:
    found = duck.sql(
        f"select {entity}::smallint as entity, k::varchar as k, columns from {duplicates_table(judge.entity.name)}"
    )
    for batch in found.to_arrow_reader(BOOKED_AT_ONCE):
        columns = zip(batch.columns, ("int2", "text", "text"), strict=True)
        yield encode.rows([encode.payload(column, encoder) for column, encoder in columns], batch.num_rows)


def load_duplicates(duck: duckdb.DuckDBPyConnection, judge: Judge, entity: int, target: Reader) -> None:
    """What was booked, into the workspace."""
    create_duplicates(duck, judge)
    kind = "int8" if judge.key.kind == "BIGINT" else "text"
    batches = target.batches(f"select source_key::{kind} as k, columns from rowcall.duplicate where entity = {entity}")
    load(duck, duplicates_table(judge.entity.name), batches)
