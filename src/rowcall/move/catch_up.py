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
import pyarrow.compute as pc

from rowcall.ledger.book import NULLED_REFERENCE, ChunkRecord, EntityRecord
from rowcall.ledger.catch_ups import CHANGE, CatchUpBook
from rowcall.move import encode
from rowcall.move.assignment import assign
from rowcall.move.changes import Changes
from rowcall.move.fates import keep_back
from rowcall.move.forecast import Forecast
from rowcall.move.gathered import Gathered, Rejected
from rowcall.move.group import into_stage
from rowcall.move.guards import need_rows
from rowcall.move.halving import by_halves
from rowcall.move.mend import KEYS
from rowcall.move.merging import Merging
from rowcall.move.removal import Removal
from rowcall.move.rewrite import rewrite
from rowcall.move.savepoints import ours
from rowcall.move.settle import Chapter, place_carefully, refusal_rejection
from rowcall.move.stage import RowsFound, Stage
from rowcall.move.verdicts import REJECTED, Verdicts, rejected_rows
from rowcall.move.worker import Worker
from rowcall.plan.chunks import Span
from rowcall.plan.judge import Judge
from rowcall.plan.plan import Plan
from rowcall.plan.step import Step
from rowcall.postgres.copy import Refusal, copy_in, insert
from rowcall.progress import Meter, OnProgress
from rowcall.sql import ident, literal, qualified


class _Fell(Exception):
    """Rows of a cyclic group fell: those that need them are to be judged without them."""


class _Torn(Exception):
    """Rows of a cyclic group that were written by half."""

    def __init__(self, rows: Sequence[tuple[Judge, dict[str, str]]]) -> None:
        self.rows = rows
        super().__init__(f"{len(rows)} entities")


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
       case when now = 'migrated' and was = 'migrated' and same then 'book'
            when now = 'migrated' and (was = 'migrated' or gone is not null) then 'update'
            when now = 'migrated' then 'insert'
            when now is null and (was = 'migrated' or gone is not null) then '{gone}'
            when was <> 'quarantined' and held = 'repaired' and now = 'quarantined' then 'compare'
            when was = 'migrated' or gone is not null then 'remove'
            else 'book' end as what
