"""The amending leg at the head of the belt: quarantined rows are read and judged again with what repairs put into them, and those
that are sound now enter the target as any row does: judged by the same query, encoded by the same encoders.

All of it happens in the caller's transaction on the worker's session, so that a trial is the same work and a ROLLBACK.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pyarrow as pa

from rowcall.ledger.book import ChunkRecord, EntityRecord
from rowcall.ledger.repairs import Fate
from rowcall.mapping.model import Entity
from rowcall.move.assignment import Assignment, assign
from rowcall.move.belt import Tables
from rowcall.move.chunking import need_keys
from rowcall.move.duplicates import create_duplicates
from rowcall.move.fates import load_from_ledger
from rowcall.move.gathered import Gathered, Mended
from rowcall.move.reading import payloads
from rowcall.move.savepoints import touched, versions
from rowcall.move.settle import place_carefully
from rowcall.move.stage import Stage
from rowcall.move.verdicts import Verdicts
from rowcall.move.worker import Worker
from rowcall.plan.chunks import Span
from rowcall.plan.compile import compile_entity
from rowcall.plan.given import given_table
from rowcall.plan.ids import NOTHING, made_of
from rowcall.plan.judge import Judge
from rowcall.plan.keys import bare, need_column
from rowcall.plan.knowledge import Knowledge
from rowcall.plan.paths import HopTable, fate_table
from rowcall.plan.plan import Plan
from rowcall.plan.step import Step
from rowcall.postgres.read import Reader
from rowcall.rows import Amendment, Reason
from rowcall.schema import Column, Type
from rowcall.sql import literal

KEYS = 5_000  # rows mended at a time
Keys = Mapping[str, Sequence[str]]  # entity -> keys
# What became of a row: outcome (None: it is gone), uuid, and of one that did not migrate its root or the rule (see move.fates).
News = tuple[str | None, UUID | None, str | None, str | None]


class Mender:
    """Over one worker, whose session is in a transaction. What becomes of rows in it is remembered, for the ledger as others see it
    does not have it yet: `news` (entity -> key -> News)."""

    def __init__(self, plan: Plan, worker: Worker, target: Reader, records: Mapping[str, EntityRecord]) -> None:
        self.plan, self.worker, self.target, self.records = plan, worker, target, records
        self.duck = worker.duck
        self.tables = Tables(plan, worker)
        self.news: dict[str, dict[str, News]] = {}
        self._told = Counter[str]()
        self._keyed: set[str] = set()
        self._judges: dict[tuple[str, frozenset[str]], Judge] = {}
        self._ready: tuple[Any, ...] | None = None

    def forget(self) -> None:
        """The transaction is over: the ledger has what came home in it, or it was taken back."""
        self.news, self._ready = {}, None

    def learn(self, entity: str, news: Mapping[str, News]) -> None:
        """What became of rows: their children are to know it."""
        self.news.setdefault(entity, {}).update(news)
        self._told[entity] += len(news)

    def mend(self, entity: str, keys: Sequence[str], amendments: Sequence[Amendment]) -> Mended:
        """Judges these rows of an entity anew, with the amendments that there are for them, and writes those that are sound."""
        judge = self.amended_judge(entity, amendments)
        self.prepare(self.step(entity), amendments)
        self.give(judge, amendments)
        gathered = Gathered(self.work(judge), ChunkRecord(0, entity, Span(), "planned", 0, None))
        for verdicts in self.judged(judge, keys):
            self.place(verdicts, gathered)
        return self.became(gathered)

    def create(
        self, derived: Entity, know: Knowledge, keys: Sequence[str], amendments: Sequence[Amendment] = ()
    ) -> Mended:
        """Writes rows of an entity that stands beside the mapping, made of these source rows, with what is given for them; none
        of them gets a line."""
        given = frozenset(a.column for a in amendments)
        judge, hops = compile_entity(derived, self.plan.mapping, know, frozenset(), given)
        for name, hop in hops.items():
            known = self.plan.hop_tables.get(name)
            both = HopTable(name, hop.relation, (known.reads if known else {}) | hop.reads)
            self.tables.digests[name] = self.tables.load(both)
        self._ready = None
        self.load_fates({*judge.parents, *(a.parent_entity for a in amendments if a.parent_entity)})
        create_duplicates(self.duck, judge)
        self.give(judge, amendments)
        self.tables.build([judge])
        table = know.target.tables[derived.target]
        inner = tuple(k for k in table.foreign_keys if k.table in {e.target for e in self.plan.mapping.entities})
        work = Assignment(judge, 0, (), table, inner, True)
        gathered = Gathered(work, ChunkRecord(0, derived.name, Span(), "planned", 0, None))
        for verdicts in self.judged(judge, keys):
            self.place(verdicts, gathered)
        return self._fates(gathered)

    def changed(self, entity: str, known: Mapping[str, Mapping[str, str | None] | None]) -> set[str]:
        """Which of these quarantined rows (key -> payload; None: purged) are no longer at the source as they were."""
        now = self.payloads(entity, list(known))
        same = {key for key, text in now.items() if known[key] is None or _object(text) == known[key]}
        return set(known) - same

    def payloads(self, entity: str, keys: Sequence[str]) -> dict[str, str]:
        """Key -> what the source's row holds now, as the quarantine keeps it; rows that are gone are missing."""
        judge, columns = self.plan.judge(entity), assign(self.plan, self.records[entity]).columns
        found: dict[str, str] = {}
        for batch in payloads(self.worker.reader, judge, columns, keys, "true"):
            found |= zip(batch["k"].to_pylist(), batch["payload"].to_pylist(), strict=True)
        return found

    def ids_made_of(self, judge: Judge, keys: Sequence[str], amendments: Sequence[Amendment]) -> pa.Table:
        """(k, made_of) of these rows: see plan.ids. What repairs put into the id itself counts."""
        if made_of(judge.entity) == NOTHING:
            return pa.table({"k": pa.array(keys, pa.string()), "made_of": pa.nulls(len(keys), pa.string())})
        parts = [judge.key.among(keys[at : at + KEYS]) for at in range(0, len(keys), KEYS)]
        read = f"select ({judge.key.sql})::text as k, {made_of(judge.entity)} as made_of from "
        found = [self.worker.reader.table(f"{read}{judge.entity.relation(p)} where {p}") for p in parts]
        told = pa.concat_tables(found)
        given = {a.key: a.value for a in amendments if a.column == judge.entity.id_column}
        if not given:
            return told
        values = [given.get(k, v) for k, v in zip(told["k"].to_pylist(), told["made_of"].to_pylist(), strict=True)]
        return pa.table({"k": told["k"], "made_of": pa.array(values, pa.string())})

    # -- what the judge needs ---------------------------------------------------------------------------------------

    def step(self, entity: str) -> Step:
        return next(s for s in self.plan.steps if entity in s.group.entities)

    def work(self, judge: Judge) -> Assignment:
        return replace(assign(self.plan, self.records[judge.entity.name]), judge=judge)

    def amended_judge(self, entity: str, amendments: Sequence[Amendment]) -> Judge:
        """An entity's judge that heeds what there is for its rows."""
        given = frozenset(a.column for a in amendments)
        if not given:
            return self.plan.judge(entity)
        if (entity, given) not in self._judges:
            step = self.step(entity)
            group = frozenset(step.group.entities) if step.group.cyclic else frozenset[str]()
            mapping = self.plan.mapping
            judge, _ = compile_entity(mapping.entity(entity), mapping, self.plan.knowledge, group, given)
            self._judges[entity, given] = judge
        return self._judges[entity, given]

    def prepare(self, step: Step, amendments: Iterable[Amendment]) -> None:
        """The fates of the parents, those of linked ones too, and the routes to them."""
        wanted = set(step.parents) | {a.parent_entity for a in amendments if a.parent_entity}
        ready = (step.number, tuple((p, self._told[p]) for p in sorted(wanted)))
        if ready == self._ready:
            return
        self._ready = None
        for judge in step.judges:
            self.need_keys(judge)
        self.tables.load_hops(step)
        self.load_fates(sorted(wanted))
        for judge in step.judges:
            self.clear_duplicates(judge)
        self.tables.build_routes(step)
        self._ready = ready

    def unsettle(self) -> None:
        """The routes of a step were built for some rows: they are to be built anew."""
        self._ready = None

    def need_keys(self, judge: Judge) -> None:
        """Once for a snapshot: the run asked on its own."""
        if judge.entity.name not in self._keyed:
            need_keys(judge, self.worker.reader)
            self._keyed.add(judge.entity.name)

    def clear_duplicates(self, judge: Judge) -> None:
        """Whether a value is there already the target alone is asked, as rows are written."""
        create_duplicates(self.duck, judge)

    def load_fates(self, parents: Iterable[str]) -> None:
        for parent in parents:
            judge = self.plan.judge(parent)
            load_from_ledger(self.duck, judge, self.records[parent].id, self.target)
            self.overlay(judge)

    def overlay(self, judge: Judge) -> None:
        """What became of rows since the fates were loaded."""
        if not (news := self.news.get(judge.entity.name)):
            return
        fates, (outcomes, ids, root_entities, root_keys) = (
            fate_table(judge.entity.name),
            zip(*news.values(), strict=True),
        )
        arriving = {
            "k": pa.array(list(news), pa.string()),
            "outcome": pa.array(outcomes, pa.string()),
            "uid": pa.array([uid and uid.bytes for uid in ids], pa.binary()),
            "root_entity": pa.array(root_entities, pa.string()),
            "root_key": pa.array(root_keys, pa.string()),
        }
        self.duck.register("arriving", pa.table(arriving))
        kind = judge.key.kind
        self.duck.execute(
            f"create or replace temp table told as select a.* replace (a.k::{kind} as k), f.named "
            f"from arriving a left join {fates} f on f.k = a.k::{kind}"
        )
        self.duck.execute(f"delete from {fates} where k in (select k from told)")
        self.duck.execute(f"insert into {fates} from told where outcome is not null")
        self.duck.unregister("arriving")

    # -- what is given ----------------------------------------------------------------------------------------------

    def give(self, judge: Judge, amendments: Sequence[Amendment]) -> None:
        """Fills the tables that the amended judge looks into."""
        references = {r.column for r in judge.entity.references}
        for column in judge.given:
            given = [a for a in amendments if a.column == column]
            if column in references:
                self._give_parents(judge, column, given)
            else:
                self._give_values(judge, column, given)

    def _give_parents(self, judge: Judge, column: str, given: Sequence[Amendment]) -> None:
        rows = pa.table(
            {
                "k": pa.array([a.key for a in given], pa.string()),
                "entity": pa.array([a.parent_entity for a in given], pa.string()),
                "parent": pa.array([a.parent_key for a in given], pa.string()),
                "uid": pa.array([a.parent_id.bytes if a.parent_id else None for a in given], pa.binary()),
            }
        )
        self.duck.register("arriving", rows)
        parents = sorted({a.parent_entity for a in given if a.parent_entity and a.parent_key is not None})
        none = "select null::varchar as entity, null::varchar as k, null::varchar as outcome, null::blob as uid, "
        fates = " union all ".join(
            [f"{none}null::varchar as root_entity, null::varchar as root_key where false"]
            + [
                f"select {literal(p)}, k::varchar, outcome, uid, root_entity, root_key from {fate_table(p)}"
                for p in parents
            ]
        )
        self.duck.execute(
            f"""create or replace table {given_table(judge.entity.name, column)} as
select a.k::{judge.key.kind} as k, a.entity as parent_entity, a.parent, coalesce(a.uid, f.uid) as uid,
       case when a.uid is not null or a.parent is null then null when f.k is null then 'dangling_reference'
            when f.outcome = 'excluded' then 'parent_excluded' when f.outcome = 'quarantined' then 'parent_quarantined' end as code,
       1 as hop, a.parent as seen, a.parent as candidate, f.root_entity, f.root_key, null::varchar as note
from arriving a left join ({fates}) f on f.entity = a.entity and f.k = a.parent"""
        )
        self.duck.unregister("arriving")

    def _give_values(self, judge: Judge, column: str, given: Sequence[Amendment]) -> None:
        target = need_column(self.plan.knowledge.target.tables[judge.entity.target], column)
        texts = sorted({a.value for a in given if a.value is not None})
        answers = self._asked(target, texts)
        codes: list[str | None] = []
        for a in given:
            must = Reason.NULL_IN_REQUIRED.value if target.not_null else None
            codes.append(must if a.value is None else answers[a.value][0])
        told = [
            answers.get(a.value or "", (None, None, None, None)) if a.value is not None else (None,) * 4 for a in given
        ]
        rows = pa.table(
            {
                "k": pa.array([a.key for a in given], pa.string()),
                "code": pa.array(codes, pa.string()),
                "evidence": pa.array([t[1] for t in told], pa.string()),
                "detail": pa.array([t[2] for t in told], pa.string()),
                "bytes": pa.array([t[3] for t in told], pa.binary()),
            }
        )
        self.duck.register("arriving", rows)
        self.duck.execute(
            f"create or replace table {given_table(judge.entity.name, column)} as "
            f"select * replace (k::{judge.key.kind} as k) from arriving"
        )
        self.duck.unregister("arriving")

    def _asked(
        self, target: Column, texts: Sequence[str]
    ) -> dict[str, tuple[str | None, str | None, str | None, bytes | None]]:
        """Text -> (code, evidence, detail, bytes): what the target makes of it."""
        kind = bare(target.type)
        is_json = kind.name in ("json", "jsonb")
        found = self.worker.ask(target.type, texts, is_json) if texts else []
        lead = b"\x01" if kind.name == "jsonb" else b""  # jsonb_recv: one version byte, then the text
        return {
            text: (_code(kind, a.code), a.evidence, a.detail, lead + text.encode() if is_json else a.data)
            for text, a in zip(texts, found, strict=True)
        }

    # -- the target -------------------------------------------------------------------------------------------------

    def place(self, verdicts: Verdicts, gathered: Gathered) -> None:
        """Writes a batch, down to the single rows that the target refuses."""
        place_carefully(self.worker.session, verdicts, gathered)

    def stage(self, step: Step, work: Mapping[str, Assignment]) -> AbstractContextManager[Stage]:
        """Where rows of a cyclic group wait until all of them are written."""
        return Stage(step, self.plan, self.worker.session, work)

    def written(self, work: Assignment, ids: Sequence[UUID]) -> dict[UUID, int]:
        """uuid -> the xmin of each of these rows."""
        return versions(self.worker.session, work.table.qualified, work.judge.entity.id_column, ids)

    def touched(self, work: Assignment, ids: Sequence[UUID]) -> set[int]:
        """The numbers under which triggers changed rows to which these refer."""
        return touched(self.worker.session, work, ids)

    # -- the belt ---------------------------------------------------------------------------------------------------

    def judged(self, judge: Judge, keys: Sequence[str]) -> Iterator[Verdicts]:
        return self.worker.judged_among(judge, keys, KEYS)

    def became(self, gathered: Gathered) -> Mended:
        news: dict[str, News] = {key: ("migrated", uid, None, None) for key, uid in gathered.home}
        news |= {key: ("merged", uid, entity, into) for key, (entity, into, uid) in gathered.into.items()}
        self.learn(gathered.work.judge.entity.name, news)
        return self._fates(gathered)

    def _fates(self, gathered: Gathered) -> Mended:
        work, ids = gathered.work, [uid for _, uid in gathered.home]
        written = self.written(work, ids)
        home = [Fate(key, uid, written[uid]) for key, uid in gathered.home]
        xids = {*written.values(), *(self.touched(work, ids) if work.table.triggers else ())}
        left = [Fate(key, left_for=code, merged=key in gathered.into) for key, code in gathered.left]
        return Mended([*home, *left], gathered.nulled, xids, gathered.why, gathered.rules, gathered.into)


def _code(kind: Type, code: Reason | None) -> str | None:
    """What the judge would say of a value that the target's type does not take."""
    if kind.kind == "e" and code is Reason.NOT_CONVERTIBLE:
        return Reason.NOT_IN_ENUM.value
    if kind.is_text and code is Reason.OUT_OF_RANGE:
        return Reason.TOO_LONG.value
    return code.value if code else None


def _object(text: str) -> dict[str, Any]:
    return dict(json.loads(text))
