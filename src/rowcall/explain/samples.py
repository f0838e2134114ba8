"""Some rows of each cause, with what was seen: masked, unless somebody asks for the values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from rowcall.explain.causes import Cause, Sample, query
from rowcall.ledger import Ledger
from rowcall.plan.keys import BIGINT, entity_key, kind
from rowcall.plan.plan import Plan
from rowcall.rows import Reason

SHOWN = 60  # characters of a value


def with_samples(plan: Plan, ledger: Ledger, causes: Sequence[Cause], show_values: bool) -> tuple[Cause, ...]:
    """The causes, each with samples of its example keys."""
    pairs = [(cause.entity, key) for cause in causes for key in cause.examples]
    rows = ledger.session.rows(query("samples"), [[e for e, _ in pairs], [k for _, k in pairs]])
    found = {(entity, key): Sample(key, *rest) for entity, key, *rest in rows}
    return tuple(replace(cause, samples=tuple(_of(plan, cause, found, show_values))) for cause in causes)


def _of(plan: Plan, cause: Cause, found: Mapping[tuple[str, str], Sample], show_values: bool) -> Iterator[Sample]:
    for key in cause.examples:
        if sample := found.get((cause.entity, key)):
            yield sample if show_values else _masked(plan, cause, sample)


def _masked(plan: Plan, cause: Cause, sample: Sample) -> Sample:
    key = sample.key if numbered(plan, cause.entity) else mask(sample.key)
    value = None if sample.value is None else mask(sample.value)
    return replace(sample, key=key, value=value, detail=masked_detail(plan, cause.entity, cause.code, sample.detail))


def numbered(plan: Plan, entity: str) -> bool:
    """Whether an entity's keys are integers: numbers that a database gave out, and no data of a person."""
    known = next((e for e in plan.mapping.entities if e.name == entity), None)
    return known is not None and entity_key(known, plan.knowledge.source).kind == BIGINT


def mask(text: str) -> str:
    """A value's shape: letters become x, digits 9; signs stay, so that a broken form is still seen. Long ones are cut."""
    shape = re.sub(r"[^\W\d_]", lambda m: "X" if m[0].isupper() else "x", re.sub(r"\d", "9", text[:SHOWN]))
    return shape if len(text) <= SHOWN else f"{shape}… ({len(text):,} characters)"


def masked_detail(plan: Plan, entity: str, code: str, detail: str | None) -> str | None:
    """A detail names other rows where the path came back to itself or named several parents: masked where any key on the paths
    is no integer."""
    if detail is None or code not in (Reason.CYCLIC_PATH.value, Reason.AMBIGUOUS_REFERENCE.value):
        return detail
    known = next((e for e in plan.mapping.entities if e.name == entity), None)
    routes = [route for reference in known.references for route in reference.routes] if known else []
    tables = plan.knowledge.source.tables
    landings = [tables[hop.table].column(hop.to_column) for route in routes for hop in route.path]
    plain = all(column is not None and kind(column) == BIGINT for column in landings)
    return detail if plain and known and all(numbered(plan, r.to) for r in routes) else mask(detail)
