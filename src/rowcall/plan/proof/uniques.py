"""Unique values in the source's Postgres: of the sound rows that share one, all but that with the lowest key."""

from __future__ import annotations

from rowcall.mapping.model import ColumnRule
from rowcall.plan.keys import BIGINT, bare
from rowcall.plan.plan import Plan
from rowcall.plan.proof.rows import Rows
from rowcall.plan.values import judged_as, passes
from rowcall.sql import ident, literal


class Uniqueness:
    """The unique keys of an entity's target that are judged over all its rows."""

    def __init__(self, plan: Plan, rows: Rows) -> None:
        self.plan, self.rows, self.entity = plan, rows, rows.entity
        self.uniques = plan.judge(rows.entity.name).uniques

    def untold(self) -> str:
        """Why the source alone cannot tell who is a duplicate; "" where it can."""
        shared = sum(e.target == self.entity.target for e in self.plan.mapping.entities) > 1
        if shared or self.entity.name in self.plan.knowledge.occupied:
            return "rows of others in the target count, too"
        if len(self.uniques) > 1:
            return "which row keeps its place is decided between several unique keys"
        if any(self.entity.name in s.group.entities and s.group.cyclic for s in self.plan.steps):
            return "uniqueness and a cycle of references decide together"
        return next(
            (f"the values of {c} are made by rowcall" for c in self.uniques[0].columns if not self._value(c)), ""
        )

    def inner(self, rows: Rows) -> dict[str, str]:
        """What the values are computed from, as columns of j, with the key as n for its order."""
        rules = {f"u{n}": self._rule(column) for n, column in enumerate(self.uniques[0].columns)}
        reads = {name: rows.read(name, _text(rule)) for name, rule in rules.items() if rule}
        return reads | {"n": rows.read("n", rows.key.sql)}

    def later_ones(self, judged: str, sound: str) -> str:
        """SELECT k: who shares a value with a sound row of a lower key."""
        unique = self.uniques[0]
        values = [str(self._value(column)) for column in unique.columns]
        bound = "".join(f" and {value} is not null" for value in values) if unique.nulls_distinct else ""
        order = "j.n" if self.rows.key.kind == BIGINT else 'j.n collate "C"'
        place = f"row_number() over (partition by {', '.join(values)} order by {order})"
        # The inner query is a fence: what is computed of a row is not computed of one that is not sound.
        return (
            f"select k from (select j.k, {place} as place from (select * from {judged} where {sound} offset 0) j "
            f"where true{bound}) s where place > 1"
        )

    def _value(self, column: str) -> str:
        """SQL over j of one of the values; "" where the source alone cannot compute it."""
        for number, reference in enumerate(self.entity.references):
            if reference.column == column:
                there = any(route.there for route in reference.routes)
                return "" if there or reference.each else self._parent(number, {route.to for route in reference.routes})
        rule = self._rule(column)
        target = self.plan.knowledge.target.tables[self.entity.target].column(column)
        if rule is None or target is None:
            return ""
        wanted, name = bare(target.type), f"j.u{self.uniques[0].columns.index(column)}"
        given = self.rows.table.column(rule.source) if rule.source else None
        if wanted.is_text and wanted.name != "bpchar" and (given is None or given.type.name != "bpchar"):
            return name
        judged = rule.convert or judged_as(wanted)
        plain = wanted.schema == "pg_catalog" and judged != "enum"
        same = given is not None and rule.convert is None and passes(bare(given.type), wanted)
        return f"{name}::{wanted.sql}" if plain else name if same else ""

    def _parent(self, number: int, parents: set[str]) -> str:
        """A parent as text: entities that share an identity share their uuids."""
        shared = " ".join(
            f"when {literal(p)} then {literal(self.plan.mapping.entity(p).identity)}" for p in sorted(parents)
        )
        name = f"j.r{number}"
        return f"case when {name}_code is null then (case {name}_entity {shared} end) || ':' || {name}_parent end"

    def _rule(self, column: str) -> ColumnRule | None:
        """The rule of a column that is read from the source and not mapped by a list."""
        rule = next((r for r in self.entity.columns if r.column == column), None)
        return None if rule is None or rule.values or rule.content_type or rule.has_constant or rule.python else rule


def _text(rule: ColumnRule) -> str:
    return f"{ident(rule.source)}::text" if rule.source else f"({rule.sql}\n)::text"
