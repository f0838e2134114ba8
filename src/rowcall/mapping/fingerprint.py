"""What decides verdicts, as one hash: two mappings with the same fingerprint judge every row alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from hashlib import sha256
from uuid import UUID

from rowcall.mapping.model import ColumnRule, ContentTypes, Entity


def fingerprint(
    namespace: UUID, entities: tuple[Entity, ...], content_types: ContentTypes, views: Mapping[str, str]
) -> str:
    """SHA-256 in hex over entities (in any order), views, namespace and content types; not over budgets, impacts, workers, `load`
    and `deleted`."""
    said = {
        "namespace": str(namespace),
        "content_types": asdict(content_types),
        "entities": [_deciding(entity) for entity in sorted(entities, key=lambda entity: entity.name)],
    }
    said |= {"views": dict(views)} if views else {}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=sorted)
    return sha256(text.encode()).hexdigest()


def _rule(rule: ColumnRule) -> dict[str, object]:
    """Keys that say nothing are left out, so that a mapping without them has the fingerprint that it had before there were any."""
    told = asdict(replace(rule, python=None))
    told |= {"python": (rule.python.name, rule.python.columns, rule.python.digest)} if rule.python else {}
    return {name: value for name, value in told.items() if value or name not in ("python", "looks_in")}


_BESIDE = {"impact", "budget", "load", "deleted", "declared", "sql"}


def _deciding(entity: Entity) -> dict[str, object]:
    told = {name: value for name, value in asdict(entity).items() if name not in _BESIDE}
    told["columns"] = [_rule(rule) for rule in entity.columns]
    told["references"] = [
        {name: value for name, value in asdict(reference).items() if value or name not in ("merges", "each")}
        for reference in entity.references
    ]
    if (query := entity.query) is not None:  # what the server says of it may differ from time to time
        told["query"] = {"sql": query.sql, "base": query.base, "key": query.key, "further": query.further}
    return told
