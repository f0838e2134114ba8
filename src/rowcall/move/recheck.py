"""What the source alone cannot tell, checked anew: the judge over all rows, and rows that the target refused written again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property

from rowcall.ledger.book import ChunkRecord, Ledger
from rowcall.move.assignment import Assignment, assign
from rowcall.move.belt import Stop, Tables
from rowcall.move.duplicates import create_duplicates
from rowcall.move.fates import load_from_ledger, load_hopeful
from rowcall.move.forecast import Forecast
from rowcall.move.settle import Chapter, place_carefully
from rowcall.move.worker import Crew, Worker
from rowcall.plan.chunks import Span
from rowcall.plan.plan import Plan
from rowcall.postgres.read import Reader
from rowcall.progress import silent
from rowcall.rejected import create_rejected
from rowcall.rows import Reason

REFUSED = (Reason.REFUSED_BY_TARGET.value, Reason.UNSTORABLE_TEXT.value)  # what the target may say of a row
KEYS = 1_000  # rows written again at a time


class Recheck:
    """Writes nothing that stays: what it puts into the target is taken back. `crew` opens the workers, once they are needed."""

    def __init__(self, plan: Plan, ledger: Ledger, crew: Callable[[], Crew], target: Reader, stop: Stop) -> None:
        self.plan, self.ledger, self.target, self.stop = plan, ledger, target, stop
        self._open = crew

    @cached_property
    def crew(self) -> Crew:
        return self._open()

    def cancel(self) -> None:
        """Ends what the workers have under way."""
        if "crew" in vars(self):
            self.crew.cancel()

    def judge_again(self, table: str) -> None:
        """Judges every row anew; those that are rejected go into DuckDB under this name (see rowcall.rejected)."""
        create_rejected(self.crew.workers[0].duck, table)
        Forecast(self.plan, self.crew, self.target, True, self.stop, silent, table)()

    def refused_again(self, entity: str, keys: Sequence[str]) -> dict[str, str]:
        """Key -> evidence of those of these rows that the target refuses, found by the same careful way as in a run."""
        worker, judge = self.crew.workers[0], self.plan.judge(entity)
        step = next(s for s in self.plan.steps if judge in s.judges)
        tables = Tables(self.plan, worker)
        tables.load_hops(step)
        records = {record.name: record for record in self.ledger.entities()}
        for parent in step.parents:
            if parent in step.group.entities:  # it may be in quarantine for the very row that is asked about
                load_hopeful(worker.duck, self.plan.judge(parent), self.plan, worker.reader)
            else:
                load_from_ledger(worker.duck, self.plan.judge(parent), records[parent].id, self.target)
        for member in step.judges:
            create_duplicates(worker.duck, member)
        tables.build_routes(step)
        work = assign(self.plan, records[entity])
        found: dict[str, str] = {}
        for at in range(0, len(keys), KEYS):
            found |= self._refused(worker, work, keys[at : at + KEYS])
        return found

    def _refused(self, worker: Worker, work: Assignment, keys: Sequence[str]) -> dict[str, str]:
        judge = work.judge
        chapter = Chapter(work, ChunkRecord(0, judge.entity.name, Span(), "planned", 0, None))
        with suppress(_TakenBack), worker.session.transaction():
            worker.session.execute("set constraints all immediate")
            for verdicts in worker.judged_where(judge, judge.key.among(keys), carefully=True):
                place_carefully(worker.session, verdicts, chapter)
            raise _TakenBack
        rows = [row for table in chapter.quarantined for row in table.select(["key", "code", "evidence"]).to_pylist()]
        return {row["key"]: row["evidence"] for row in rows if row["code"] in REFUSED}


class _TakenBack(Exception):
    pass
