"""The plan as text: what a person reads before a run, and the compiled SQL of one entity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rowcall.errors import UsageError
from rowcall.mapping.model import THERE, Reference
from rowcall.plan.bulk import BULK, Load
from rowcall.plan.judge import Judge
from rowcall.plan.plan import CHUNK_ROWS, Plan
from rowcall.plan.step import Step


def plan_text(plan: Plan) -> str:
    """Order, references, chunks, what is not mapped, how tables are loaded, and the workers."""
    loads = {load.table: load for load in plan.loads()}
    steps = "\n".join(line for step in plan.steps for line in _step(plan, step, loads))
    return f"{steps}\nworkers: {plan.workers.number or 'none'} ({plan.workers.why})\n"


def _step(plan: Plan, step: Step, loads: Mapping[str, Load]) -> Iterator[str]:
    together = " (a cycle: judged to its fixpoint, settled in one transaction)" if step.group.cyclic else ""
    for judge in step.judges:
        entity = judge.entity
        over = "a query over " if entity.query and not entity.query.counted else ""
        rows = plan.knowledge.source.tables[entity.source].estimated_rows
        chunks = max(1, -(-rows // CHUNK_ROWS))
        yield f"{step.number:>3}. {entity.name}: {over}{entity.base} -> {entity.target}{together}"
        yield f"     about {rows:,} rows in {chunks} chunk{'s' * (chunks != 1)}, key {', '.join(entity.written_key)}"
        for reference in entity.references:
            yield from _reference(reference)
        if judge.uniques:
            yield f"     unique over all rows: {'; '.join(', '.join(u.columns) for u in judge.uniques)}"
        if triggers := plan.knowledge.target.tables[entity.target].triggers:
            yield f"     triggers that fire: {', '.join(triggers)}"
        if load := loads.get(entity.target):
            yield from _load(load)
        if unread := plan.unread_columns(entity):
            told = (f"{c}{_rows(plan.held(entity, c))}" for c in unread)
            yield f"     source columns never read, with the rows that hold a value: {', '.join(told)}"
        if unfilled := plan.unfilled_columns(entity):
            yield f"     target columns never filled, in all of these rows: {', '.join(unfilled)}"


def _rows(about: int | None) -> str:
    return "" if about is None else f" (about {about:,})"


def _load(load: Load) -> Iterator[str]:
    if load.mode != BULK:
        yield f"     loaded live, its keys stay on: {load.why}"
        return
    if load.taken:
        yield f"     taken away for the load and put back: {', '.join(k.name for k in load.taken)}"
    for key in load.keys:
        if key.stays:
            yield f"     stays on: {key.name} ({key.stays})"


def _reference(reference: Reference) -> Iterator[str]:
    for route in reference.routes:
        kind = f" [{route.content_type}]" if route.content_type else ""
        what = f"{reference.column} = {route.to}{kind}"
        if reference.merges:
            what = f"merged into {route.to}"
        elif reference.each:
            what = f"{reference.column}, each element of {reference.each.column} = {route.to}{kind}"
        yield f"     {what}: {', '.join(map(str, route.path))}"


def entity_sql(plan: Plan, entity: str) -> str:
    """Everything that is run for an entity: the reads (Postgres), the route tables and the judge (DuckDB)."""
    known = [j.entity.name for s in plan.steps for j in s.judges]
    if entity not in known:
        raise UsageError(f"the mapping has no entity {entity!r}", hint=f"it has {', '.join(known)}")
    return "".join(f"-- {title}\n{sql};\n\n" for title, sql in _statements(plan, plan.judge(entity)))


def _statements(plan: Plan, judge: Judge) -> Iterator[tuple[str, str]]:
    yield "source (Postgres): one chunk's rows, as table n", judge.source_sql("<the chunk's key range>")
    for table in judge.hop_tables:
        side = "target" if table.startswith(THERE) else "source"
        yield f'{side} (Postgres): the table that paths walk on, as "hop {table}"', plan.hop_tables[table].source_sql
    for statement in judge.prepare:
        yield "workspace (DuckDB): where each value of a path leads", statement
    for ask in judge.asks:
        yield (
            f'workspace (DuckDB): texts of which the target is asked ({ask.type.formatted}), answers as "ask {ask.alias}"',
            (f"select n.k, {ask.value} from n where {ask.suspect}"),
        )
    yield "workspace (DuckDB): the judge at first sight, of a batch whose rows are numbered", judge.quick_sql
    yield "workspace (DuckDB): the judge, of what is not sound at first sight", judge.sql
