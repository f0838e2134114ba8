"""A row's rejections in the judge's query: DuckDB SQL over the judged row j, whose column f{place} is the code of each finding."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rowcall.mapping.model import Entity
from rowcall.plan.values import Finding
from rowcall.sql import literal


def rejections(findings: Sequence[Finding], entity: Entity, group: Collection[str]) -> str:
    """All of them as a list, in the contract's order. `group`: the entities of the entity's cyclic group."""
    single, lists = [], []
    for place, finding in enumerate(findings):
        found = f"j.f{place} is not null"
        if finding.many is None:
            single.append(f"case when {found} then {_one(place, finding, entity, group)} end")
        else:
            lists.append(f"case when {found} then {finding.many.replace('{place}', str(place))} end")
    listed = ",\n    ".join(single)
    told = f"list_filter([\n    {listed}], lambda f: f is not null)"
    for many in lists:
        told = f"list_concat({told}, {many})"
    return f"list_sort({told})"


def _one(place: int, finding: Finding, entity: Entity, group: Collection[str]) -> str:
    fields = [
        str(place), f"j.f{place}", literal(finding.column), literal(finding.reference), finding.hop,
        finding.value, finding.evidence, finding.detail, _by_itself(finding, entity, group),
        *(finding.root or ("null", "null")), *(finding.parent or ("null", "null")),
    ]  # fmt: skip
    return f"rejection({', '.join(fields)})"


def _by_itself(finding: Finding, entity: Entity, group: Collection[str]) -> str:
    """Whether a parent is kept back by the row itself: possible in a cyclic group only."""
    if finding.root is None or not group:
        return "false"
    root, key = finding.root
    return f"coalesce({root} = {literal(entity.name)} and {key} = j.k::varchar, false)"
