"""DuckDB SQL for an entity's ids; the macros are the workspace's."""

from __future__ import annotations

from uuid import UUID

from rowcall.mapping.model import Entity
from rowcall.sql import literal


def digest_sql(namespace: UUID, entity: Entity) -> str:
    """DuckDB SQL for the hex digest of which a row's uuid5 is made."""
    return f"uuid5_digest('{namespace.hex}', {literal(entity.identity + ':')} || j.k::varchar)"


def uuid5_sql(namespace: UUID, entity: Entity, key: str = "j.k") -> str:
    """DuckDB SQL for uuid5(namespace, identity || ':' || key) as 16 bytes; the macro is in move.workspace."""
    return f"uuid5('{namespace.hex}', {literal(entity.identity + ':')} || {key}::varchar)"
