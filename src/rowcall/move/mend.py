"""The amending leg at the head of the belt: quarantined rows are read and judged again with what repairs put into them, and those
that are sound now enter the target as any row does: judged by the same query, encoded by the same encoders.

All of it happens in the caller's transaction on the worker's session, so that a trial is the same work and a ROLLBACK.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import pyarrow as pa

from rowcall.ledger.book import ChunkRecord, EntityRecord
from rowcall.ledger.repairs import Fate
from rowcall.mapping.model import Entity
from rowcall.move.assignment import Assignment, assign
from rowcall.move.belt import Tables
from rowcall.move.duplicates import create_duplicates
from rowcall.move.fates import load_from_ledger, load_hops
from rowcall.move.reading import payloads
from rowcall.move.savepoints import touched, versions
from rowcall.move.settle import Chapter, place_carefully, refusal_rejection
from rowcall.move.verdicts import Verdicts, rejected_rows
from rowcall.move.worker import Worker
from rowcall.plan.chunks import Span
from rowcall.plan.compile import compile_entity
from rowcall.plan.given import given_table
from rowcall.plan.judge import Judge, out_name
from rowcall.plan.keys import bare, need_column
from rowcall.plan.knowledge import Knowledge
from rowcall.plan.paths import HopTable, fate_table
from rowcall.plan.plan import Plan
from rowcall.plan.step import Step
from rowcall.postgres.copy import Refusal
from rowcall.postgres.read import ComputationFailed, Reader
from rowcall.rows import Amendment, Reason
from rowcall.schema import Column, Type

KEYS = 5_000  # rows mended at a time


@dataclass(frozen=True)
class Rejected:
    """Why a row is still rejected, as the quarantine takes it. It holds values: no log, no repr."""

    key: str
    rejections: str = field(repr=False)
    root_entity: str
    root_key: str = field(repr=False)
    parent_entity: str | None
    parent_key: str | None = field(repr=False)


@dataclass
class Mended:
    """What became of rows: `fates` of those that were judged, the references that became NULL among those that came home (rows of
    COPY), every number (low 32 bits) under which something was written, and of the others why they are rejected or excluded."""

    fates: list[Fate] = field(default_factory=list)
    nulled: list[memoryview] = field(default_factory=list)
    xids: set[int] = field(default_factory=set)
    rejected: list[Rejected] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)  # key -> rule

    @property
    def home(self) -> list[Fate]:
        return [fate for fate in self.fates if fate.target_id is not None]


class Mender:
    """Over one worker, whose session is in a transaction. What came home in it is remembered, for the ledger as others see it does
    not have it yet: `home` (entity -> key -> uuid)."""

    def __init__(self, plan: Plan, worker: Worker, target: Reader, records: Mapping[str, EntityRecord]) -> None:
        self.plan, self.worker, self.target, self.records = plan, worker, target, records
        self.duck = worker.duck
        self.tables = Tables(plan, worker)
        self.home: dict[str, dict[str, UUID]] = {}
        self._judges: dict[tuple[str, frozenset[str]], Judge] = {}
        self._ready: tuple[Any, ...] | None = None

    def forget(self) -> None:
        """The transaction is over: the ledger has what came home in it, or it was taken back."""
        self.home, self._ready = {}, None

    def mend(self, entity: str, keys: Sequence[str], amendments: Sequence[Amendment]) -> Mended:
        """Judges these rows of an entity anew, with the amendments that there are for them, and writes those that are sound."""
        judge = self._judge(entity, frozenset(a.column for a in amendments))
        self._prepare(entity, {a.parent_entity for a in amendments if a.parent_entity})
        self._give(judge, amendments)
        work = replace(assign(self.plan, self.records[entity]), judge=judge)
        gathered = Gathered(work, ChunkRecord(0, entity, Span(), "planned", 0, None))
        for verdicts in self._judged(judge, keys):
            self.place(verdicts, gathered)
        return self._became(work, gathered)

    def create(
        self, derived: Entity, know: Knowledge, keys: Sequence[str], amendments: Sequence[Amendment] = ()
    ) -> Mended:
        """Writes rows of an entity that stands beside the mapping, made of these source rows, with what is given for them; none
        of them gets a line."""
        given = frozenset(a.column for a in amendments)
        judge, hops = compile_entity(derived, self.plan.mapping, know, frozenset(), given)
        for name, hop in hops.items():
            known = self.plan.hop_tables.get(name)
            both = HopTable(name, (known.reads if known else {}) | hop.reads)
            self.tables.digests[name] = load_hops(self.duck, both, self.worker.reader)
        self._ready = None
        self.load_fates({*judge.parents, *(a.parent_entity for a in amendments if a.parent_entity)})
        create_duplicates(self.duck, judge)
        self._give(judge, amendments)
        self.tables.build([judge])
        table = know.target.tables[derived.target]
        inner = tuple(k for k in table.foreign_keys if k.table in {e.target for e in self.plan.mapping.entities})
        work = Assignment(judge, 0, (), table, inner, True)
        gathered = Gathered(work, ChunkRecord(0, derived.name, Span(), "planned", 0, None))
        for verdicts in self._judged(judge, keys):
            self.place(verdicts, gathered)
        return self._fates(work, gathered)

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

    # -- what the judge needs ---------------------------------------------------------------------------------------

    def step(self, entity: str) -> Step:
        return next(s for s in self.plan.steps if entity in s.group.entities)

    def _judge(self, entity: str, given: frozenset[str]) -> Judge:
        if not given:
            return self.plan.judge(entity)
        if (entity, given) not in self._judges:
            step = self.step(entity)
            group = frozenset(step.group.entities) if step.group.cyclic else frozenset[str]()
            mapping = self.plan.mapping
            judge, _ = compile_entity(mapping.entity(entity), mapping, self.plan.knowledge, group, given)
            self._judges[entity, given] = judge
        return self._judges[entity, given]

    def _prepare(self, entity: str, linked: Iterable[str]) -> None:
        """The fates of the parents, those of linked ones too, and the routes to them."""
        step = self.step(entity)
        wanted = {p for j in step.judges for p in j.parents} | set(linked)
        ready = (step.number, tuple((p, len(self.home.get(p, ()))) for p in sorted(wanted)))
        if ready == self._ready:
            return
        self._ready = None
        self.tables.load_hops(step)
        self.load_fates(sorted(wanted))
        for judge in step.judges:
            self.clear_duplicates(judge)
        self.tables.build_routes(step)
        self._ready = ready

    def clear_duplicates(self, judge: Judge) -> None:
        """Whether a value is there already the target alone is asked, as rows are written."""
        create_duplicates(self.duck, judge)

    def load_fates(self, parents: Iterable[str]) -> None:
        for parent in parents:
            judge = self.plan.judge(parent)
            load_from_ledger(self.duck, judge, self.records[parent].id, self.target)
            self.overlay(judge)

    def overlay(self, judge: Judge) -> None:
        if home := self.home.get(judge.entity.name):
            arriving = pa.table({"k": list(home), "uid": [uid.bytes for uid in home.values()]})
            self.duck.register("arriving", arriving)
            self.duck.execute(
                f"update {fate_table(judge.entity.name)} f set outcome = 'migrated', uid = a.uid, root_entity = null, "
                f"root_key = null from arriving a where f.k = a.k::{judge.key.kind}"
            )
            self.duck.unregister("arriving")

    # -- what is given ----------------------------------------------------------------------------------------------

    def _give(self, judge: Judge, amendments: Sequence[Amendment]) -> None:
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
            + [f"select '{p}', k::varchar, outcome, uid, root_entity, root_key from {fate_table(p)}" for p in parents]
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

    def written(self, work: Assignment, ids: Sequence[UUID]) -> dict[UUID, int]:
        """uuid -> the xmin of each of these rows."""
        return versions(self.worker.session, work.table.qualified, work.judge.entity.id_column, ids)

    def touched(self, work: Assignment, ids: Sequence[UUID]) -> set[int]:
        """The numbers under which triggers changed rows to which these refer."""
        return touched(self.worker.session, work, ids)

    # -- the belt ---------------------------------------------------------------------------------------------------

    def _judged(self, judge: Judge, keys: Sequence[str]) -> Iterator[Verdicts]:
        for at in range(0, len(keys), KEYS):
            among = judge.key.among(keys[at : at + KEYS])
            try:
                judged = list(self.worker.judged_where(judge, among))
            except ComputationFailed:
                judged = list(self.worker.judged_where(judge, among, carefully=True))
            yield from judged

    def _became(self, work: Assignment, gathered: Gathered) -> Mended:
        self.home.setdefault(work.judge.entity.name, {}).update(gathered.home)
        return self._fates(work, gathered)

    def _fates(self, work: Assignment, gathered: Gathered) -> Mended:
        ids = [uid for _, uid in gathered.home]
        written = self.written(work, ids)
        home = [Fate(key, uid, written[uid]) for key, uid in gathered.home]
        xids = {*written.values(), *(self.touched(work, ids) if work.table.triggers else ())}
        left = [Fate(key, left_for=code) for key, code in gathered.left]
        return Mended([*home, *left], gathered.nulled, xids, gathered.why, gathered.rules)


@dataclass
class Gathered(Chapter):
    """Which rows came home under which uuid, and for what the others were left."""

    home: list[tuple[str, UUID]] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)
    why: list[Rejected] = field(default_factory=list)
    rules: dict[str, str] = field(default_factory=dict)

    def add(self, verdicts: Verdicts) -> None:
        ids = verdicts.accepted[out_name(self.work.judge.entity.id_column)]
        self.home += zip(verdicts.accepted_keys, (UUID(bytes=uid) for uid in ids.to_pylist()), strict=True)
        self._reject(verdicts.rejected)
        excluded = verdicts.excluded
        rules = dict(zip(map(str, excluded["k"].to_pylist()), excluded["excluded"].to_pylist(), strict=True))
        self.rules |= rules
        self.left += rules.items()
        if conceded := list(verdicts.conceded()):
            self.nulled.append(self._nulled(conceded))

    def add_refused(self, verdicts: Verdicts, refused: dict[int, Refusal]) -> None:
        keys = verdicts.accepted_keys
        self.add(verdicts.without(refused))
        entity = self.work.judge.entity.name
        rows = [_refused(self.work, entity, keys[place], refusal) for place, refusal in refused.items()]
        self._reject(rejected_rows(rows))

    def _reject(self, rows: Any) -> None:
        for row in rows.to_pylist():
            self.left.append((row["key"], row["code"]))
            whose = (row[name] for name in ("root_entity", "root_key", "parent_entity", "parent_key"))
            self.why.append(Rejected(row["key"], row["rejections"], *whose))


def _refused(work: Assignment, entity: str, key: str, refusal: Refusal) -> dict[str, Any]:
    """A row that the target refused. A value that another row has is a duplicate: here the target alone is asked."""
    told = refusal_rejection(refusal)
    unique = next((u for u in work.table.uniques if u.name == refusal.constraint), None)
    if refusal.sqlstate == "23505" and unique is not None:
        told |= {"code": Reason.DUPLICATE_KEY.value, "evidence": ", ".join(unique.columns)}
        told |= dict.fromkeys(("detail", "parent_entity", "parent_key"))  # as the judge says it
    rejections = json.dumps([told], ensure_ascii=False)
    return told | {"key": key, "root_entity": entity, "root_key": key, "rejections": rejections}


def _code(kind: Type, code: Reason | None) -> str | None:
    """What the judge would say of a value that the target's type does not take."""
    if kind.kind == "e" and code is Reason.NOT_CONVERTIBLE:
        return Reason.NOT_IN_ENUM.value
    if kind.is_text and code is Reason.OUT_OF_RANGE:
        return Reason.TOO_LONG.value
    return code.value if code else None


def _object(text: str) -> dict[str, Any]:
    return dict(json.loads(text))
