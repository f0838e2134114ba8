"""Arrow batches into DuckDB tables, one at a time, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import duckdb


def load(duck: duckdb.DuckDBPyConnection, table: str, batches: Iterable[Any], columns: str = "*") -> None:
    """Inserts `columns` (DuckDB SQL over a batch) of every batch into an existing table."""
    for batch in batches:
        duck.register("arriving", batch)
        duck.execute(f"insert into {table} select {columns} from arriving")
        duck.unregister("arriving")


def table_of(duck: duckdb.DuckDBPyConnection, table: str, columns: str) -> None:
    """A new, empty table of this connection alone; one of the same name goes."""
    duck.execute(f"create or replace temp table {table} ({columns})")
