"""A cyclic group, settled as one transaction: its rows wait in temporary tables and enter the target in ONE statement.

Postgres checks foreign keys when a statement ends, so that neither a self reference nor a cycle of required references needs
an order, a deferrable constraint or a constraint taken away.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from rowcall.errors import TargetRefused
from rowcall.ledger.book import ChunkRecord, EntityRecord, Ledger
from rowcall.move.assignment import assign
from rowcall.move.savepoints import note_savepoints
from rowcall.move.settle import REKEYED, SWALLOWED, Chapter, refusal_rejection
from rowcall.move.worker import Worker, persistently
from rowcall.plan.judge import Judge
from rowcall.plan.plan import Plan
from rowcall.plan.step import Step
from rowcall.postgres.copy import Refusal, RowsRefused, copy_in, insert
from rowcall.postgres.errors import DriverError, stopped
from rowcall.postgres.read import ComputationFailed
from rowcall.rows import Counts
from rowcall.schema import ForeignKey
from rowcall.sql import ident, qualified

Refused = dict[tuple[str, str], Refusal]


class RowsFound(Exception):
    def __init__(self, refused: Refused) -> None:
        self.refused = refused
        super().__init__(f"{len(refused)} rows")


class GroupSettler:
    """Settles one cyclic step. `prejudge(refused)` judges it to the fixpoint, without the rows known to be refused."""

    def __init__(
        self,
        step: Step,
        plan: Plan,
        worker: Worker,
        entities: Mapping[str, EntityRecord],
        snapshot: int,
        prejudge: Callable[[Refused], None],
    ) -> None:
        self.step, self.plan, self.worker, self.entities = step, plan, worker, entities
        self.snapshot, self.prejudge = snapshot, prejudge
        self.session = worker.session
        self.work = {j.entity.name: assign(plan, entities[j.entity.name]) for j in step.judges}

    def settle(self, chunks: Sequence[ChunkRecord], settled: Callable[[ChunkRecord, Counts], None]) -> None:
        refused: Refused = {}
        while True:
            self.prejudge(refused)
            try:
                done = persistently(partial(self._try, chunks, refused))
            except RowsFound as found:
                refused |= found.refused
                continue
            for chunk, counts in done:
                settled(chunk, counts)
            return

    def _try(self, chunks: Sequence[ChunkRecord], refused: Refused) -> list[tuple[ChunkRecord, Counts]]:
        try:
            with self.session.transaction():
                self.session.execute("set constraints all immediate")
                for judge in self.step.judges:
                    self._create_stage(judge)
                done = [(chunk, self._chunk(chunk, refused)) for chunk in chunks]
                self._flush()
                for work in self.work.values():
                    note_savepoints(self.session, work)
                return done
        except DriverError as error:
            raise stopped(error, "target", self.step.judges[0].entity.target) from None

    def _stage(self, judge: Judge) -> str:
        return f"rowcall_stage_{self.entities[judge.entity.name].id}"

    # -- into the stage ---------------------------------------------------------------------------------------------

    def _create_stage(self, judge: Judge) -> None:
        self.session.execute(
            f"create temporary table {ident(self._stage(judge))} on commit drop as "
            f"select {_columns(judge)} from {qualified(judge.entity.target)} with no data"
        )
        self.session.execute(f"alter table {ident(self._stage(judge))} add column {ident(_KEY)} text")

    def _chunk(self, chunk: ChunkRecord, refused: Refused) -> Counts:
        judge, started, chunk = self.plan.judge(chunk.entity), time.monotonic(), Ledger(self.session).whole(chunk)
        chapter = Chapter(self.work[chunk.entity], chunk)
        try:
            with self.session.transaction():
                self._copy(judge, chunk, chapter, refused, carefully=False)
        except ComputationFailed:
            chapter = Chapter(self.work[chunk.entity], chunk)
            self._copy(judge, chunk, chapter, refused, carefully=True)
        chapter.write(self.session, self.worker.reader)
        Ledger(self.session).settle(chunk, self.snapshot, chapter.counts, time.monotonic() - started)
        return chapter.counts

    def _copy(self, judge: Judge, chunk: ChunkRecord, chapter: Chapter, refused: Refused, *, carefully: bool) -> None:
        names = [o.column for o in judge.outputs] + [_KEY]
        own = {key: refusal_rejection(r) for (entity, key), r in refused.items() if entity == judge.entity.name}
        for found in self.worker.judged(judge, chunk, carefully=carefully):
            verdicts = found.noting(own)  # a refused row may be kept back, too, by those that it kept back
            gone = {
                place: refused[(judge.entity.name, key)]
                for place, key in enumerate(verdicts.accepted_keys)
                if (judge.entity.name, key) in refused
            }
            rest = verdicts.without(gone)
            if rest.accepted.num_rows:
                copy_in(self.session, self._stage(judge), names, [rest.keyed_rows()])
            chapter.add_refused(verdicts, gone)

    # -- into the target --------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """All stages in one statement. Raises RowsFound with the rows that the target does not take."""
        parts = [
            f"p{i} as ({_into(j)} select {_columns(j)} from {ident(self._stage(j))} returning 1)"
            for i, j in enumerate(self.step.judges)
        ]
        sql = f"with {', '.join(parts)} select " + " + ".join(f"(select count(*) from p{i})" for i in range(len(parts)))
        try:
            with self.session.transaction():
                insert(self.session, sql, self.step.judges[0].entity.target)
                if swallowed := self._missing():
                    raise RowsFound(swallowed)
        except RowsRefused as error:
            found = self._culprits()
            if not found:
                raise TargetRefused(
                    self.step.judges[0].entity.target,
                    f"refuses the rows of a cycle ({error.refusal.evidence}), none of them alone",
                    sqlstate=error.refusal.sqlstate,
                    hint="see the constraint or trigger named here; make it deferrable or quarantine by a rule of the mapping",
                ) from None
            raise RowsFound(found) from None

    def _missing(self) -> Refused:
        """Rows of the stages that did not arrive."""
        found: Refused = {}
        for judge in self.step.judges:
            id_column = ident(judge.entity.id_column)
            rows = self.session.rows(
                f"select {ident(_KEY)} from {ident(self._stage(judge))} s where not exists "
                f"(select from {qualified(judge.entity.target)} t where t.{id_column} = s.{id_column})"
            )
            found |= {(judge.entity.name, key): SWALLOWED for (key,) in rows}
        return found

    def _culprits(self) -> Refused:
        """Rows that the target refuses for a reason other than the group's own references.

        Parents are placed before their children, so that a missing parent hides no other defect; what is left then are rows
        in circles and the children of refused rows. Everything is taken back at the end.
        """
        found: Refused = {}
        try:
            with self.session.transaction():
                while any(self._place_ready(judge, found) for judge in self.step.judges):
                    pass
                if not found:
                    for judge in self.step.judges:
                        self._place(judge, self._keys(judge, "true"), self._inner(judge), found)
                raise _Undo
        except _Undo:
            return found

    def _place_ready(self, judge: Judge, found: Refused) -> bool:
        """Places the rows whose parents are in; whether there were any."""
        ready = "".join(f" and {_parents_in(judge, key)}" for key in self._inner(judge))
        keys = [key for key in self._keys(judge, "true" + ready) if (judge.entity.name, key) not in found]
        self._place(judge, keys, (), found)
        return bool(keys)

    def _inner(self, judge: Judge) -> tuple[ForeignKey, ...]:
        """The target's foreign keys inside the group."""
        own = {j.entity.target for j in self.step.judges}
        table = self.plan.knowledge.target.tables[judge.entity.target]
        return tuple(key for key in table.foreign_keys if key.table in own)

    def _keys(self, judge: Judge, condition: str) -> list[str]:
        """Keys of the rows in the stage (alias s) that meet the condition and are not in the target yet."""
        id_column = ident(judge.entity.id_column)
        rows = self.session.rows(
            f"select {ident(_KEY)} from {ident(self._stage(judge))} s where not exists "
            f"(select from {qualified(judge.entity.target)} t where t.{id_column} = s.{id_column}) and {condition} order by 1"
        )
        return [key for (key,) in rows]

    def _place(self, judge: Judge, keys: Sequence[str], inner: Sequence[ForeignKey], found: Refused) -> None:
        """Inserts these rows, by halving down to those that the target refuses."""
        refusal = self._refusal(judge, keys) if keys else None
        if refusal is None or (refusal.sqlstate == "23503" and refusal.constraint in {key.name for key in inner}):
            return
        if len(keys) == 1:
            found[(judge.entity.name, keys[0])] = refusal
            return
        middle = len(keys) // 2
        self._place(judge, keys[:middle], inner, found)
        self._place(judge, keys[middle:], inner, found)

    def _refusal(self, judge: Judge, keys: Sequence[str]) -> Refusal | None:
        """Inserts rows, or tells why the target does not take them all."""
        sql = f"{_into(judge)} select {_columns(judge)} from {ident(self._stage(judge))} where {ident(_KEY)} = any("
        try:
            with self.session.transaction():
                if insert(self.session, f"{_escaped(sql)}%s)", judge.entity.target, [list(keys)]) != len(keys):
                    raise RowsRefused(SWALLOWED)
                if self.work[judge.entity.name].table.triggers and set(keys).intersection(self._keys(judge, "true")):
                    raise RowsRefused(REKEYED)
        except RowsRefused as error:
            return error.refusal
        return None


