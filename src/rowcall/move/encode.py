"""Arrow columns -> rows of COPY BINARY, whole columns at a time.

A row is a 16-bit field count, then per field a 32-bit length (-1: NULL) and that many bytes, all big-endian:
https://www.postgresql.org/docs/current/sql-copy.html (Binary Format). The joined column's data buffer IS the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_EMPTY = pa.scalar(b"", pa.binary())


def _fixed(dtype: str) -> Callable[[Any], Any]:
    width = np.dtype(dtype).itemsize

    def encode(array: Any) -> Any:
        values = pc.fill_null(array, 0).to_numpy(zero_copy_only=False).astype(dtype)
        data = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(width), len(array), [None, pa.py_buffer(values.tobytes())]
        )
        return pc.if_else(pc.is_valid(array), data.cast(pa.binary()), pa.scalar(None, pa.binary()))

    return encode


def _raw(array: Any) -> Any:
    return array.cast(pa.binary())


def _jsonb(array: Any) -> Any:
    # jsonb_recv: one version byte (1), then the text.
    return pc.binary_join_element_wise(pa.scalar(b"\x01", pa.binary()), array.cast(pa.binary()), _EMPTY)


def _numeric(array: Any) -> Any:
    return pa.array([None if text is None else numeric_bytes(text) for text in array.to_pylist()], pa.binary())


def numeric_bytes(text: str) -> bytes:
    """A finite decimal text in numeric's binary form: ndigits, weight, sign, dscale, then base-10000 digits, 16 bits each.

    src/backend/utils/adt/numeric.c, numeric_recv().
    """
    sign, digits, exponent = Decimal(text).as_tuple()
    scale = max(-int(exponent), 0)
    whole = "".join(map(str, digits)).rjust(scale + 1, "0")
    left, right = (whole[:-scale], whole[-scale:]) if scale else (whole, "")
    left = left.rjust(-(-len(left) // 4) * 4, "0")
    right = right.ljust(-(-len(right) // 4) * 4, "0")
    groups = [int((left + right)[i : i + 4]) for i in range(0, len(left) + len(right), 4)]
    weight = len(left) // 4 - 1
    while groups and groups[0] == 0:
        groups.pop(0)
        weight -= 1
    while groups and groups[-1] == 0:
        groups.pop()
    if not groups:
        sign, weight = 0, 0
    head = np.array([len(groups), weight, 0x4000 if sign else 0, scale], ">i2").tobytes()
    return head + np.array(groups, ">i2").tobytes()


ENCODERS: dict[str, Callable[[Any], Any]] = {
    "raw": _raw,
    "text": _raw,
    "jsonb": _jsonb,
    "bool": _fixed("i1"),
    "int2": _fixed(">i2"),
    "int4": _fixed(">i4"),
    "int8": _fixed(">i8"),
    "numeric": _numeric,
}


def payload(array: Any, encoder: str, asked: Any | None = None) -> Any:
    """One column as binary values; where the target gave bytes of its own (`asked`), these win."""
    encoded = ENCODERS[encoder](array)
    return encoded if asked is None else pc.coalesce(asked.cast(pa.binary()), encoded)


def rows(columns: Sequence[Any], count: int) -> memoryview:
    """Binary columns of `count` values each, as one buffer of COPY BINARY rows (without header and trailer)."""
    parts: list[Any] = [pa.scalar(len(columns).to_bytes(2, "big"), pa.binary())]
    for column in columns:
        length = pc.fill_null(pc.binary_length(column), -1).to_numpy(zero_copy_only=False).astype(">i4")
        prefix = pa.FixedSizeBinaryArray.from_buffers(pa.binary(4), count, [None, pa.py_buffer(length.tobytes())])
        parts += [prefix.cast(pa.binary()), pc.fill_null(column, b"")]
    joined = pc.binary_join_element_wise(*parts, _EMPTY)
    offsets = np.frombuffer(joined.buffers()[1], dtype=np.int32)
    first, last = int(offsets[joined.offset]), int(offsets[joined.offset + count])
    return memoryview(joined.buffers()[2])[first:last] if count else memoryview(b"")
