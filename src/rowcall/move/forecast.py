"""The forecast: the verdicts of a whole run, computed before the target is written."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import duckdb
import pyarrow as pa

from rowcall.ledger.book import ChunkRecord
from rowcall.move.belt import Stop, Tables, over_chunks
from rowcall.move.changes import Changes, Part
from rowcall.move.chunking import chunk_ranges, unbooked
from rowcall.move.fates import create_fates
from rowcall.move.pools import LocalPool
from rowcall.move.prejudge import Prejudge
from rowcall.move.verdicts import Verdicts
from rowcall.move.worker import Crew, Worker
from rowcall.plan.chunks import Chunking
from rowcall.plan.judge import Judge, out_name
from rowcall.plan.merge import MERGED_COLUMNS
from rowcall.plan.paths import fate_table
from rowcall.plan.plan import Plan
from rowcall.plan.step import Step
from rowcall.postgres.read import ComputationFailed, Reader
from rowcall.progress import Meter, OnProgress
from rowcall.rejected import REJECTED, load_rejected
from rowcall.rows import Counts
from rowcall.sql import literal


class Forecast:
    """Judges everything and writes nothing. Afterwards `counts` and `excluded` hold the sums, and a table of the workspace
    the first rejection of every quarantined row (made by the caller: rowcall.rejected; None: no table)."""

    def __init__(
        self, plan: Plan, crew: Crew, target: Reader, ledger: bool, stop: Stop, on_progress: OnProgress,
        table: str | None = "rejected", watch: Changes | None = None,
    ) -> None:  # fmt: skip
        self.plan, self.crew, self.target, self.ledger, self.table = plan, crew, target, ledger, table
        self.watch = watch
        self.pool = LocalPool(len(crew.workers))
        self.stop, self.on_progress = stop, on_progress
        self.tables = Tables(plan, crew.workers[0])
        self.counts: dict[str, Counts] = {}
        self.rejected: dict[str, list[Any]] | None = None  # of an entity: tables of verdicts.REJECTED, where wanted
        self.excluded: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self.pool:
            for step in self.plan.steps:
                self._step(step)

    def _step(self, step: Step) -> None:
        duck, reader = self.crew.workers[0].duck, self.crew.workers[0].reader
        self.tables.load_hops(step)
        chunks, totals = [], {}
        for judge in step.judges:
            chunking = chunk_ranges(judge, reader)
            totals[judge.entity.name] = chunking
            chunks += unbooked(judge, chunking)
        if self.watch:
            self.watch.begin(step)
        if step.prejudged:
            Prejudge(step, self.plan, self.crew.workers[0], self.target, self.ledger, anew=True).run(
                chunks, self._prepare
            )
        else:
            self.tables.build_routes(step)
        # The routes are built: what a cyclic group was judged with gives way to its verdicts, as in a run to its lines.
        for judge in step.judges:
            if judge.entity.name in self.plan.parents:
                create_fates(duck, judge)
        for judge in step.judges:
            self._judge(judge, [c for c in chunks if c.entity == judge.entity.name], totals[judge.entity.name])
            if self.watch:
                if judge.entity.name in self.plan.parents:
                    self.watch.same_ids(judge)
                self.watch.compare(judge)

    def _prepare(self, step: Step) -> None:
        if self.watch and step.group.cyclic:
            self.watch.same_ids(*step.judges)
        self.tables.build_routes(step)

    def _judge(self, judge: Judge, chunks: list[ChunkRecord], total: Chunking) -> None:
        name = judge.entity.name
        self.counts[name] = Counts()
        meter = Meter(self.on_progress, "judge", name, total.rows, counted=total.counted)
        keep = name in self.plan.parents

        def done(_: ChunkRecord, counts: Counts) -> None:
            self.counts[name] += counts
            meter.add(counts.source)

        over_chunks(self.pool, self.stop, chunks, self._work(judge, keep), done)
        meter.end()

    def _work(self, judge: Judge, keep: bool) -> Callable[[ChunkRecord], Counts]:
        def work(chunk: ChunkRecord) -> Counts:
            with self.crew.lent() as worker:
                try:
                    return self._collect(worker, judge, chunk, keep, carefully=False)
                except ComputationFailed:
                    return self._collect(worker, judge, chunk, keep, carefully=True)

        return work

    def _collect(self, worker: Worker, judge: Judge, chunk: ChunkRecord, keep: bool, *, carefully: bool) -> Counts:
        """Counts are taken when the whole chunk was judged: a chunk that fails half-way is judged again."""
        counts, excluded, parts = Counts(), dict[tuple[str, str], int](), []
        whole: list[Any] = []
        watched: list[Part] = []
        for found in worker.judged(judge, chunk, carefully=carefully):
            verdicts, unfound = self.watch.spare(worker.duck, found) if self.watch else (found, [])
            del found
            counts += verdicts.counts
            for rule in verdicts.excluded["excluded"].to_pylist():
                excluded[(judge.entity.name, rule)] = excluded.get((judge.entity.name, rule), 0) + 1
            parts.append(_small(verdicts, keep))
            if self.watch:
                watched.append(self.watch.seen(verdicts, unfound))
            if self.rejected is not None and verdicts.rejected.num_rows:
                whole.append(verdicts.rejected)
            del verdicts
        with self._lock:
            for key, rows in excluded.items():
                self.excluded[key] = self.excluded.get(key, 0) + rows
            if self.rejected is not None:
                self.rejected.setdefault(judge.entity.name, []).extend(whole)
            for fates, rejected in parts:
                _store(worker.duck, judge, fates, rejected, self.table)
            if self.watch:
                for part in watched:
                    self.watch.keep(worker.duck, judge, part)
        return counts


def _small(verdicts: Verdicts, keep: bool) -> tuple[Any | None, Any]:
    """What is kept of a batch: fates where the entity is somebody's parent, and the rejected rows' first rejections."""
    fates = None
    if keep:
        named = {
            "k": "k",
            "excluded": "excluded",
            "findings": "findings",
            out_name(verdicts.judge.entity.id_column): "uid",
        } | {name: name for name in (MERGED_COLUMNS if verdicts.judge.entity.merge else ())}
        fates = verdicts.table.select(list(named)).rename_columns(list(named.values()))
        fates = fates.take(
            pa.array(range(fates.num_rows), pa.int64())
        )  # a copy: it is kept, and the whole batch is not
    given = {"entity": verdicts.judge.entity.name, "disposition": "open"}
    found = verdicts.rejected
    names = (*REJECTED, "rejections")
    columns = [
        pa.repeat(pa.scalar(given[name], pa.string()), found.num_rows) if name in given else found[name]
        for name in names
    ]
    rejected = pa.table(columns, names=list(names))
    return fates, rejected


def _store(duck: duckdb.DuckDBPyConnection, judge: Judge, fates: Any | None, rejected: Any, table: str | None) -> None:
    if rejected.num_rows and table:
        load_rejected(duck, [rejected], "other_rejections(rejections)", table)
    if fates is not None:
        duck.register("more", fates)
        victim = "is_victim(findings)"
        own = literal(judge.entity.name)
        merged = ", ".join(MERGED_COLUMNS if judge.entity.merge else (f"null as {name}" for name in MERGED_COLUMNS))
        duck.execute(
            f"""insert into {fate_table(judge.entity.name)}
            select k, case when merged_uid is not null then 'merged' when excluded is not null then 'excluded'
                           when findings is not null then 'quarantined' else 'migrated' end, coalesce(merged_uid, uid),
                   case when {victim} then findings[1].root_entity when findings is not null then {own}
                        when merged_uid is not null then merged_entity end,
                   case when {victim} then findings[1].root_key when findings is not null then k::varchar
                        when merged_uid is not null then merged_key else excluded end, named
            from (select k, excluded, findings, uid, {merged} from more)"""
        )
        duck.unregister("more")
