"""Rows for which another row stands (`merge:`): SQL over the judged row j, of the judge's query and of proofs.

The way to that row is the entity's first reference, r0. A row that finds one is judged by nothing else, for it is not written:
either the other row migrates, and it is excluded as merged, or it is kept back as any child is.
"""

from __future__ import annotations

from dataclasses import replace

from rowcall.mapping.model import MERGED, Entity
from rowcall.plan.values import Finding
from rowcall.sql import literal

WAY = "r0"
# Of the judge's query: the row that stands for a row, whatever becomes of it; its uuid, where it does; and its name, by which ways
# to rows that are one are told to mean one.
MERGED_COLUMNS = ("merged_entity", "merged_key", "merged_uid", "named")


def itself(entity: Entity, whose: str) -> str:
    """Whether the row that is found is the row itself; `whose` is the column that holds the entity of the row found."""
    return f"(j.{WAY}_{whose} = {literal(entity.name)} and j.{WAY}_parent = j.k::varchar)"


def another(entity: Entity, whose: str) -> str:
    """Whether another row is found that stands for this one, whatever becomes of it."""
    found = f"coalesce(j.{WAY}_code, 'parent_excluded') in ('parent_excluded', 'parent_quarantined')"
    return f"(j.{WAY}_parent is not null and {found} and not {itself(entity, whose)})"


def lonely(entity: Entity, whose: str, code: str) -> str:
    """The code of the way to the other row, where there is another."""
    fate = f"j.{WAY}_code in ('parent_excluded', 'parent_quarantined')"
    return f"case when coalesce({itself(entity, whose)} and {fate}, false) then null else {code} end"


def merging(entity: Entity) -> str:
    """The same in the judge's query. Where a condition of `where` fails a row is neither in nor out."""
    return f"({another(entity, 'parent_entity')} and not coalesce(contains(', ' || j.failed, ', where.'), false))"


def merged(entity: Entity) -> str:
    """The rule that excludes a row for which another stands, or NULL."""
    return f"case when j.{WAY}_code is null and {merging(entity)} then {literal(MERGED)} end"


def merged_columns(entity: Entity, excluded: str, chained: bool) -> dict[str, str]:
    """MERGED_COLUMNS. `excluded`: SQL of the rule that excludes the row; `chained`: whether the entity that is led to merges, too:
    the row that stays is that into which the one that was found is merged itself, if it is."""
    if entity.merge is None:
        return {}
    stands = f"{excluded} = {literal(MERGED)}"
    found = f"coalesce({excluded}, {literal(MERGED)}) = {literal(MERGED)} and {merging(entity)}"
    name = f"j.{WAY}_candidate" if chained else f"j.{WAY}_parent_entity || ' ' || j.{WAY}_candidate"
    last, next_ = (f"j.{WAY}_root_entity", f"j.{WAY}_root_key"), (f"j.{WAY}_parent_entity", f"j.{WAY}_parent")
    columns = [
        f"case when {stands} then coalesce({there}, {here}) when {found} then {here} end"
        for there, here in zip(last, next_, strict=True)
    ]
    columns += [f"case when {stands} then j.{WAY}_uid end", f"case when {found} then {name} end"]
    return dict(zip(MERGED_COLUMNS, columns, strict=True))


def unmerged(entity: Entity, findings: list[Finding]) -> list[Finding]:
    """The findings, where a row may be merged: the first is that of its way to the other row."""
    if entity.merge is None:
        return findings
    first, *others = findings
    return [
        replace(first, code=lonely(entity, "parent_entity", first.code)),
        *(replace(f, code=f"case when not {merging(entity)} then {f.code} end") for f in others),
    ]
