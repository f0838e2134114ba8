"""Hex digits, such as digests of names, -> uuids, whole columns at a time.

The first 16 bytes of a SHA-1 digest, with version and variant set: RFC 9562, 5.5, and likewise for other versions
https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-5
"""

from __future__ import annotations

from binascii import unhexlify
from typing import Any

import numpy as np
import pyarrow as pa

from rowcall.move.encode import fixed_width

_DIGEST = 20  # bytes of SHA-1
_UUID = 16


def uuids(digests: Any, version: int) -> Any:
    """A binary array of 16 bytes each, from a string array of 40 hex digits each without nulls."""
    count = len(digests)
    if not count:
        return pa.array([], pa.binary())
    offsets = np.frombuffer(digests.buffers()[1], np.int32)[digests.offset : digests.offset + count + 1]
    digits = memoryview(digests.buffers()[2])[int(offsets[0]) : int(offsets[-1])]
    ids = np.frombuffer(unhexlify(digits), np.uint8).reshape(count, _DIGEST)[:, :_UUID].copy()
    ids[:, 6] = (ids[:, 6] & 0x0F) | (version << 4)
    ids[:, 8] = (ids[:, 8] & 0x3F) | 0x80
    return fixed_width(ids.view(f"V{_UUID}").reshape(count))
