"""The Plan: ordered steps, each with its compiled judge; a frozen value that prints as JSON."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rowcall.errors import UsageError
from rowcall.mapping.model import KEY, RETURNED, Entity, Mapping
from rowcall.plan.bulk import Load, loads
from rowcall.plan.compile import compile_entity
from rowcall.plan.graph import order, parents
from rowcall.plan.judge import Judge
from rowcall.plan.keys import bare
from rowcall.plan.knowledge import Knowledge
from rowcall.plan.paths import HopTable
from rowcall.plan.step import Step
from rowcall.plan.workers import Workers, staff

CHUNK_ROWS = 150_000


@dataclass(frozen=True)
class Plan:
    mapping: Mapping
    steps: tuple[Step, ...]
    hop_tables: dict[str, HopTable]
    knowledge: Knowledge
    # (source table, column) -> the share of its rows that hold a value there, where the source's statistics tell
    filled: MappingOf[tuple[str, str], float] = field(default_factory=dict)

    def judge(self, entity: str) -> Judge:
        return next(j for s in self.steps for j in s.judges if j.entity.name == entity)

    @property
    def parents(self) -> frozenset[str]:
        """The entities that references name: what becomes of their rows others must know."""
        return frozenset(parent for step in self.steps for parent in step.parents)

    @property
    def workers(self) -> Workers:
        """How many workers a run gets, and why."""
        return staff(self.mapping.workers, self.knowledge.machine)

    @property
    def source_tables(self) -> tuple[str, ...]:
        """Every source table that the run reads."""
        content = {self.mapping.content_types.table} if self.knowledge.content_types else set()
        own = {t for e in self.mapping.entities for t in (e.base, *(e.query.tables if e.query else ()))}
        looked = {t for e in self.mapping.entities for rule in e.columns for t in rule.looks_in}
        tables = self.knowledge.source.tables
        walked = {t for name in self.hop_tables for t in (tables[name].reads if tables[name].sql else (name,))}
        return tuple(sorted(own | walked | content | looked))

    @property
    def locked_tables(self) -> tuple[str, ...]:
        """Those of them that LOCK TABLE takes: tables and views, but not materialised views and foreign tables."""
        tables = self.knowledge.source.tables
        return tuple(name for name in self.source_tables if tables[name].kind in ("r", "p", "v"))

    def loads(self, steps: Sequence[Step] | None = None) -> tuple[Load, ...]:
        """How the target tables of these steps (all by default) are filled, and which keys a run takes away for it."""
        return loads(self.steps if steps is None else steps, self.mapping, self.knowledge)

    def unread_columns(self, entity: Entity) -> tuple[str, ...]:
        """Source columns that the mapping names nowhere (columns inside SQL expressions count as named where they occur)."""
        named = " ".join(
            [r.source or r.sql or r.content_type or "" for r in entity.columns]
            + [name for r in entity.columns if r.python for name in r.python.columns]
            + [h.column + " " + h.to_column for r in entity.references for t in r.routes for h in t.path]
            + [r.each.column if r.each else r.type_column or "" for r in entity.references]
            + [r.condition for r in entity.where + entity.rules]
            + [*entity.key, entity.cutoff.column if entity.cutoff else ""]
        )
        table = self.knowledge.source.tables[entity.source]
        return tuple(c.name for c in table.columns if c.name not in named and c.name not in (RETURNED, KEY))

    def held(self, entity: Entity, column: str) -> int | None:
        """About how many rows hold a value in a source column; None where nobody knows."""
        share = self.filled.get((entity.source, column))
        return None if share is None else round(share * self.knowledge.source.tables[entity.source].estimated_rows)

    def unfilled_columns(self, entity: Entity) -> tuple[str, ...]:
        """Target columns that the mapping leaves to their default or NULL."""
        filled = {o.column for o in self.judge(entity.name).outputs}
        table = self.knowledge.target.tables[entity.target]
        return tuple(c.name for c in table.columns if c.name not in filled and not c.generated)

    def as_json(self) -> dict[str, Any]:
        return {
            "steps": [
                {"step": s.number, "entities": list(s.group.entities), "cyclic": s.group.cyclic} for s in self.steps
            ],
            "loads": [load.as_json() for load in self.loads()],
            "workers": {"number": self.workers.number, "why": self.workers.why},
            "entities": [self._entity(j) for s in self.steps for j in s.judges],
        }

    def _entity(self, judge: Judge) -> dict[str, Any]:
        entity, source = judge.entity, self.knowledge.source.tables[judge.entity.source]
        return {
            "name": entity.name,
            "source": entity.base,
            "query": entity.query is not None,
            "target": entity.target,
            "key": list(entity.written_key),
            "estimated_rows": source.estimated_rows,
            "parents": list(parents(entity)),
            "references": [
                {
                    "column": r.column,
                    "merges": r.merges,
                    "each": r.each.column if r.each else None,
                    "routes": [
                        {"to": t.to, "content_type": t.content_type, "path": ", ".join(map(str, t.path))}
                        for t in r.routes
                    ],
                }
                for r in entity.references
            ],
            "judged_set_wise": [list(u.columns) for u in judge.uniques],
            "unread_columns": list(self.unread_columns(entity)),
            "unread_rows": {c: self.held(entity, c) for c in self.unread_columns(entity)},
            "unfilled_columns": list(self.unfilled_columns(entity)),
            "triggers": list(self.knowledge.target.tables[entity.target].triggers),
        }


def make_plan(mapping: Mapping, knowledge: Knowledge) -> Plan:
    """Orders and compiles everything; takes no connection."""
    by_name = {e.name: e for e in mapping.entities}
    hops: dict[str, HopTable] = {}
    steps = []
    for number, group in enumerate(order(mapping.entities), 1):
        members = frozenset(group.entities) if group.cyclic else frozenset()
        judges = []
        for name in group.entities:
            if group.cyclic:
                _need_known_id(mapping, by_name[name], knowledge)
                _need_no_elements(mapping, by_name[name], members)
            judge, reads = compile_entity(by_name[name], mapping, knowledge, members)
            judges.append(judge)
            for table, hop in reads.items():
                hops.setdefault(table, HopTable(table, hop.relation)).reads.update(hop.reads)
        steps.append(Step(number, group, tuple(judges)))
    return Plan(mapping, tuple(steps), hops, knowledge)


def _need_known_id(mapping: Mapping, entity: Entity, knowledge: Knowledge) -> None:
    """Rows of a cycle are judged before one is written, so that their ids must be known from what they are."""
    rule = next((r for r in entity.columns if r.column == entity.id_column), None)
    column = knowledge.source.tables[entity.source].column(rule.source or "") if rule else None
    plain = rule is not None and rule.values is None and column is not None and bare(column.type).name == "uuid"
    if entity.given_id and not plain:
        raise UsageError(
            f"{mapping.place('entities', entity.name)}: {entity.name} is in a cycle of references, and its id is not known "
            "before its rows are judged",
            hint="let the id be made (leave it out), or keep that of a uuid column",
        )


def _need_no_elements(mapping: Mapping, entity: Entity, group: frozenset[str]) -> None:
    """Rows of a cycle stand and fall with one parent for each reference."""
    for reference in entity.references:
        if reference.each and any(route.to in group for route in reference.routes):
            raise UsageError(
                f"{mapping.place('entities', entity.name, 'references', reference.column)}: the elements of {reference.column} "
                f"refer to rows that are in a cycle of references with {entity.name}",
                hint="give the elements rows of their own: a query with several rows for one of the table",
            )


def needs(plan: Plan, step: Step) -> frozenset[int]:
    """The numbers of the steps that must be finished before this one begins: those of its parents, of earlier entities in its
    own tables, and of the tables to which its tables' foreign keys refer."""
    own = {j.entity.target for j in step.judges}
    tables = own | {key.table for name in own for key in plan.knowledge.target.tables[name].foreign_keys}
    return frozenset(
        s.number
        for s in plan.steps
        if s.number < step.number and any(j.entity.name in step.parents or j.entity.target in tables for j in s.judges)
    )


