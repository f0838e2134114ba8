"""Judging one batch: the questions to Postgres, the entity's query, and the split of its answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from rowcall.move import encode
from rowcall.move.ids import uuid5s
from rowcall.plan.judge import Judge, asked_name, out_name
from rowcall.plan.values import Ask
from rowcall.postgres.ask import Answered
from rowcall.rows import Counts, Outcome, Reason
from rowcall.schema import Type

Asker = Callable[[Type, Sequence[str], bool], list[Answered]]
_REJECTION = ("code", "column", "reference", "hop", "value", "evidence")


@dataclass(frozen=True)
class Rejected:
    """One quarantined row of a batch. Its rejections hold values: no repr, no log."""

    key: str
    rejections: list[dict[str, Any]]
    root: tuple[str, str]
    parent: tuple[str, str] | None

    @property
    def cause(self) -> str:
        return str(self.rejections[0]["code"])

    def __repr__(self) -> str:
        return f"Rejected({self.key}, {self.cause})"


class Verdicts:
    """The judge's answer for one batch; columns as the compiled query names them."""

    def __init__(self, judge: Judge, table: Any) -> None:
        self.judge, self.table = judge, table

    @cached_property
    def _excluded(self) -> Any:
        return pc.is_valid(self.table["excluded"])

    @cached_property
    def _rejected(self) -> Any:
        return pc.is_valid(self.table["findings"])

    @property
    def counts(self) -> Counts:
        excluded, rejected = pc.sum(self._excluded).as_py() or 0, pc.sum(self._rejected).as_py() or 0
        total = self.table.num_rows
        return Counts(total, total - excluded - rejected, rejected, excluded)

    @cached_property
    def accepted(self) -> Any:
        """The rows to write, as one chunk a column."""
        if self.table["excluded"].null_count == self.table["findings"].null_count == self.table.num_rows:
            return self.table.combine_chunks()
        return self.table.filter(pc.invert(pc.or_(self._excluded, self._rejected))).combine_chunks()

    @cached_property
    def accepted_keys(self) -> list[str]:
        return list(self.accepted["k"].cast(pa.string()).to_pylist())

    def without(self, gone: Collection[int]) -> Verdicts:
        """The same batch but for some accepted rows (places among the accepted)."""
        if not gone:
            return self
        kept = pa.array([i for i in range(self.accepted.num_rows) if i not in gone], pa.int64())
        return self.with_accepted(self.accepted.take(kept))

    def with_accepted(self, accepted: Any) -> Verdicts:
        """The same batch with only these of its accepted rows."""
        rest = self.table.filter(pc.or_(self._excluded, self._rejected))
        return Verdicts(self.judge, pa.concat_tables([accepted, rest]))

    def payloads(self, table: Any) -> list[Any]:
        """The COPY columns of a part of the table, as binary arrays."""
        return [self._payload(table, o.column, o.encoder, o.asked is not None) for o in self.judge.outputs]

    def _payload(self, table: Any, column: str, encoder: str, asked: bool) -> Any:
        return encode.payload(
            _one(table[out_name(column)]), encoder, _one(table[asked_name(column)]) if asked else None
        )

    def rows(self, table: Any) -> memoryview:
        """A part of the accepted rows as COPY BINARY."""
        return encode.rows(self.payloads(table), table.num_rows)

    def keyed_rows(self) -> memoryview:
        """All accepted rows with their source key as a last column."""
        keys = encode.payload(_one(self.accepted["k"].cast(pa.string())), "text")
        return encode.rows([*self.payloads(self.accepted), keys], self.accepted.num_rows)

    @property
    def excluded(self) -> Any:
        """A table (k, excluded): keys with the rule that took them."""
        return self.table.filter(self._excluded).select(["k", "excluded"])

    @cached_property
    def rejected(self) -> list[Rejected]:
        """The quarantined rows with all their rejections, cause first."""
        return list(self._each_rejected())

    def _each_rejected(self) -> Iterator[Rejected]:
        part = self.table.filter(self._rejected)
        for key, findings in zip(part["k"].cast(pa.string()).to_pylist(), part["findings"].to_pylist(), strict=True):
            first = findings[0]
            kept_back = first["code"] == Reason.PARENT_QUARANTINED.value
            # A row with a defect of its own is its own root, whatever else keeps it back.
            victim = all(f["code"] == Reason.PARENT_QUARANTINED.value for f in findings)
            yield Rejected(
                key,
                [{name: finding[name] for name in _REJECTION} for finding in findings],
                (first["root_entity"], first["root_key"]) if victim else (self.judge.entity.name, key),
                (first["parent_entity"], first["parent_key"]) if kept_back else None,
            )

    def conceded(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(key, {column, code, hop, value}) for each reference that the mapping let become NULL, of rows that migrate."""
        part = self.accepted.filter(pc.is_valid(self.accepted["conceded"])) if self.accepted.num_rows else self.accepted
        for key, links in zip(part["k"].cast(pa.string()).to_pylist(), part["conceded"].to_pylist(), strict=True):
            for link in links:
                yield key, link


def judge_batch(judge: Judge, batch: Any, duck: duckdb.DuckDBPyConnection, asker: Asker) -> Iterator[Verdicts]:
    """One batch through the entity's query: first the rows that are sound at first sight, then the others, if there are any.

    `duck` is the caller's own cursor: registered names are private to it.
    """
    sound = _with_ids(judge, _judged(judge.quick_sql, batch, duck))
    rest = batch.filter(pc.invert(pc.is_in(batch["k"], sound["k"])))
    if sound.num_rows + rest.num_rows != batch.num_rows:  # a key that comes twice: no row is told by it
        sound, rest = sound.slice(0, 0), batch
    if sound.num_rows or not rest.num_rows:
        yield Verdicts(judge, sound)
    if rest.num_rows:
        yield Verdicts(judge, _with_ids(judge, _judged_closely(judge, rest, duck, asker)))


def _judged(sql: str, batch: Any, duck: duckdb.DuckDBPyConnection) -> Any:
    duck.register("n", batch)
    try:
        return duck.sql(sql).to_arrow_table()
    finally:
        duck.unregister("n")


def _with_ids(judge: Judge, table: Any) -> Any:
    """The table with uuids in place of their digests."""
    name = out_name(judge.entity.id_column)
    return table.set_column(table.schema.get_field_index(name), name, uuid5s(_one(table[name])))


def _judged_closely(judge: Judge, batch: Any, duck: duckdb.DuckDBPyConnection, asker: Asker) -> Any:
    """With the answers to what must be asked, and all findings."""
    names: list[str] = []
    try:
        for question in judge.asks:
            answers = _asked(question, batch, duck, asker)
            names.append(f"ask {question.alias}")
            duck.register(names[-1], answers)
        return _judged(judge.sql, batch, duck)
    finally:
        for name in names:
            duck.unregister(name)


_ANSWERS = pa.schema([("k", pa.string()), ("code", pa.string()), ("evidence", pa.string()), ("bytes", pa.binary())])


def _asked(question: Ask, batch: Any, duck: duckdb.DuckDBPyConnection, asker: Asker) -> Any:
    """The answers to all suspects of one column, each different text asked once."""
    suspects = _judged(f"select n.k as k, {question.value} as v from n where {question.suspect}", batch, duck)
    texts = pc.unique(suspects["v"]).to_pylist()
    answers = dict(zip(texts, asker(question.type, texts, question.json), strict=True)) if texts else {}
    found = [answers[text] for text in suspects["v"].to_pylist()]
    table = pa.Table.from_arrays(
        [
            suspects["k"],
            pa.array([a.code.value if a.code else None for a in found], pa.string()),
            pa.array([a.evidence for a in found], pa.string()),
            pa.array([a.data for a in found], pa.binary()),
        ],
        names=_ANSWERS.names,
    )
    return table


def settlement_rows(entity: int, chunk: int, verdicts: Verdicts) -> tuple[memoryview, int]:
    """The ledger's lines of one batch as COPY BINARY rows, and their number."""
    accepted, excluded = verdicts.accepted, verdicts.excluded
    rejected = verdicts.rejected
    ids = _one(accepted[out_name(verdicts.judge.entity.id_column)])
    keys = [_one(accepted["k"].cast(pa.string())), _one(excluded["k"].cast(pa.string()))]
    keys.append(pa.array([r.key for r in rejected], pa.string()))
    sizes = [len(k) for k in keys]
    nothing = pa.nulls(sizes[1] + sizes[2], pa.binary())
    causes = [pa.nulls(sizes[0], pa.string()), _one(excluded["excluded"]).cast(pa.string())]
    causes.append(pa.array([r.cause for r in rejected], pa.string()))
    outcomes = [Outcome.MIGRATED, Outcome.EXCLUDED, Outcome.QUARANTINED]
    return lines(
        entity,
        chunk,
        pa.concat_arrays(keys),
        pa.concat_arrays([pa.repeat(pa.scalar(o.value), n) for o, n in zip(outcomes, sizes, strict=True)]),
        pa.concat_arrays([ids.cast(pa.binary()), nothing]),
        pa.concat_arrays(causes),
    )


def lines(entity: int, chunk: int, keys: Any, outcomes: Any, ids: Any, causes: Any) -> tuple[memoryview, int]:
    """Settlement lines from their columns."""
    count = len(keys)
    columns = [
        encode.payload(pa.repeat(pa.scalar(entity), count), "int2"),
        encode.payload(keys, "text"),
        encode.payload(outcomes, "text"),
        encode.payload(ids, "raw"),
        encode.payload(causes, "text"),
        encode.payload(pa.repeat(pa.scalar(chunk), count), "int4"),
    ]
    return encode.rows(columns, count), count


def as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _one(column: Any) -> Any:
    """A column of a table as one array."""
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column
