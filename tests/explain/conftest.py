"""The same little world as the verification's."""

from __future__ import annotations

from verify.conftest import one_world, world

__all__ = ["one_world", "world"]