def needed(plan: Plan, entities: Sequence[str]) -> frozenset[str] | None:
    """These entities, the parents that they need and the members of their groups; None for all."""
    if not entities:
        return None
    known = {e.name: e for e in plan.mapping.entities}
    found: set[str] = set()
    todo = list(entities)
    while todo:
        name = todo.pop()
        if name not in known:
            raise UsageError(f"the mapping has no entity {name!r}", hint=f"it has {', '.join(known)}")
        if name not in found:
            found.add(name)
            todo += parents(known[name])
            todo += next(s.group.entities for s in plan.steps if name in s.group.entities)
    return frozenset(found)


def foreseen_notes(plan: Plan) -> tuple[str, ...]:
    """What a forecast cannot see, and what the operator should know of the target before a run."""
    notes = [
        "refused_by_target cannot be foreseen: CHECK constraints, triggers, exclusion and foreign keys to unmapped tables"
    ]
    for key in plan.knowledge.keys:
        if key.unique and (key.columns is None or key.only):
            over = " and ".join(["expressions"] * (key.columns is None) + ["some rows alone"] * bool(key.only))
            notes.append(
                f"{key.table}: the unique index {key.name} is over {over}; its duplicates are not foreseen, either"
            )
    for step in plan.steps:
        for judge in step.judges:
            table = plan.knowledge.target.tables[judge.entity.target]
            if table.triggers:
                notes.append(f"{table.qualified}: the triggers {', '.join(table.triggers)} fire for every row")
            if judge.entity.name in plan.knowledge.occupied:
                notes.append(f"{table.qualified}: holds rows already; unique values are judged against them")
    return tuple(notes)
