"""The order of entities: parents first; entities that need each other (or themselves) form one group, done together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rowcall.mapping.model import Entity


@dataclass(frozen=True)
class Group:
    """One entity, or the members of a cycle. `cyclic` is true for a self reference, too."""

    entities: tuple[str, ...]
    cyclic: bool


def parents(entity: Entity) -> tuple[str, ...]:
    """The entities that an entity's references name, in declared order; not the rows that are in the target already."""
    routes = (route for reference in entity.references for route in reference.routes)
    return tuple(dict.fromkeys(route.to for route in routes if not route.there))


def order(entities: Iterable[Entity]) -> tuple[Group, ...]:
    """Groups in an order where every parent comes before its children: Tarjan's strongly connected components (1972)."""
    edges = {e.name: parents(e) for e in entities}
    return tuple(
        Group(tuple(sorted(members, key=list(edges).index)), len(members) > 1 or members[0] in edges[members[0]])
        for members in _components(edges)
    )


def _components(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for parent in edges[node]:
            if parent not in index:
                visit(parent)
                low[node] = min(low[node], low[parent])
            elif parent in stack:
                low[node] = min(low[node], index[parent])
        if low[node] == index[node]:
            at = stack.index(node)
            found.append(stack[at:])
            del stack[at:]

    for node in edges:
        if node not in index:
            visit(node)
    return found


def descendants(entities: Iterable[Entity], names: Iterable[str]) -> frozenset[str]:
    """These entities and every one that refers to them, directly or not."""
    edges = {e.name: parents(e) for e in entities}
    found = set(names)
    while more := {child for child, ups in edges.items() if child not in found and found.intersection(ups)}:
        found |= more
    return frozenset(found)
