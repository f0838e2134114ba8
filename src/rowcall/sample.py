"""Some rows of an entity before and after: judged as a run would, with every parent thought to migrate, and written nowhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rowcall.errors import UsageError
from rowcall.explain.samples import mask, numbered
from rowcall.mapping.model import Entity
from rowcall.move.assignment import assigned_columns
from rowcall.move.belt import Tables
from rowcall.move.duplicates import create_duplicates
from rowcall.move.fates import load_hopeful
from rowcall.move.reading import payloads
from rowcall.move.verdicts import Verdicts
from rowcall.move.worker import Worker
from rowcall.plan.judge import Judge
from rowcall.plan.plan import Plan
from rowcall.plan.source_sql import start_column
from rowcall.postgres.copy import copy_in
from rowcall.postgres.errors import DriverError, stopped
from rowcall.sql import ident, qualified

ROWS = 10
_TABLE, _KEY = "rowcall_sample", "rowcall source key"


@dataclass(frozen=True)
class Sampled:
    """One row. `fate` is `migrated`, a reason code, or the name of the rule that excludes it; `before` the source's columns as
    text, `after` the target's, where it migrates. Values of patients may stand in both: no log, no repr."""

    key: str = field(repr=False)
    fate: str
    before: Mapping[str, str | None] = field(repr=False)
    after: Mapping[str, str | None] = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        return {"key": self.key, "fate": self.fate, "before": dict(self.before), "after": dict(self.after)}


@dataclass(frozen=True)
class Samples:
    """`fillers`: target column -> what fills it, as the mapping says it; `reads`: -> the source column that it is made of, where
    it is one."""

    entity: str
    fillers: Mapping[str, str]
    reads: Mapping[str, str]
    rows: tuple[Sampled, ...]

    def as_json(self) -> dict[str, Any]:
        told = {"entity": self.entity, "fillers": dict(self.fillers), "reads": dict(self.reads)}
        return {**told, "rows": [row.as_json() for row in self.rows]}


def sample(plan: Plan, worker: Worker, entity: str, *, show_values: bool = False) -> Samples:
    """The first rows in the order of their keys. Raises UsageError where there is no such entity."""
    if entity not in (known := [e.name for e in plan.mapping.entities]):
        raise UsageError(f"the mapping has no entity {entity!r}", hint=f"it has {', '.join(known)}")
    return _Sampler(plan, worker, plan.judge(entity), show_values)()


class _Sampler:
    def __init__(self, plan: Plan, worker: Worker, judge: Judge, show_values: bool) -> None:
        self.plan, self.worker, self.judge, self.show_values = plan, worker, judge, show_values

    def __call__(self) -> Samples:
        judge, entity = self.judge, self.judge.entity
        read = f"select ({judge.key.sql})::text as k from {entity.relation()} order by {judge.key.names} limit {ROWS}"
        keys = list(self.worker.reader.table(read)["k"].to_pylist())
        fates, after = self._judged(keys) if keys else ({}, {})
        before = self._before(keys)
        shown = self.show_values or numbered(self.plan, entity.name)
        rows = [
            Sampled(
                key if shown else mask(key), fates.get(key, "gone"), self._masked(before.get(key, {})),
                self._masked(after.get(key, {}), self._ids),
            )
            for key in keys
        ]  # fmt: skip
        return Samples(entity.name, _fillers(entity), _reads(entity), tuple(rows))

    @property
    def _ids(self) -> frozenset[str]:
        """Target columns that hold uuids of rows: these say nothing of anybody."""
        entity = self.judge.entity
        return frozenset({entity.id_column, *(r.column for r in entity.references)})

    def _masked(self, row: Mapping[str, str | None], clear: frozenset[str] = frozenset()) -> dict[str, str | None]:
        plain = self.show_values
        return {c: v if plain or v is None or c in clear else mask(v) for c, v in row.items()}

    def _before(self, keys: Sequence[str]) -> dict[str, dict[str, str | None]]:
        found: dict[str, dict[str, str | None]] = {}
        columns = assigned_columns(self.plan, self.judge.entity)
        for batch in payloads(self.worker.reader, self.judge, columns, keys, "true"):
            for key, text in zip(batch["k"].to_pylist(), batch["payload"].to_pylist(), strict=True):
                found[key] = json.loads(text)
        return found

    def _judged(self, keys: Sequence[str]) -> tuple[dict[str, str], dict[str, dict[str, str | None]]]:
        judge, duck = self.judge, self.worker.duck
        step = next(s for s in self.plan.steps if judge in s.judges)
        tables = Tables(self.plan, self.worker)
        tables.load_hops(step)
        for parent in step.parents:
            load_hopeful(duck, self.plan.judge(parent), self.plan, self.worker.reader)
        for member in step.judges:
            create_duplicates(duck, member)
        tables.build_routes(step)
        found = self.worker.judged_whole(judge, judge.key.among(keys))
        fates: dict[str, str] = {}
        for verdicts in found:
            fates |= dict.fromkeys(verdicts.accepted_keys, "migrated")
            fates |= {row["key"]: row["code"] for row in verdicts.rejected.to_pylist()}
            fates |= dict(
                zip(
                    map(str, verdicts.excluded["k"].to_pylist()), verdicts.excluded["excluded"].to_pylist(), strict=True
                )
            )
        return fates, self._as_the_target_has_it(found)

    def _as_the_target_has_it(self, found: Sequence[Verdicts]) -> dict[str, dict[str, str | None]]:
        """The rows as text, by the target itself: in a temporary table that is gone again."""
        session, columns = self.worker.session, [o.column for o in self.judge.outputs]
        listed, rows = ", ".join(map(ident, columns)), list[tuple[Any, ...]]()
        try:
            session.execute("begin")
            session.execute(
                f"create temporary table {_TABLE} as select {listed} from {qualified(self.judge.entity.target)} with no data"
            )
            session.execute(f"alter table {_TABLE} add column {ident(_KEY)} text")
            for verdicts in found:
                if verdicts.accepted.num_rows:
                    copy_in(session, _TABLE, [*columns, _KEY], [verdicts.keyed_rows()])
            texts = ", ".join(f"{ident(c)}::text" for c in [_KEY, *columns])
            rows = session.rows(f"select {texts} from {_TABLE}")
            session.execute("rollback")
        except DriverError as error:  # the session goes with the command
            raise stopped(error, "target", self.judge.entity.target) from None
        return {key: dict(zip(columns, values, strict=True)) for key, *values in rows}


def _fillers(entity: Entity) -> dict[str, str]:
    """Target column -> what fills it, in the mapping's words."""
    told = {entity.id_column: f"uuid{entity.ids.version}"}
    for rule in entity.columns:
        told[rule.column] = (
            (rule.python and rule.python.name) or rule.source or rule.sql or rule.content_type or "a constant"
        )
    for reference in (r for r in entity.references if not r.merges):
        told[reference.column] = " or ".join(dict.fromkeys(route.to for route in reference.routes))
    return told


def _reads(entity: Entity) -> dict[str, str]:
    told = {rule.column: name for rule in entity.columns if (name := rule.source or rule.content_type)}
    for reference in (r for r in entity.references if not r.merges):
        starts = {reference.each.column} if reference.each else {start_column(route) for route in reference.routes}
        if len(starts) == 1:
            told[reference.column] = starts.pop()
    return told
