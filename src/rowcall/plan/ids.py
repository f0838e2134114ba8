"""SQL for an entity's ids; the macros are the workspace's.

Versions of RFC 9562: 5 (SHA-1 of a name), 7 (milliseconds since 1970 in the first 48 bits), 4 (chance).
https://www.rfc-editor.org/rfc/rfc9562#name-uuid-layouts
"""

from __future__ import annotations

from uuid import UUID

from rowcall.mapping.model import Entity
from rowcall.sql import ident, literal

NOTHING = "null::text"
_LATEST = (1 << 48) - 1  # milliseconds


def made_of(entity: Entity) -> str:
    """Postgres SQL over a source row: what its id is made of besides its key, as bigint or text; NULL where there is nothing.
    A time that is not known, infinite, or before 1970 counts as 1970."""
    if entity.ids.version == 7 and entity.ids.column is not None:
        column = ident(entity.ids.column)
        moment = f"case when isfinite({column}) then floor(extract(epoch from {column}) * 1000) end"
        return f"least(greatest(coalesce({moment}, 0), 0), {_LATEST})::int8"
    kept = next((rule.source for rule in entity.columns if rule.column == entity.id_column), None)
    return f"{ident(kept)}::text" if kept is not None else NOTHING


def digest_sql(namespace: UUID, entity: Entity, key: str = "j.k", made_of: str = "j.made_of") -> str:
    """DuckDB SQL for the hex digits of which a row's id is made, 40 of them: version and variant are set later. `namespace` is
    that of Knowledge.namespace."""
    digest = f"uuid5_digest('{namespace.hex}', {literal(entity.identity + ':')} || {key}::varchar)"
    return f"printf('%012x', {made_of}) || substr({digest}, 13)" if entity.ids.version == 7 else digest


def id_sql(namespace: UUID, entity: Entity, key: str, made_of: str) -> str:
    """DuckDB SQL for a row's id as 16 bytes."""
    if entity.given_id:
        return f"unhex(replace({made_of}::varchar, '-', ''))"
    return f"uuid_of_hex({digest_sql(namespace, entity, key, made_of)}, '{entity.ids.version}')"
