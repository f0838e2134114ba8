"""The hex digests of names -> uuids of version 5, whole columns at a time.

The first 16 bytes of the SHA-1 digest, with version and variant set: RFC 9562, 5.5
https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-5
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

_HEX_DIGITS = 40  # of a SHA-1 digest
_NIBBLES = np.zeros(256, np.uint8)
_NIBBLES[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16, dtype=np.uint8)


def uuid5s(digests: Any) -> Any:
    """A binary array of 16 bytes each, from a string array of hex digests without nulls."""
    count = len(digests)
    if not count:
        return pa.array([], pa.binary())
    offsets = np.frombuffer(digests.buffers()[1], np.int32)[digests.offset : digests.offset + count + 1]
    digits = np.frombuffer(digests.buffers()[2], np.uint8)[offsets[0] : offsets[-1]].reshape(count, _HEX_DIGITS)
    nibbles = _NIBBLES[digits[:, :32]]
    ids = (nibbles[:, 0::2] << 4) | nibbles[:, 1::2]
    ids[:, 6] = (ids[:, 6] & 0x0F) | 0x50
    ids[:, 8] = (ids[:, 8] & 0x3F) | 0x80
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), count, [None, pa.py_buffer(ids)]).cast(pa.binary())