def _parents_in(judge: Judge, key: ForeignKey) -> str:
    """SQL: whether the row that a foreign key of the staged row s names is in the target, is the row itself, or is NULL."""
    filled = {output.column for output in judge.outputs}
    if not filled.issuperset(key.columns):
        return "true"
    pairs = list(zip(key.columns, key.to_columns, strict=True))
    null = " or ".join(f"s.{ident(column)} is null" for column in key.columns)
    landed = " and ".join(f"p.{ident(to)} = s.{ident(column)}" for column, to in pairs)
    itself = " and ".join(
        f"s.{ident(to)} = s.{ident(column)}" if to in filled and key.table == judge.entity.target else "false"
        for column, to in pairs
    )
    return f"({null} or ({itself}) or exists (select from {qualified(key.table)} p where {landed}))"


class _Undo(Exception):
    pass


_KEY = "rowcall source key"


def _into(judge: Judge) -> str:
    """SQL: the head of an INSERT that takes values for identity columns, as COPY does."""
    return f"insert into {qualified(judge.entity.target)} ({_columns(judge)}) overriding system value"


def _escaped(sql: str) -> str:
    """SQL that stands beside parameters, whose sign is %."""
    return sql.replace("%", "%%")


def _columns(judge: Judge) -> str:
    return ", ".join(ident(o.column) for o in judge.outputs)
