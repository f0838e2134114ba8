"""Judging before writing, where verdicts hang together across chunks.

A cyclic group is judged to its fixpoint. Unique values are compared over the whole entity and the rows already in the target:
the lowest source key stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from rowcall.ledger.book import ChunkRecord
from rowcall.move.duplicates import create_duplicates
from rowcall.move.fates import create_fates, load_hopeful
from rowcall.move.fixpoint import Fixpoint, Row, fates_sql
from rowcall.move.verdicts import Verdicts
from rowcall.move.worker import Worker
from rowcall.plan.judge import Judge, duplicates_table
from rowcall.plan.keys import bare, need_column
from rowcall.plan.paths import fate_table
from rowcall.plan.plan import Plan
from rowcall.plan.step import Step
from rowcall.postgres.queries import named_queries
from rowcall.postgres.read import ComputationFailed, Reader
from rowcall.schema import Unique
from rowcall.sql import ident, literal, qualified


class Prejudge:
    """One step's judging on keys. Afterwards the workspace holds its duplicates tables and, for a cyclic group, its fates.
    `anew`: all entities are judged, whatever the ledger has of them."""

    def __init__(
        self, step: Step, plan: Plan, worker: Worker, target: Reader, ledger: bool, *, anew: bool = False
    ) -> None:
        self.step, self.plan, self.worker, self.target, self.ledger = step, plan, worker, target, ledger
        self.anew = anew
        self.duck = worker.duck
        self._sql = named_queries("rowcall.move", "prejudge.sql")

    def run(
        self,
        chunks: Iterable[ChunkRecord],
        prepare: Callable[[Step], None],
        refused: Mapping[Row, object] | None = None,
    ) -> None:
        """`prepare` builds the step's route tables; it is called again once the fates are known."""
        self._do("create")
        self.fixpoint = Fixpoint(self.duck)
        for judge in self.step.judges:
            create_duplicates(self.duck, judge)
            if self.step.group.cyclic:
                load_hopeful(self.duck, judge, self.plan, self.worker.reader)
        prepare(self.step)
        for chunk in chunks:
            self._chunk(self.plan.judge(chunk.entity), chunk)
        if refused:
            self.fixpoint.refuse(refused)
        self.fixpoint.spread()
        for judge in self.step.judges:
            self._duplicates(judge)
        if self.step.group.cyclic:
            self.fixpoint.spread()
            self.fixpoint.need_no_chains(lambda entity: self.plan.mapping.place("entities", entity, "merge"))
            for judge in self.step.judges:
                self._fates(judge)
            prepare(self.step)

    def _do(self, name: str, kind: str = "", **params: object) -> None:
        for statement in self._sql[name].split(";\n"):
            used = {key: value for key, value in params.items() if f"${key}" in statement}
            self.duck.execute(statement.replace("{kind}", kind), used or None)

    # -- collecting -------------------------------------------------------------------------------------------------

    def _chunk(self, judge: Judge, chunk: ChunkRecord) -> None:
        try:
            for verdicts in self.worker.judged(judge, chunk):
                self._add(judge, chunk, verdicts)
        except ComputationFailed:
            self.fixpoint.forget(judge, chunk.id)
            self._do("forget", entity=judge.entity.name)
            for verdicts in self.worker.judged(judge, chunk, carefully=True):
                self._add(judge, chunk, verdicts)

    def _add(self, judge: Judge, chunk: ChunkRecord, verdicts: Verdicts) -> None:
        self.fixpoint.add(judge, chunk.id, verdicts)
        for number, unique in enumerate(judge.uniques):
            self._claim(judge, number, unique, verdicts)

    def _claim(self, judge: Judge, number: int, unique: Unique, verdicts: Verdicts) -> None:
        """The values of one unique key, each as a hash of its binary form."""
        payloads = dict(zip((o.column for o in judge.outputs), verdicts.payloads(verdicts.accepted), strict=True))
        arrays = [verdicts.accepted["k"], *(payloads[c].joined for c in unique.columns)]
        names = ["k", *(f"u{i}" for i in range(len(unique.columns)))]
        self.duck.register("claims", pa.Table.from_arrays(arrays, names=names))
        self.duck.execute(
            f"insert into claim select {literal(judge.entity.name)}, k::varchar, {number}, {self._hash(judge, unique)} from claims"
        )
        self.duck.unregister("claims")

    def _fates(self, judge: Judge) -> None:
        create_fates(self.duck, judge)
        self.duck.execute(f"insert into {fate_table(judge.entity.name)} {fates_sql(judge)}")

    # -- unique values ----------------------------------------------------------------------------------------------

    def _duplicates(self, judge: Judge) -> None:
        if not judge.uniques:
            return
        entity = literal(judge.entity.name)
        self.duck.execute("create or replace table existing (uniq integer, value varchar)")
        for number, unique in enumerate(judge.uniques):
            self._existing(judge, number, unique)
        self._do("contest", entity=judge.entity.name)
        while _count(self.duck, "contender"):
            self._do("decide", kind=judge.key.kind)
        names = " ".join(f"when {i} then {literal(', '.join(u.columns))}" for i, u in enumerate(judge.uniques))
        self.duck.execute(
            f"insert into {duplicates_table(judge.entity.name)} select k::{judge.key.kind}, "
            f"string_agg(distinct case uniq {names} end, '; ') from duplicate group by k"
        )
        self.duck.execute(
            "update pre set state = 'bad', root_entity = entity, root_key = k "
            f"where entity = {entity} and k in (select k from duplicate)"
        )
        self._take(judge)

    def _existing(self, judge: Judge, number: int, unique: Unique) -> None:
        """What the target already holds, but for the rows that are judged now, and what entities judged before put into it."""
        if self._shared(judge):
            self._share(judge, number, unique)
        elif judge.entity.name not in self.plan.knowledge.occupied:
            return
        target = self.plan.knowledge.target.tables[judge.entity.target]
        columns = ", ".join(
            f"{need_column(target, c).type.send}({ident(c)}) as u{i}" for i, c in enumerate(unique.columns)
        )
        whose = "true" if self.anew else f"e.name = {literal(judge.entity.name)}"
        own = (
            f" where not exists (select from rowcall.written w join rowcall.entity e on e.id = w.entity "
            f"where w.target_id = t.{ident(judge.entity.id_column)} and {whose})"
        )
        batches = self.target.batches(
            f"select {columns} from {qualified(judge.entity.target)} t{own if self.ledger else ''}"
        )
        for batch in batches:
            self.duck.register("claims", batch)
            self.duck.execute(f"insert into existing select {number}, {self._hash(judge, unique)} from claims")
            self.duck.unregister("claims")

    def _shared(self, judge: Judge) -> bool:
        """Whether several entities fill the target table."""
        return sum(e.target == judge.entity.target for e in self.plan.mapping.entities) > 1

    def _share(self, judge: Judge, number: int, unique: Unique) -> None:
        """Values of entities that fill the same table: a forecast finds them nowhere else."""
        self.duck.execute("create table if not exists taken (entity varchar, key varchar, value varchar)")
        name, key = literal(judge.entity.name), literal(f"{judge.entity.target} {unique.name}")
        self.duck.execute(
            f"insert into existing select {number}, value from taken where key = {key} and entity <> {name}"
        )

    def _take(self, judge: Judge) -> None:
        """Remembers the values of an entity's rows that will migrate, for those who fill the same table after it."""
        if not self._shared(judge):
            return
        name = literal(judge.entity.name)
        self.duck.execute(f"delete from taken where entity = {name}")
        for number, unique in enumerate(judge.uniques):
            self.duck.execute(
                f"insert into taken select c.entity, {literal(f'{judge.entity.target} {unique.name}')}, c.value "
                "from claim c join pre p on p.entity = c.entity and p.k = c.k and p.state = 'sound' "
                f"where c.entity = {name} and c.uniq = {number} and c.value is not null"
            )

    def _hash(self, judge: Judge, unique: Unique) -> str:
        """DuckDB SQL over u0, u1, ...: NULL where the key does not bind (a NULL in it, unless NULLS NOT DISTINCT)."""
        target = self.plan.knowledge.target.tables[judge.entity.target]
        columns = [f"u{i}" for i in range(len(unique.columns))]
        values = [
            f"coalesce({_canonical(bare(need_column(target, name).type).name, u)}, 'null')"
            for u, name in zip(columns, unique.columns, strict=True)
        ]
        text = f"md5({' || chr(124) || '.join(values)})"
        if not unique.nulls_distinct:
            return text
        return f"case when {' or '.join(f'{u} is null' for u in columns)} then null else {text} end"


def _canonical(kind: str, value: str) -> str:
    """DuckDB SQL: a type's binary form as text, the same for values that Postgres holds for equal."""
    if kind == "numeric":  # bytes 7 and 8 are the digits to show: 1.0 equals 1.00
        return f"substr(hex({value}), 1, 12) || substr(hex({value}), 17)"
    if kind in ("float4", "float8"):  # -0 equals 0
        return f"regexp_replace(hex({value}), '^[08]0*$', '0')"
    if kind == "citext":
        return f"lower(decode({value}))"
    return f"hex({value})"


def _count(duck: duckdb.DuckDBPyConnection, table: str) -> int:
    row: Sequence[Any] | None = duck.sql(f"select count(*) from {table}").fetchone()
    return int(row[0]) if row else 0
