"""What a later run finds: every row judged on the new snapshot, compared with its line in the ledger.

All verdicts are computed anew, as a forecast computes them, for a row's verdict depends on more than the row. A row that
migrates has the hash of what would be written, and its line the hash of what was: where they are equal nothing is to be done.

A uuid that was given once stays: what is judged refers to the crosswalk's, not to what an id would be made of now.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Set
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from rowcall.ledger.book import EntityRecord
from rowcall.loading import load
from rowcall.move.verdicts import Verdicts
from rowcall.plan.judge import Judge
from rowcall.plan.paths import fate_table
from rowcall.plan.step import Step
from rowcall.postgres.queries import named_queries
from rowcall.postgres.read import Reader
from rowcall.rows import Reason
from rowcall.sql import literal

# Of a batch: its rows, the excluded, the rejected, the merged, and the keys of rows that stay for what they refer to is not found.
Part = tuple[Any, Any, Any, Any, list[str]]
_UNFOUND = {Reason.DANGLING_REFERENCE.value, Reason.AMBIGUOUS_REFERENCE.value}


class MergedTables(NamedTuple):
    """Tables of the workspace (k, into_entity, into_key, named: text): the rows of an entity that are merged, and that were."""

    now: str
    was: str


class Changes:
    """Collects verdicts and compares them, an entity at a time; afterwards the workspace holds a table of each entity's
    changes (`table`): a row for each key that is not as the ledger has it, and for each that is quarantined now.

    A migrated row that would fall only because a row of the target, to which it refers, is not found any more (somebody changed the
    column by which it was found) stays as it is; `unfound` has the keys of such, by entity. Where the source is to win
    (`overwrite`) it falls."""

    def __init__(
        self, duck: duckdb.DuckDBPyConnection, target: Reader, records: Mapping[str, EntityRecord], *, overwrite: bool
    ) -> None:
        self.duck, self.target, self.records, self.overwrite = duck, target, records, overwrite
        self.unfound: dict[str, list[str]] = {}
        self._sql = named_queries("rowcall.move", "changes.sql")

    @staticmethod
    def table(record: EntityRecord) -> str:
        return f"changed_{record.id}"

    @staticmethod
    def merged(record: EntityRecord) -> MergedTables:
        return MergedTables(f"merging_{record.id}", f"merged_{record.id}")

    def _do(self, name: str, judge: Judge) -> None:
        record = self.records[judge.entity.name]
        for statement in self._sql[name].split(";\n"):
            self.duck.execute(statement.format(n=record.id, kind=judge.key.kind, fates=fate_table(judge.entity.name)))

    # -- as a forecast goes -----------------------------------------------------------------------------------------

    def begin(self, step: Step) -> None:
        """What the ledger has of a step's entities."""
        for judge in step.judges:
            self._do("begin", judge)
            for table, query in (("line", "lines"), ("other", "others")):
                self._load(judge, table, query)
            if not _known(judge):
                self._do("begin_ids", judge)
                self._load(judge, "id", "ids")
            if _lookups(judge):
                self._do("begin_nulled", judge)
                self._load(judge, "nulled", "nulled")
            if judge.entity.merge:
                self._do("begin_merged", judge)
                self._load(judge, "merged", "merged")

    def _load(self, judge: Judge, table: str, query: str) -> None:
        number, kind = self.records[judge.entity.name].id, "int8" if judge.key.kind == "BIGINT" else "text"
        load(self.duck, f"{table}_{number}", self.target.batches(self._sql[query].format(n=number, kind=kind)))

    def same_ids(self, *judges: Judge) -> None:
        """The fates of entities' rows, under the uuids that the crosswalk has."""
        for judge in judges:
            if not _known(judge):
                self._do("same_ids", judge)
        for judge in judges:
            for route in judge.entity.merge.routes if judge.entity.merge else ():
                own, other = fate_table(judge.entity.name), fate_table(route.to)
                self.duck.execute(
                    f"update {own} f set uid = w.uid from {other} w where f.outcome = 'merged' "
                    f"and f.root_entity = {literal(route.to)} and f.root_key = w.k::varchar and w.uid <> f.uid"
                )

    def spare(self, duck: duckdb.DuckDBPyConnection, verdicts: Verdicts) -> tuple[Verdicts, list[str]]:
        """The batch, and the keys of rows in it that stay as they are: these are told as migrated, with the hash of their line."""
        judge = verdicts.judge
        if self.overwrite or not (columns := _lookups(judge)):
            return verdicts, []
        if not (lost := list(_lost(verdicts, columns))):
            return verdicts, []
        n, (keys, at) = self.records[judge.entity.name].id, map(list, zip(*lost, strict=True))
        sql = (
            "select l.k::varchar, l.row_hash from (select unnest($keys) as k, unnest($at) as col) f "
            f"join line_{n} l on l.k::varchar = f.k where not exists (from nulled_{n} x where x.k = l.k and x.col = f.col)"
        )
        known = dict(duck.execute(sql, {"keys": keys, "at": at}).fetchall())
        return (verdicts.as_they_were(known) if known else verdicts), list(known)

    def seen(self, verdicts: Verdicts, unfound: list[str]) -> Part:
        """What is kept of a batch: copies, for the batch's own memory is freed as a whole."""
        judged = verdicts.judged
        written = pa.array(np.ones(judged.num_rows, bool)) if verdicts.written is None else verdicts.written
        rows = pa.table({"k": judged["k"], "row_hash": verdicts.hashes}).filter(written).combine_chunks()
        excluded = verdicts.excluded if verdicts.excluded.num_rows else None
        merged = verdicts.merged.select(["k", "merged_entity", "merged_key", "named"])
        listed = excluded and excluded.select(["k", "excluded"]).combine_chunks()
        return rows, listed, verdicts.rejected, merged, unfound

    def keep(self, duck: duckdb.DuckDBPyConnection, judge: Judge, part: Part) -> None:
        """Of a batch that is not judged again."""
        written, excluded, rejected, merged, unfound = part
        self.unfound.setdefault(judge.entity.name, []).extend(unfound)
        number = self.records[judge.entity.name].id
        for batch, table, columns in (
            (written, "now", "k, row_hash"),
            (excluded, "elsewhere", "k, 'excluded', excluded"),
            (rejected, "elsewhere", f"key::{judge.key.kind}, 'quarantined', code"),
            (merged, "merging", "*"),
        ):
            if batch is not None and batch.num_rows:
                load(duck, f"{table}_{number}", [batch], columns)

    def compare(self, judge: Judge) -> None:
        """All of an entity's rows are judged."""
        self._do("compare", judge)


def _lookups(judge: Judge) -> frozenset[str]:
    """The columns of an entity that refer to rows that are in the target already."""
    return frozenset(r.column for r in judge.entity.references if any(route.there for route in r.routes))


def _lost(verdicts: Verdicts, columns: Set[str]) -> Iterator[tuple[str, str]]:
    """(key, column) of rows that are rejected, or have a reference turned into NULL, only because in these columns nothing is
    found, or several rows are."""

    def unfound(told: Mapping[str, Any]) -> bool:
        return told["column"] in columns and told["code"] in _UNFOUND

    for row in verdicts.rejected.select(["key", "column", "code", "rejections"]).to_pylist():
        if unfound(row) and all(map(unfound, json.loads(row["rejections"]))):
            yield row["key"], row["column"]
    yield from ((key, link["column"]) for key, link in verdicts.conceded() if unfound(link))


def _known(judge: Judge) -> bool:
    """Whether a row's uuid is made of its key alone, so that it is the same at any time."""
    return not judge.entity.given_id and judge.entity.ids.version == 5