from {changed} where now is not null or gone is null or '{gone}' = 'remove' or ('{gone}' = 'mark' and gone = 'kept')"""
_GONE = {"keep": "leave", "delete": "remove", "mark": "mark"}
_ENCODERS = ("int2", "text", "text", "text", "text", "text", "text", "int8", "text")


class CatchUp:
    """Over a worker whose session is in a transaction, and whose workspace has the changes. `snapshot` is the ledger's number of
    what was read, `taken_at` its time."""

    def __init__(
        self, plan: Plan, worker: Worker, records: Mapping[str, EntityRecord], judged: Forecast, snapshot: int,
        taken_at: datetime, on_progress: OnProgress, overwrite: bool,
    ) -> None:  # fmt: skip
        self.plan, self.worker, self.records = plan, worker, records
        self.tables, self.rejected = judged.tables, judged.rejected or {}
        self.unfound = judged.watch.unfound if judged.watch else {}
        self.snapshot, self.taken_at, self.on_progress = snapshot, taken_at, on_progress
        self.overwrite = overwrite
        self.session, self.duck = worker.session, worker.duck
        self.book = CatchUpBook(self.session)
        self.fell: dict[str, list[pa.Table]] = {}  # entity -> rows that cannot migrate after all, as verdicts.REJECTED
        self.nulled: dict[str, list[memoryview]] = {}
        self.merging = Merging(plan, self.duck, self.book, records)

    def __call__(self) -> int:
        """Its number in the book."""
        self.session.execute("set constraints all immediate")
        # A policy that hides rows from us would hide who refers to rows that are to go: an error is better.
        self.session.execute("set local row_security = off")
        self.number = self.book.next()
        self.chunks = int(self.book.rows("next_chunk")[0][0])  # of the new rows: one for each entity
        self.book.do("begin", self.number, self.snapshot, self.taken_at)
        self._send()
        removal = Removal(self.session, list(self.records.values()))
        removal.look(overwrite=self.overwrite)
        removal.remove()
        for judge in self._judges():
            self._mark(judge)
        for step in self.plan.steps:
            self._step(step)
        removal.remove(last=True)
        for judge in self._judges():
            self._unmark(judge)
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
            self.book.do("marks", entity=record.id)
            need_rows(self.book, judge, record.id)
        self.book.do("index")

    def _keys(self, judge: Judge, what: str) -> list[str]:
        return [key for (key,) in self.book.rows("keys", self._record(judge).id, what)]

    def _judged(self, judge: Judge, keys: Sequence[str]) -> Iterator[Verdicts]:
        meter = Meter(self.on_progress, "run", judge.entity.name, len(keys)) if keys else None
        for verdicts in self.worker.judged_among(judge, keys, KEYS):
            yield verdicts
            if meter:
                meter.add(verdicts.counts.source)

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
        if step.group.cyclic:
            self._circle(step)
            return
        for judge in step.judges:
            self._update(judge)
            self._insert(judge)

    def _circle(self, step: Step) -> None:
        """As often as a row turns out to take one half of its columns and not the other: it stays as it was."""
        while True:
            fell = {name: list(tables) for name, tables in self.fell.items()}
            nulled = {name: list(blocks) for name, blocks in self.nulled.items()}
            try:
                with self.session.transaction():
                    self._halves(step)
                return
            except _Torn as torn:
                after, self.fell, self.nulled = self.fell, fell, nulled
                for judge, why in torn.rows:
                    keys, own = pa.array(list(why), pa.string()), self.fell.setdefault(judge.entity.name, [])
                    found = after.get(judge.entity.name, [])[len(own) :]
                    own += [table.filter(pc.is_in(table["key"], value_set=keys)) for table in found]
                    self.book.do("keep", "refused", list(why), list(why.values()), self._record(judge).id)
            self.tables.build(step.judges)

    def _halves(self, step: Step) -> None:
        within = {j.entity.name: _within(step, j) for j in step.judges}
        for judge in step.judges:
            self._update(judge, without=within[judge.entity.name])
        self._insert_together(step)
        left = [(judge, self._update(judge, only=within[judge.entity.name])) for judge in step.judges]
        if torn := [(judge, why) for judge, why in left if why]:
            raise _Torn(torn)

    def _update(
        self, judge: Judge, only: frozenset[str] | None = None, without: frozenset[str] = frozenset()
    ) -> dict[str, str]:
        """Key -> why, of the rows that stay as they are."""
        gathered, keys = self._gathered(judge), self._keys(judge, UPDATE)
        if not keys:
            return {}
        nulled: list[tuple[str, dict[str, Any]]] = []
        columns = [o.column for o in judge.outputs if o.column not in without and (only is None or o.column in only)]
        refused = rewrite(self.session, gathered.work, self._sound(judge, keys, gathered, nulled), columns)
        if refused:
            why = [refusal.evidence for refusal in refused.values()]
            self.book.do("keep", "refused", list(refused), why, self._record(judge).id)
        taken = [(key, link) for key, link in nulled if key not in refused]
        if taken and only is None:  # the other half told them
            self.nulled.setdefault(judge.entity.name, []).append(gathered.links(taken))
        fell = {told.key: str(_rejected(told)["code"]) for told in gathered.why}
        self._learn(gathered, judge, stay=True)
        return fell | {key: refusal.evidence for key, refusal in refused.items()}

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

    def _learn(self, gathered: Gathered, judge: Judge, *, stay: bool = False) -> None:
        """Rows that fell: their children are to know it, but for those that `stay` in the target as they were."""
        if not gathered.why:
            return
        rows = [_rejected(told) for told in gathered.why]
        self.book.do("fall", [r["key"] for r in rows], [r["code"] for r in rows], self._record(judge).id)
        table = rejected_rows(rows)
        self.fell.setdefault(judge.entity.name, []).append(table)
        if stay or judge.entity.name not in self.plan.parents:
            return
        keep_back(self.duck, judge, table)
        for behind, victims in self.merging.behind(judge.entity.name, rows):
            self.book.do("fall_behind", victims["key"].to_pylist(), entity=self._record(behind).id)
            self.fell.setdefault(behind.entity.name, []).append(victims)
            if behind.entity.name in self.plan.parents:
                keep_back(self.duck, behind, victims)

    def _mark(self, judge: Judge) -> None:
        """Marks the rows that the source has deleted."""
        record, column = self._record(judge), judge.entity.deleted.column
        if column is None:
            return
        kind = next(c.type for c in self.plan.knowledge.target.tables[record.target_table].columns if c.name == column)
        value = "true" if kind.name == "bool" else f"{literal(self.taken_at.isoformat())}::timestamptz"
        refused = self._put(judge, column, value, self.book.rows("to_mark", entity=record.id))
        if refused:
            why = [refusal.evidence for refusal in refused.values()]
            self.book.do("keep", "refused", [key for _, key in refused], why, record.id)

    def _unmark(self, judge: Judge) -> None:
        """Takes the mark from rows that are back."""
        number = self._record(judge).id
        for (column,) in self.book.rows("marked_in", entity=number):
            self._put(judge, column, "default", self.book.rows("to_unmark", column, entity=number))

    def _put(
        self, judge: Judge, column: str, value: str, rows: Sequence[tuple[Any, ...]]
    ) -> dict[tuple[Any, ...], Refusal]:
        """Sets a column of rows (uuid, key); those that the target refuses, with why."""
        table, own = self._record(judge).target_table, ident(judge.entity.id_column)
        sql = f"update {qualified(table)} set {ident(column)} = {value} where {own} = any(".replace("%", "%%") + "%s)"
        return by_halves(self.session, rows, lambda some: insert(self.session, sql, table, [[uid for uid, _ in some]]))

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
        book.do("reopen", entity=number)
        rejected = len(changed) + book.do("quarantine_new", entity=number)
        book.do("forget_nulled", entity=number)
        self.merging.note(judge)
        if blocks := self.nulled.get(judge.entity.name):
            copy_in(self.session, "rowcall.nulled_reference", NULLED_REFERENCE, blocks)
        book.do("chunk_sums", entity=number)
        book.do("expect", entity=number)
        book.do("gone_back", entity=number)
        book.do("gone", judge.entity.deleted.column, self.number, entity=number)
        book.do("forget_edits", entity=number)
        book.do("kept_back", entity=number)
        book.do("kept", self.number, entity=number)
        if unfound := self.unfound.get(judge.entity.name):
            book.do("unfound", self.number, unfound, entity=number)
        book.do("note", self.number, rejected, entity=number)

    def _quarantine(self, judge: Judge) -> None:
        """All that is quarantined now, with its payload, beside the quarantine."""
        found = self.rejected.get(judge.entity.name, []) + self.fell.get(judge.entity.name, [])
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
