"""The project's own functions over a batch, before it is judged: whole columns at a time, and row by row only where one fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rowcall.plan.judge import Function, Judge

Failed = tuple[int, str]  # a row's place, and the type of what was raised


def computed(judge: Judge, batch: Any, told: str | None) -> Any:
    """The batch with what functions make of it, without what is read for them alone, and with a column `failed`: what the judge is
    to know of expressions that failed on a row. `told` are those that failed before, on all of its rows."""
    labels = np.full(batch.num_rows, told, dtype=object)
    for function in judge.functions:
        values, failed = _over(function, [batch[alias] for alias in function.inputs])
        for place, why in failed:
            labels[place] = ", ".join(filter(None, (labels[place], f"{function.label} ({why})")))
        kind = pa.binary() if function.raw else pa.string()
        batch = batch.set_column(batch.schema.get_field_index(function.alias), function.alias, values.cast(kind))
    gone = {alias for function in judge.functions for alias in function.inputs}
    kept = [name for name in batch.schema.names if name not in gone]
    return (batch.select(kept) if gone else batch).append_column("failed", pa.array(labels, pa.string()))


def _over(function: Function, inputs: Sequence[Any]) -> tuple[Any, list[Failed]]:
    """Its values as texts, NULL where it fails, and these rows."""
    failed: list[Failed] = []
    parts = list(_parts(function, inputs, 0, failed))
    return pa.concat_arrays(parts) if parts else pa.array([], pa.string()), failed


def _parts(function: Function, inputs: Sequence[Any], at: int, failed: list[Failed]) -> Iterator[Any]:
    rows = len(inputs[0])
    if not rows:
        return
    try:
        yield _called(function, inputs, rows)
    except (Exception, SystemExit) as error:  # the user's own code: whatever it raises. Its text may quote a row
        if rows == 1:
            failed.append((at, type(error).__name__))
            yield pa.nulls(1, pa.string())
            return
        middle = rows // 2
        yield from _parts(function, [array.slice(0, middle) for array in inputs], at, failed)
        yield from _parts(function, [array.slice(middle) for array in inputs], at + middle, failed)


def _called(function: Function, inputs: Sequence[Any], rows: int) -> Any:
    made = function.call(*inputs)
    if isinstance(made, pa.ChunkedArray):
        made = made.combine_chunks()
    if not isinstance(made, pa.Array) or len(made) != rows:
        raise TypeError("a function returns one Arrow array, with a value for each row")
    texts = made.cast(pa.string())
    if pc.any(pc.match_substring(texts, "\0")).as_py():
        raise ValueError("a text with a NUL, which Postgres does not have")
    return texts
