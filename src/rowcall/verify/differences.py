"""Counting what differs, with a few keys to look at."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from rowcall.postgres.queries import named_queries

EXAMPLES = 5
Difference = tuple[int, tuple[str, ...]]  # rows, and the first of their keys


def query(name: str) -> str:
    return named_queries("rowcall.verify", "queries.sql")[name]


def difference(duck: duckdb.DuckDBPyConnection, name: str) -> Difference:
    """What the named query yields: its one column is `k`."""
    row = duck.execute(f"with d as ({query(name)}) select count(*), min(k, {EXAMPLES}) from d").fetchone()
    return (int(row[0]), tuple(row[1] or ())) if row else (0, ())


def numbers(duck: duckdb.DuckDBPyConnection, name: str) -> tuple[int, ...]:
    """The named query's one row of counts."""
    return tuple(duck.execute(query(name)).fetchone() or ())


def examples(found: Mapping[str, Difference]) -> dict[str, tuple[str, ...]]:
    """The keys of the differences that there are."""
    return {name: keys for name, (count, keys) in found.items() if count}
