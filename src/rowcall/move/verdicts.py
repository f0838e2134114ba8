"""The judge's answer for a batch of rows, split into rows that migrate, are rejected, excluded or merged; their ledger lines."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property, reduce
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rowcall.move import encode
from rowcall.move.encode import Column
from rowcall.plan.judge import Judge, asked_name, out_name
from rowcall.plan.merge import MERGED_COLUMNS
from rowcall.rows import Counts, Outcome

# A quarantined row: its cause, who keeps it back, and all its rejections as JSON. They hold values: no log, no repr.
REJECTED = pa.schema(
    [
        *((name, pa.string()) for name in ("key", "code", "column", "reference")),
        ("hop", pa.int32()),
        *((name, pa.string()) for name in ("evidence", "root_entity", "root_key", "parent_entity", "parent_key", "rejections")),
    ]
)  # fmt: skip
# The row that stands for another, whatever becomes of it; a uuid where it does.
MERGED_ROWS = pa.schema([(n, pa.binary() if n == "merged_uid" else pa.string()) for n in ("k", *MERGED_COLUMNS)])


def rejected_rows(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Quarantined rows as the judge yields them."""
    return pa.Table.from_pylist(list(rows), REJECTED)


class Verdicts:
    """The judge's answer for one batch; columns as the compiled query names them, `k`, `excluded`, `findings` and `conceded`
    among them. `sound`: which rows of `judged` it is an answer for (None: all)."""

    def __init__(
        self,
        judge: Judge,
        judged: Any,
        duck: duckdb.DuckDBPyConnection,
        rejected: Any | None = None,
        sound: Any | None = None,
    ) -> None:
        self.judge, self.judged, self._sound, self._duck = judge, judged, sound, duck
        self.rejected = REJECTED.empty_table() if rejected is None else rejected

    @cached_property
    def table(self) -> Any:
        return self.judged if self._sound is None else self.judged.filter(self._sound)

    @cached_property
    def written(self) -> Any | None:
        """Which rows of `judged` migrate: a boolean array; None: all."""
        told = (self.judged[name] for name in ("excluded", "findings"))
        masks = [one(pc.is_null(column)) for column in told if column.null_count < len(column)]
        masks += [] if self._sound is None else [self._sound]
        return reduce(pc.and_, masks) if masks else None

    @property
    def counts(self) -> Counts:
        total = _count(self._sound, self.judged.num_rows)
        migrated, rejected = _count(self.written, self.judged.num_rows), self.rejected.num_rows
        return Counts(total, migrated, rejected, total - migrated - rejected)

    @cached_property
    def accepted(self) -> Any:
        """The rows to write, as one chunk a column."""
        return (self.judged if self.written is None else self.judged.filter(self.written)).combine_chunks()

    @cached_property
    def accepted_keys(self) -> list[str]:
        return list(self.accepted["k"].cast(pa.string()).to_pylist())

    def without(self, gone: Collection[int]) -> Verdicts:
        """The same batch but for some accepted rows (places among the accepted)."""
        if not gone:
            return self
        kept = pa.array([i for i in range(self.accepted.num_rows) if i not in gone], pa.int64())
        rest = self.table.filter(pc.or_(pc.is_valid(self.table["excluded"]), pc.is_valid(self.table["findings"])))
        return Verdicts(self.judge, pa.concat_tables([self.accepted.take(kept), rest]), self._duck, self.rejected)

    def only(self, places: Sequence[int]) -> Verdicts:
        """Some of the accepted rows, by their places, and nothing else of the batch."""
        return Verdicts(self.judge, self.accepted.take(pa.array(places, pa.int64())), self._duck)

    def as_they_were(self, known: Mapping[str, int]) -> Verdicts:
        """The same batch, in which these rows (key -> the hash under which it was written) migrate as they did."""
        value_set = pa.array(list(known), pa.string())
        which = one(pc.is_in(self.judged["k"].cast(pa.string()), value_set=value_set))
        places = pc.if_else(which, pa.scalar(None, pa.int64()), pa.array(np.arange(len(which))))
        at = self.judged.schema.get_field_index("findings")
        judged = self.judged.set_column(at, "findings", self.judged["findings"].take(places))
        rejected = self.rejected.filter(pc.invert(pc.is_in(self.rejected["key"], value_set=value_set)))
        made = Verdicts(self.judge, judged, self._duck, rejected, self._sound)
        keys, hashes = judged["k"].cast(pa.string()).to_pylist(), np.array(made.hashes)
        for place in np.flatnonzero(which.to_numpy(zero_copy_only=False)):
            hashes[place] = known[keys[place]]
        made.hashes = pa.array(hashes)
        return made

    def noting(self, found: Mapping[str, Mapping[str, Any]]) -> Verdicts:
        """The same batch, with one more rejection for each of these keys that is rejected already."""
        rows = self.rejected.to_pylist()
        if not any(row["key"] in found for row in rows):
            return self
        for row in rows:
            if more := found.get(row["key"]):
                told = json.loads(row["rejections"])
                if row["root_entity"] == self.judge.entity.name and row["root_key"] == row["key"]:
                    # Its parents fell by the row itself: what the target says is its own defect, and comes first.
                    row |= dict.fromkeys(("reference", "hop", "parent_entity", "parent_key")) | dict(more)
                    row["rejections"] = json.dumps([more, *told], ensure_ascii=False)
                else:
                    row["rejections"] = json.dumps([*told, more], ensure_ascii=False)
        return Verdicts(self.judge, self.judged, self._duck, rejected_rows(rows), self._sound)

    def payloads(self, table: Any) -> list[Column]:
        """The COPY columns of a part of the table."""
        return [self._payload(table, o.column, o.encoder, o.asked is not None) for o in self.judge.outputs]

    def _payload(self, table: Any, column: str, encoder: str, asked: bool) -> Column:
        answers = one(table[asked_name(column)]) if asked and asked_name(column) in table.column_names else None
        return encode.payload(one(table[out_name(column)]), encoder, answers)

    def ids(self, table: Any) -> Any:
        """The uuids of a part of the table, as binary; those that the target was asked about among them."""
        name, asked = (of(self.judge.entity.id_column) for of in (out_name, asked_name))
        found = one(table[name])
        return found if asked not in table.column_names else pc.coalesce(one(table[asked]), found)

    def rows(self, table: Any) -> memoryview:
        """A part of the accepted rows as COPY BINARY."""
        return encode.rows(self.payloads(table), table.num_rows)

    @cached_property
    def _rows(self) -> Any:
        """All rows that migrate as COPY BINARY, one value for each of `judged`."""
        return encode.row_by_row(self.payloads(self.judged), self.judged.num_rows, self.written)

    def block(self) -> memoryview:
        """All rows that migrate as COPY BINARY."""
        return encode.stream(self._rows)

    @cached_property
    def hashes(self) -> Any:
        """Of each of `judged`, a 64-bit hash of the row as it is written and of the references that became NULL in it: by it a
        later run tells what changed. An id of chance says nothing."""
        rows, conceded = self._rows, self.judged["conceded"]
        if self.judge.entity.ids.version == 4:
            outputs = zip(self.judge.outputs, self.payloads(self.judged), strict=True)
            columns = [column for o, column in outputs if o.column != self.judge.entity.id_column]
            rows = encode.row_by_row(columns, self.judged.num_rows, self.written)
        some = conceded.null_count < len(conceded)
        hashed = "case when c is null then hash(r) else hash(r, c::varchar) end" if some else "hash(r)"
        numbers = pa.array(np.arange(len(rows), dtype=np.int32))
        table = pa.table({"row": numbers, "r": rows, "c": conceded})
        found = in_turn(queried(f"select n.row, {hashed} as hash from n", table, self._duck), numbers)
        assert found is not None  # one line for each
        return one(found["hash"]).view(pa.int64())

    def keyed_rows(self) -> memoryview:
        """All accepted rows with their source key as a last column."""
        keys = encode.payload(one(self.accepted["k"].cast(pa.string())), "text")
        return encode.rows([*self.payloads(self.accepted), keys], self.accepted.num_rows)

    @property
    def excluded(self) -> Any:
        """A table (k, excluded): keys with the rule that took them."""
        if self.judged["excluded"].null_count == self.judged.num_rows:
            return self.judged.select(["k", "excluded"]).slice(0, 0)
        return self.table.filter(pc.is_valid(self.table["excluded"])).select(["k", "excluded"])

    @cached_property
    def merged(self) -> Any:
        """A table of MERGED_ROWS: the rows for which others are to stand."""
        if self.judge.entity.merge is None:
            return MERGED_ROWS.empty_table()
        rows = self.table.filter(pc.is_valid(self.table["merged_key"])).select(MERGED_ROWS.names)
        return rows.set_column(0, "k", rows["k"].cast(pa.string())).cast(MERGED_ROWS).combine_chunks()

    def conceded(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(key, {column, code, hop, value}) for each reference that the mapping let become NULL, of rows that migrate."""
        if self.judged["conceded"].null_count == self.judged.num_rows:
            return
        part = self.accepted.filter(pc.is_valid(self.accepted["conceded"]))
        for key, links in zip(part["k"].cast(pa.string()).to_pylist(), part["conceded"].to_pylist(), strict=True):
            for link in links:
                yield key, link


def settlement_rows(entity: int, chunk: int, verdicts: Verdicts) -> list[memoryview]:
    """The ledger's lines of one batch as COPY BINARY rows."""
    judged, excluded, rejected = verdicts.judged, verdicts.excluded, verdicts.rejected
    ids = encode.payload(one(judged[out_name(verdicts.judge.entity.id_column)]), "raw")
    return [
        lines(entity, chunk, judged["k"], Outcome.MIGRATED, ids, kept=verdicts.written, hashes=verdicts.hashes),
        lines(entity, chunk, excluded["k"], Outcome.EXCLUDED, causes=excluded["excluded"]),
        lines(entity, chunk, rejected["key"], Outcome.QUARANTINED, causes=rejected["code"]),
    ]


def lines(
    entity: int, chunk: int, keys: Any, outcome: Outcome, ids: Column | None = None, causes: Any | None = None,
    kept: Any | None = None, hashes: Any | None = None,
) -> memoryview:  # fmt: skip
    """Settlement lines of one outcome from their columns."""
    count = len(keys)
    columns = [
        encode.constant(entity.to_bytes(2, "big"), count),
        encode.payload(one(keys.cast(pa.string())), "text"),
        encode.constant(outcome.value.encode(), count),
        ids or encode.nothing(count),
        encode.nothing(count) if causes is None else encode.payload(one(causes.cast(pa.string())), "text"),
        encode.constant(chunk.to_bytes(4, "big"), count),
        encode.nothing(count) if hashes is None else encode.payload(hashes, "int8"),
    ]
    return encode.rows(columns, count, kept)


def in_turn(found: Any, numbers: Any) -> Any | None:
    """What was found of a batch in the order of its rows; None where it has not one line for each."""
    if found.num_rows != len(numbers):
        return None
    if not one(found["row"]).equals(numbers):
        found = found.take(pc.sort_indices(found["row"]))
    return found if one(found["row"]).equals(numbers) else None


def queried(sql: str, batch: Any, duck: duckdb.DuckDBPyConnection) -> Any:
    """What a query over the batch, as table n, yields."""
    duck.register("n", batch)
    try:
        return duck.sql(sql).to_arrow_table()  # a cursor would hold what it executed last
    finally:
        duck.unregister("n")


def _count(mask: Any | None, rows: int) -> int:
    return rows if mask is None else int(pc.sum(mask).as_py() or 0)


def one(column: Any) -> Any:
    """A column of a table as one array."""
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column
