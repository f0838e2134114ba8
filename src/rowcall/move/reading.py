"""A chunk's rows, batch by batch; the single rows on which an expression of the mapping fails are found and marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from rowcall.move.functions import computed
from rowcall.plan.judge import Judge
from rowcall.postgres.read import ComputationFailed, Reader
from rowcall.sql import ident, literal

_PAYLOAD_KEYS = 5_000
CAREFUL_ROWS = 1_000  # held in memory at a time while failing rows are looked for


def chunk_batches(reader: Reader, judge: Judge, within: str) -> Iterator[Any]:
    """The chunk (`within` is its condition, see plan.chunks.Span) in one query. Raises ComputationFailed where an expression
    fails: begin anew with `careful_batches`."""
    yield from _read(reader, judge, within)


def _read(reader: Reader, judge: Judge, condition: str, failed: frozenset[str] = frozenset()) -> Iterator[Any]:
    """Rows with a column `failed`: what the judge is to know of expressions that were read as NULL, as they fail."""
    told = judge.told(failed)
    for batch in reader.batches(judge.source_sql(condition, failed)):
        rows = batch.num_rows
        if judge.functions:
            yield computed(judge, batch, told)
        else:
            labels = pa.nulls(rows, pa.string()) if told is None else pa.array([told] * rows, pa.string())
            yield batch.append_column("failed", labels)
        del batch


def careful_batches(reader: Reader, judge: Judge, within: str) -> Iterator[Any]:
    """The same rows in key order, by halving wherever an expression fails; a failing row comes with `failed` set."""
    key = judge.key
    table = reader.table(
        f"select {key.texts} as bound from {judge.entity.relation(within)} where {within} order by {key.names}"
    )
    bounds = [None, *map(tuple, table["bound"].to_pylist())]
    for at in range(0, max(len(bounds) - 1, 1), CAREFUL_ROWS):
        yield from _part(reader, judge, within, bounds[at : at + CAREFUL_ROWS + 1])


def _part(reader: Reader, judge: Judge, within: str, bounds: Sequence[Any]) -> Iterator[Any]:
    """The chunk's rows between the first bound (exclusive) and the last; each bound after the first is one row's key."""
    if len(bounds) < 2:
        yield from _read(reader, judge, "false")
        return
    condition = f"({within}) and {judge.key.within(bounds[0], bounds[-1])}"
    try:
        batches = list(_read(reader, judge, condition))
    except ComputationFailed:
        if len(bounds) == 2:
            yield from _read(reader, judge, condition, _failing(reader, judge, condition))
            return
        middle = len(bounds) // 2
        yield from _part(reader, judge, within, bounds[: middle + 1])
        yield from _part(reader, judge, within, bounds[middle:])
        return
    yield from batches


def _failing(reader: Reader, judge: Judge, condition: str) -> frozenset[str]:
    """The aliases of the expressions that fail on one row."""
    return frozenset(r.alias for r in judge.reads if r.fallible and _fails(reader, judge, r.sql, condition))


def _fails(reader: Reader, judge: Judge, expression: str, condition: str) -> bool:
    try:
        reader.table(f"select {expression} as x from {judge.entity.relation(condition)} where {condition}")
    except ComputationFailed:
        return True
    return False


def payloads(reader: Reader, judge: Judge, columns: Sequence[str], keys: Sequence[str], within: str) -> Iterator[Any]:
    """Batches (k, payload) of quarantined rows: a JSON object of each source column as its text.

    `within` is the condition of their chunk: without it the keys of a composite key would be sought in the whole table.
    """
    names = ", ".join(map(literal, columns))
    values = ", ".join(f"{ident(c)}::text" for c in columns)
    for at in range(0, len(keys), _PAYLOAD_KEYS):
        wanted = f"{within} and {judge.key.among(keys[at : at + _PAYLOAD_KEYS])}"
        yield from reader.batches(
            f"select ({judge.key.sql})::text as k, json_object(array[{names}]::text[], array[{values}]::text[])::text as payload "
            f"from {judge.entity.relation(wanted)} where {wanted}"
        )
