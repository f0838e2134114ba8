"""A later run's writing: what changed since is taken up in the target and in the ledger, in the caller's transaction.

The rows that are to change are locked first; one that somebody changed since rowcall wrote it stays as it is, and is told. Then:
rows go to which nothing refers that stays, children first; rows are updated and inserted, parents first; rows go to which nothing
refers any more; the ledger follows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from rowcall.ledger.book import NULLED_REFERENCE, ChunkRecord, EntityRecord
from rowcall.ledger.catch_ups import CHANGE, CatchUpBook
from rowcall.move import encode
from rowcall.move.assignment import assign
from rowcall.move.belt import Tables
from rowcall.move.changes import Changes
from rowcall.move.gathered import Gathered, Rejected
from rowcall.move.group import into_stage
from rowcall.move.mend import KEYS
from rowcall.move.removal import Removal
from rowcall.move.rewrite import rewrite
from rowcall.move.savepoints import ours
from rowcall.move.settle import Chapter, place_carefully, refusal_rejection
from rowcall.move.stage import RowsFound, Stage
from rowcall.move.verdicts import REJECTED, Verdicts, rejected_rows
from rowcall.move.worker import Worker
from rowcall.plan.chunks import Span
from rowcall.plan.judge import Judge
from rowcall.plan.paths import fate_table
from rowcall.plan.plan import Plan
from rowcall.plan.step import Step
from rowcall.postgres.copy import Refusal, copy_in
from rowcall.progress import Meter, OnProgress
from rowcall.sql import ident, literal, qualified


class _Fell(Exception):
    """Rows of a cyclic group fell: those that need them are to be judged without them."""


class _Gathered(Gathered):
    """What the target refuses is told as in a run."""

    def told(self, refusal: Refusal) -> dict[str, Any]:
        return refusal_rejection(refusal)


SENT = 50_000  # changes at a time
INSERT, UPDATE = "insert", "update"
# The keys of what a change does with the row in the target, see ledger/catch_ups.sql. {gone}: what the mapping says of a row that
# the source has deleted.
_WHAT = """
select {n}::smallint as entity, key, was, held, gone, now, cause, row_hash,
       case when now = 'migrated' and (was = 'migrated' or gone is not null) then 'update'
            when now = 'migrated' then 'insert'
            when now is null and (was = 'migrated' or gone is not null) then '{gone}'
            when was = 'migrated' and held = 'repaired' and now = 'quarantined' then 'compare'
            when was = 'migrated' or gone is not null then 'remove'
            else 'book' end as what
