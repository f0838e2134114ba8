"""The analysis of one entity: how it hangs on others, and what became of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rowcall.explain.causes import Cause
from rowcall.report.report import Edge, EntityLine, Report


@dataclass(frozen=True)
class Analysis:
    """`edges` are the ways to its parents, `chains` the entities that it hangs on, one after the other up to one without
    a parent; `causes` keep the numbers of the whole report."""

    line: EntityLine
    edges: tuple[Edge, ...]
    chains: tuple[tuple[str, ...], ...]
    causes: tuple[tuple[int, Cause], ...]
    excluded: tuple[tuple[str, int], ...]
    nulled: tuple[tuple[str, str, int], ...]
    not_mapped: tuple[str, ...]


def analyses(report: Report) -> tuple[Analysis, ...]:
    """In the order of the document."""
    return tuple(
        Analysis(
            line,
            tuple(edge for edge in report.edges if edge.entity == line.name),
            longest_chains(report.edges, line.name),
            tuple((n, cause) for n, cause in enumerate(report.causes, 1) if cause.entity == line.name),
            tuple((rule, rows) for entity, rule, rows in report.excluded if entity == line.name),
            tuple((column, code, rows) for entity, column, code, rows in report.nulled if entity == line.name),
            tuple(report.not_mapped.get(line.name, ())),
        )
        for line in report.entities
    )


def longest_chains(edges: Sequence[Edge], entity: str) -> tuple[tuple[str, ...], ...]:
    """Per parent the longest line of entities upward: enough to see what a row must pass; each entity once."""
    parents: dict[str, list[str]] = {}
    for edge in edges:
        if edge.to not in (found := parents.setdefault(edge.entity, [])) and edge.to != edge.entity:
            found.append(edge.to)
    known: dict[str, tuple[str, ...]] = {}
    return tuple((entity, *_upward(parent, parents, known, {entity})) for parent in parents.get(entity, ()))


def _upward(
    entity: str, parents: dict[str, list[str]], known: dict[str, tuple[str, ...]], seen: set[str]
) -> tuple[str, ...]:
    if entity not in known:
        ways = [_upward(p, parents, known, seen | {entity}) for p in parents.get(entity, ()) if p not in seen]
        known[entity] = (entity, *max(ways, key=len, default=()))
    return known[entity]
