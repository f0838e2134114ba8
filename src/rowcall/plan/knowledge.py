"""What a plan is made from, beside the mapping."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from rowcall.mapping.model import Entity, Mapping
from rowcall.plan.values import Literals
from rowcall.plan.workers import Machine
from rowcall.schema import Schema, TableKey, Type


@dataclass(frozen=True)
class Knowledge:
    """What the compiler must be told of the servers: catalogs, the types of the mapping's expressions ((table, SQL) -> Type),
    content type ids, the bytes of its literals, and what the workers must share."""

    source: Schema
    target: Schema
    types: MappingOf[tuple[str, str], Type]
    content_types: MappingOf[int, str]
    literals: Literals
    machine: Machine
    occupied: frozenset[str] = frozenset()  # entities whose target already holds rows that are not of this run
    keys: tuple[TableKey, ...] = ()  # indexes, keys and foreign keys of the target tables; those that are away, too
    sequences: MappingOf[tuple[str, str], int] = field(
        default_factory=dict
    )  # (table, column) -> the last value given out
    admin_log: tuple[str, str] | None = (
        None  # Django's log of its admin pages and its content types, where they can be read
    )
    # A namespace that nobody knows, another one each time: of ids that nobody can compute.
    chance: UUID = field(default_factory=uuid4, repr=False, compare=False)

    def namespace(self, mapping: Mapping, entity: Entity) -> UUID:
        """Of an entity's ids."""
        return self.chance if entity.ids.version == 4 else mapping.namespace