from {changed} where now is not null or gone is null or '{gone}' = 'remove' or ('{gone}' = 'mark' and gone = 'kept')"""
_GONE = {"keep": "leave", "delete": "remove", "mark": "mark"}
_ENCODERS = ("int2", "text", "text", "text", "text", "text", "text", "int8", "text")


class CatchUp:
    """Over a worker whose session is in a transaction, and whose workspace has the changes. `snapshot` is the ledger's number of
    what was read, `taken_at` its time."""

    def __init__(
        self, plan: Plan, worker: Worker, changes: Changes, tables: Tables, snapshot: int, taken_at: datetime,
        on_progress: OnProgress,
    ) -> None:  # fmt: skip
        self.plan, self.worker, self.changes, self.tables = plan, worker, changes, tables
        self.records = changes.records
        self.parents = {p for step in plan.steps for j in step.judges for p in j.parents}
        self.snapshot, self.taken_at, self.on_progress = snapshot, taken_at, on_progress
        self.session, self.duck = worker.session, worker.duck
        self.book = CatchUpBook(self.session)
        self.fell: dict[str, list[pa.Table]] = {}  # entity -> rows that cannot migrate after all, as verdicts.REJECTED
        self.nulled: dict[str, list[memoryview]] = {}

    def __call__(self) -> int:
        """Its number in the book."""
        self.session.execute("set constraints all immediate")
        self.number = self.book.next()
        self.chunks = int(self.book.rows("next_chunk")[0][0])  # of the new rows: one for each entity
        self.book.do("begin", self.number, self.snapshot, self.taken_at)
        self._send()
        removal = Removal(self.session, list(self.records.values()))
        removal.look()
        removal.remove()
        for step in self.plan.steps:
            self._step(step)
        removal.remove(last=True)
        for judge in self._judges():
            self._mark(judge)
        for judge in self._judges():
            self._note(judge)
        self.book.add_xids(self.number, ours(self.session, self._versions()))
        return self.number

    def _judges(self) -> Iterator[Judge]:
        return (judge for step in self.plan.steps for judge in step.judges)

    def _record(self, judge: Judge) -> EntityRecord:
        return self.records[judge.entity.name]

    # -- the changes ------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        """The changes, to the target's session."""
        self.book.do("create")
        for judge in self._judges():
            record = self._record(judge)
            gone = _GONE[judge.entity.deleted.choice]
            found = self.duck.sql(_WHAT.format(n=record.id, gone=gone, changed=Changes.table(record)))
            blocks = (
                encode.rows([encode.payload(c, e) for c, e in zip(b.columns, _ENCODERS, strict=True)], b.num_rows)
                for b in found.to_arrow_reader(SENT)
            )
            copy_in(self.session, "rowcall_change", CHANGE, blocks)
            self.book.do("ids", entity=record.id)
        self.book.do("index")

    def _keys(self, judge: Judge, what: str) -> list[str]:
        return [key for (key,) in self.book.rows("keys", self._record(judge).id, what)]

    def _judged(self, judge: Judge, keys: Sequence[str]) -> Iterator[Verdicts]:
        meter = Meter(self.on_progress, "run", judge.entity.name, len(keys)) if keys else None
        for at in range(0, len(keys), KEYS):
            yield from self.worker.judged_whole(judge, judge.key.among(keys[at : at + KEYS]))
            if meter:
                meter.add(len(keys[at : at + KEYS]))

    def _gathered(self, judge: Judge) -> Gathered:
        work = assign(self.plan, self._record(judge))
        return _Gathered(work, ChunkRecord(self._chunk(judge), judge.entity.name, Span(), "planned", 0, None))

    def _chunk(self, judge: Judge) -> int:
        """The number of the chunk of an entity's new rows."""
        return self.chunks + self._record(judge).id

    # -- the target -------------------------------------------------------------------------------------------------

    def _step(self, step: Step) -> None:
        """Rows first give up the unique values that new ones take. Those of a cyclic group may need new ones, too: what they
        refer to within the group comes last."""
        if self.fell:  # what was judged with them as parents is judged without them
            self.tables.build(step.judges)
        for judge in step.judges if not step.group.cyclic else ():
            self._update(judge)
            self._insert(judge)
        if step.group.cyclic:
            within = {j.entity.name: _within(step, j) for j in step.judges}
            for judge in step.judges:
                self._update(judge, without=within[judge.entity.name])
            self._insert_together(step)
            for judge in step.judges:
                self._update(judge, only=within[judge.entity.name])

    def _update(self, judge: Judge, only: frozenset[str] | None = None, without: frozenset[str] = frozenset()) -> None:
        gathered, keys = self._gathered(judge), self._keys(judge, UPDATE)
        if not keys:
            return
        nulled: list[tuple[str, dict[str, Any]]] = []
        columns = [o.column for o in judge.outputs if o.column not in without and (only is None or o.column in only)]
        refused = rewrite(self.session, gathered.work, self._sound(judge, keys, gathered, nulled), columns)
        if refused:
            why = [refusal.evidence for refusal in refused.values()]
            self.book.do("keep", "refused", list(refused), why, self._record(judge).id)
        taken = [(key, link) for key, link in nulled if key not in refused]
        if taken and only is None:  # the other half told them
            self.nulled.setdefault(judge.entity.name, []).append(gathered.links(taken))
        self._learn(gathered, judge)

    def _sound(
        self, judge: Judge, keys: Sequence[str], gathered: Gathered, nulled: list[tuple[str, dict[str, Any]]]
    ) -> Iterator[Verdicts]:
        for verdicts in self._judged(judge, keys):
            gathered.reject(verdicts.rejected)
            nulled += verdicts.conceded()
            yield verdicts

    def _insert(self, judge: Judge) -> None:
        gathered, keys = self._gathered(judge), self._keys(judge, INSERT)
        for verdicts in self._judged(judge, keys):
            place_carefully(self.session, verdicts, gathered)
        self._learn(gathered, judge)
        self._bring_home(gathered, judge)

    def _insert_together(self, step: Step) -> None:
        """A cyclic group's rows enter in one statement; whoever needs one that does not falls, too, until nobody does."""
        while True:
            gathered = {j.entity.name: self._gathered(j) for j in step.judges}
            try:
                with self.session.transaction():
                    self._stage(step, gathered)
                break
            except RowsFound as found:
                for judge in step.judges:
                    own = {key: r for (name, key), r in found.refused.items() if name == judge.entity.name}
                    gathered[judge.entity.name].refuse(own)
                    self._learn(gathered[judge.entity.name], judge)
            except _Fell:
                for judge in step.judges:
                    self._learn(gathered[judge.entity.name], judge)
            self.tables.build(step.judges)
        for judge in step.judges:
            self._bring_home(gathered[judge.entity.name], judge)

    def _stage(self, step: Step, gathered: Mapping[str, Gathered]) -> None:
        work = {name: told.work for name, told in gathered.items()}
        with Stage(step, self.plan, self.session, work) as stage:
            for judge in step.judges:
                for verdicts in self._judged(judge, self._keys(judge, INSERT)):
                    into_stage(verdicts, gathered[judge.entity.name], {}, stage)
            if any(told.why for told in gathered.values()):
                raise _Fell
            stage.flush()

    def _bring_home(self, gathered: Gathered, judge: Judge) -> None:
        keys, ids = [key for key, _ in gathered.home], [uid for _, uid in gathered.home]
        self.book.do("home", keys, ids, self._record(judge).id)
        self.nulled.setdefault(judge.entity.name, []).extend(gathered.nulled)

    def _learn(self, gathered: Gathered, judge: Judge) -> None:
        """Rows that fell: their children are to know it."""
        if not gathered.why:
            return
        rows = [_rejected(told) for told in gathered.why]
        self.book.do("fall", [r["key"] for r in rows], [r["code"] for r in rows], self._record(judge).id)
        table = rejected_rows(rows)
        self.fell.setdefault(judge.entity.name, []).append(table)
        self.duck.register("arriving", table)
        fates = fate_table(judge.entity.name)
        if judge.entity.name in self.parents:
            self.duck.execute(
                f"update {fates} f set outcome = 'quarantined', root_entity = a.root_entity, root_key = a.root_key "
                f"from arriving a where f.k = a.key::{judge.key.kind}"
            )
        self.duck.unregister("arriving")

    def _mark(self, judge: Judge) -> None:
        """Marks the rows that the source has deleted, and takes the mark from those that are back."""
        record, column = self._record(judge), judge.entity.deleted.column
        if column is None:
            return
        kind = next(c.type for c in self.plan.knowledge.target.tables[record.target_table].columns if c.name == column)
        value = "true" if kind.name == "bool" else f"{literal(self.taken_at.isoformat())}::timestamptz"
        for given, which in ((value, "what = 'mark'"), ("default", "what = 'update' and c.gone = 'marked'")):
            self.session.execute(
                f"update {qualified(record.target_table)} t set {ident(column)} = {given} from rowcall_change c "
                f"where c.entity = {record.id} and c.{which} and c.kept is null and t.{ident(record.id_column)} = c.target_id"
            )

    # -- the ledger -------------------------------------------------------------------------------------------------

    def _note(self, judge: Judge) -> None:
        """Lines, quarantine and sums of an entity."""
        number, book = self._record(judge).id, self.book
        self._quarantine(judge)
        book.do("add_chunk", self._chunk(judge), self.snapshot, entity=number)
        book.do("lines_gone", entity=number)
        book.do("lines_changed", entity=number)
        book.do("lines_new", self._chunk(judge), entity=number)
        book.do("forget_repairs", entity=number)
        book.do("quarantine_gone", entity=number)
        changed = book.rows("quarantine_changed", entity=number)
        if repaired := [key for key, mended in changed if mended]:
            book.do("keep", "repaired", repaired, [None] * len(repaired), number)
        rejected = len(changed) + book.do("quarantine_new", entity=number)
        book.do("forget_nulled", entity=number)
        if blocks := self.nulled.get(judge.entity.name):
            copy_in(self.session, "rowcall.nulled_reference", NULLED_REFERENCE, blocks)
        book.do("chunk_sums", entity=number)
        book.do("expect", entity=number)
        book.do("gone_back", entity=number)
        book.do("gone", self.number, entity=number)
        book.do("kept_back", entity=number)
        book.do("kept", self.number, entity=number)
        book.do("note", self.number, rejected, entity=number)

    def _quarantine(self, judge: Judge) -> None:
        """All that is quarantined now, with its payload, beside the quarantine."""
        found = self.changes.rejected.get(judge.entity.name, []) + self.fell.get(judge.entity.name, [])
        chapter = Chapter(assign(self.plan, self._record(judge)), self._gathered(judge).chunk)
        for table in found:
            chapter.quarantine(table.cast(REJECTED))
        chapter.write_quarantine(self.session, self.worker.reader, "rowcall_rejected")
        self.session.execute("analyze rowcall_rejected")

    def _versions(self) -> set[int]:
        """The numbers under which rows stand that may be ours: of the changed rows, and where triggers fire of all."""
        tables, found = self.plan.knowledge.target.tables, set[int]()
        fired = any(tables[r.target_table].triggers for r in self.records.values())
        for r in self.records.values():
            among = f" where t.{ident(r.id_column)} in (select target_id from rowcall_change where entity = {r.id})"
            sql = f"select distinct xmin::text::bigint from {qualified(r.target_table)} t"
            found |= {x for (x,) in self.session.rows(sql + ("" if fired else among))}
        return found


def _within(step: Step, judge: Judge) -> frozenset[str]:
    """The columns that refer to rows of the entity's own cyclic group."""
    return frozenset(
        r.column for r in judge.entity.references if any(route.to in step.group.entities for route in r.routes)
    )


def _rejected(told: Rejected) -> dict[str, Any]:
    """A row that fell, as verdicts have it."""
    first: dict[str, Any] = json.loads(told.rejections)[0]
    return first | vars(told)
