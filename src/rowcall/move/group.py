"""A cyclic group, settled as one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from rowcall.ledger.book import ChunkRecord, EntityRecord, Ledger
from rowcall.move.assignment import assign
from rowcall.move.savepoints import note_savepoints
from rowcall.move.settle import Chapter
from rowcall.move.stage import Refused, RowsFound, Stage
from rowcall.move.verdicts import Verdicts
from rowcall.move.worker import Worker, persistently
from rowcall.plan.judge import Judge
from rowcall.plan.plan import Plan
from rowcall.plan.step import Step
from rowcall.postgres.errors import DriverError, stopped
from rowcall.postgres.read import ComputationFailed
from rowcall.rows import Counts


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
        self.step, self.plan, self.worker = step, plan, worker
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
                with Stage(self.step, self.plan, self.session, self.work) as stage:
                    done = [(chunk, self._chunk(chunk, refused, stage)) for chunk in chunks]
                    stage.flush()
                for work in self.work.values():
                    note_savepoints(self.session, work)
                return done
        except DriverError as error:
            raise stopped(error, "target", self.step.judges[0].entity.target) from None

    def _chunk(self, chunk: ChunkRecord, refused: Refused, stage: Stage) -> Counts:
        judge, started, chunk = self.plan.judge(chunk.entity), time.monotonic(), Ledger(self.session).whole(chunk)
        chapter = Chapter(self.work[chunk.entity], chunk)
        try:
            with self.session.transaction():
                self._copy(judge, chunk, chapter, refused, stage, carefully=False)
        except ComputationFailed:
            chapter = Chapter(self.work[chunk.entity], chunk)
            self._copy(judge, chunk, chapter, refused, stage, carefully=True)
        chapter.write(self.session, self.worker.reader)
        Ledger(self.session).settle(chunk, self.snapshot, chapter.counts, time.monotonic() - started)
        return chapter.counts

    def _copy(
        self, judge: Judge, chunk: ChunkRecord, chapter: Chapter, refused: Refused, stage: Stage, *, carefully: bool
    ) -> None:
        for verdicts in self.worker.judged(judge, chunk, carefully=carefully):
            into_stage(verdicts, chapter, refused, stage)


def into_stage(verdicts: Verdicts, chapter: Chapter, refused: Refused, stage: Stage) -> None:
    """Takes a batch onto the stage, but for rows that are known to be refused."""
    name = verdicts.judge.entity.name
    own = {key: chapter.told(r) for (entity, key), r in refused.items() if entity == name}
    noted = verdicts.noting(own)  # a refused row may be kept back, too, by those that it kept back
    gone = {place: refused[name, key] for place, key in enumerate(noted.accepted_keys) if (name, key) in refused}
    stage.take(noted.without(gone))
    chapter.add_refused(noted, gone)
