"""Arrow columns -> rows of COPY BINARY, whole columns at a time.

A row is a 16-bit field count, then per field a 32-bit length (-1: NULL) and that many bytes, all big-endian:
https://www.postgresql.org/docs/current/sql-copy.html (Binary Format). The joined column's data buffer IS the stream.

What is equally wide in every row (the count, lengths, values of fixed width) is laid out as one matrix per stretch between
two values of varying width, so that a row is joined of few parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_EMPTY = pa.scalar(b"", pa.binary())
_NULL = (-1).to_bytes(4, "big", signed=True)
Bytes = npt.NDArray[np.void]


@dataclass(frozen=True)
class Column:
    """Values in binary form, as a binary array; `lead` are the bytes that begin every value that is not NULL."""

    values: Any
    lead: bytes = b""

    @property
    def joined(self) -> Any:
        """The whole values, as one binary array."""
        if not self.lead:
            return self.values
        return pc.binary_join_element_wise(pa.scalar(self.lead, pa.binary()), self.values, _EMPTY)


def fixed_width(data: npt.NDArray[Any], valid: Any | None = None) -> Any:
    """Equally wide items as a binary array over the same memory. `valid`: a boolean array, where some are NULL."""
    if valid is not None and valid.offset:
        valid = pa.concat_arrays([valid])  # a bitmap that begins with the first row
    offsets = np.arange(len(data) + 1, dtype=np.int32) * np.int32(data.itemsize)
    buffers = [valid.buffers()[1] if valid is not None else None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.BinaryArray.from_buffers(pa.binary(), len(data), buffers)


def _fixed(dtype: str) -> Callable[[Any], Column]:
    def encode(array: Any) -> Column:
        nulls = array.null_count
        values = (pc.fill_null(array, 0) if nulls else array).to_numpy(zero_copy_only=False).astype(dtype)
        return Column(fixed_width(values, pc.is_valid(array) if nulls else None))

    return encode


def _raw(array: Any) -> Column:
    return Column(array.cast(pa.binary()))


def _jsonb(array: Any) -> Column:
    return Column(array.cast(pa.binary()), b"\x01")  # jsonb_recv: one version byte, then the text


def _numeric(array: Any) -> Column:
    return Column(pa.array([None if text is None else numeric_bytes(text) for text in array.to_pylist()], pa.binary()))


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


ENCODERS: dict[str, Callable[[Any], Column]] = {
    "raw": _raw,
    "text": _raw,
    "jsonb": _jsonb,
    "bool": _fixed("i1"),
    "int2": _fixed(">i2"),
    "int4": _fixed(">i4"),
    "int8": _fixed(">i8"),
    "numeric": _numeric,
}


def payload(array: Any, encoder: str, asked: Any | None = None) -> Column:
    """One column as binary values; where the target gave bytes of its own (`asked`), these win."""
    encoded = ENCODERS[encoder](array)
    if asked is None or asked.null_count == len(asked):
        return encoded
    return Column(pc.coalesce(asked.cast(pa.binary()), encoded.joined))


def constant(value: bytes, count: int) -> Column:
    """The same value `count` times."""
    return Column(fixed_width(np.full(count, np.void(value))))


def nothing(count: int) -> Column:
    """NULL `count` times."""
    return Column(pa.nulls(count, pa.binary()))


def rows(columns: Sequence[Column], count: int, kept: Any | None = None) -> memoryview:
    """Columns of `count` values each, as one buffer of COPY BINARY rows (without header and trailer); `kept`: a boolean
    array, where not every row is wanted."""
    return stream(row_by_row(columns, count, kept)) if count else memoryview(b"")


def stream(joined: Any) -> memoryview:
    """Rows as one buffer."""
    offsets = _offsets(joined)
    return memoryview(joined.buffers()[2])[int(offsets[0]) : int(offsets[-1])] if len(joined) else memoryview(b"")


def row_by_row(columns: Sequence[Column], count: int, kept: Any | None = None) -> Any:
    """The same rows as a binary array over one buffer; NULL where a row is not wanted."""
    if not count:
        return pa.array([], pa.binary())
    parts = list(_parts(columns, count))
    if kept is not None:  # a row of which one part is NULL joins to nothing
        parts[0] = fixed_width(parts[0], kept) if isinstance(parts[0], np.ndarray) else parts[0]
    arrays = [fixed_width(part) if isinstance(part, np.ndarray) else part for part in parts]
    return pc.binary_join_element_wise(*arrays, _EMPTY)


def _parts(columns: Sequence[Column], count: int) -> Iterator[Any]:
    """What the rows are joined of, in turn: items of one width (a structured numpy array), and binary arrays without NULL."""
    stretch: list[bytes | npt.NDArray[Any]] = [len(columns).to_bytes(2, "big")]
    for column in columns:
        if column.values.null_count == count:
            stretch.append(_NULL)
            continue
        offsets, nulls = _offsets(column.values), column.values.null_count
        width = int(offsets[1] - offsets[0])
        lengths = np.diff(offsets)
        if not nulls and (lengths == width).all():
            stretch.append((len(column.lead) + width).to_bytes(4, "big") + column.lead)
            if width:
                stretch.append(_items(column.values, offsets, width))
            continue
        values = column.values
        if nulls:
            values = pc.fill_null(column.joined, b"")
            lengths = np.where(column.values.is_valid().to_numpy(zero_copy_only=False), np.diff(_offsets(values)), -1)
            stretch.append(lengths.astype(">i4"))
        else:
            stretch += [(lengths + len(column.lead)).astype(">i4"), column.lead]
        yield _matrix(stretch, count)
        yield values
        stretch = []
    if stretch:
        yield _matrix(stretch, count)


def _matrix(stretch: Sequence[bytes | npt.NDArray[Any]], count: int) -> Bytes:
    """Pieces side by side, each the same bytes for all rows or an item per row: one item of all their bytes per row."""
    pieces = [np.frombuffer(p, f"V{len(p)}") if isinstance(p, bytes) else p for p in stretch if len(p)]
    made = np.empty(count, [(str(place), f"V{piece.itemsize}") for place, piece in enumerate(pieces)])
    for place, piece in enumerate(pieces):
        made[str(place)] = piece.view(f"V{piece.itemsize}")
    return made


def _items(array: Any, offsets: npt.NDArray[np.int32], width: int) -> Bytes:
    return np.frombuffer(array.buffers()[2], f"V{width}", len(array), int(offsets[0]))


def _offsets(array: Any) -> npt.NDArray[np.int32]:
    return np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]
