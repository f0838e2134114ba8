"""Rows for which others stand (`merge:`), in a catch-up: which merge anew, and which do no more."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import duckdb

from rowcall.ledger.book import EntityRecord
from rowcall.ledger.catch_ups import CatchUpBook
from rowcall.move.changes import Changes
from rowcall.move.verdicts import rejected_rows
from rowcall.plan.judge import Judge
from rowcall.plan.paths import fate_table
from rowcall.plan.plan import Plan
from rowcall.rows import Reason

BOOKED = 20_000  # rows at a time


class Merging:
    """Over the workspace's tables of what was judged now and of what the ledger has (see move.changes)."""

    def __init__(
        self, plan: Plan, duck: duckdb.DuckDBPyConnection, book: CatchUpBook, records: Mapping[str, EntityRecord]
    ) -> None:
        self.duck, self.book, self.records = duck, book, records
        self.parents = {p for step in plan.steps for j in step.judges for p in j.parents}
        self.judges = [j for step in plan.steps for j in step.judges if j.entity.merge]

    def behind(self, entity: str, fell: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Judge, Any]]:
        """Rows of an entity that do not migrate after all: the rows for which they stand are kept back by them, as a table of
        verdicts.REJECTED for each entity that has such rows."""
        roots = {row["key"]: (row["root_entity"], row["root_key"]) for row in fell}
        for judge in self.judges:
            reference, tables = judge.entity.merge, Changes.merged(self.records[judge.entity.name])
            sql = f"select k, into_key from {tables.now} where into_entity = $entity and into_key in (select unnest($keys))"
            found = self.duck.execute(sql, {"entity": entity, "keys": list(roots)}).fetchall()
            if not found or reference is None:
                continue
            told: dict[str, Any] = {"code": Reason.PARENT_QUARANTINED.value, "column": reference.column}
            told |= {"reference": reference.column, "hop": len(reference.routes[0].path), "evidence": None}
            told |= {"parent_entity": entity}
            rows = []
            for key, into in found:
                said = {**told, "value": into, "detail": None, "parent_key": into}
                whose = dict(zip(("root_entity", "root_key"), roots[into], strict=True))
                rows.append({**told, **whose, "key": key, "parent_key": into, "rejections": json.dumps([said])})
            if judge.entity.name in self.parents:
                self.duck.executemany(
                    f"update {fate_table(judge.entity.name)} set outcome = 'quarantined', uid = null, root_entity = ?, "
                    "root_key = ? where k::varchar = ?",
                    [[row["root_entity"], row["root_key"], row["key"]] for row in rows],
                )
            yield judge, rejected_rows(rows)

    def note(self, judge: Judge) -> None:
        """The book, as it is now."""
        if judge.entity.merge is None:
            return
        number = self.records[judge.entity.name].id
        now, was = Changes.merged(self.records[judge.entity.name])
        for (keys,) in self._lists("k", f"(from {was} except from {now})"):
            self.book.do("unmerge", keys, entity=number)
        for columns in self._lists("k, into_entity, into_key, named", f"(from {now} except from {was})"):
            self.book.do("merge", *columns, entity=number)

    def _lists(self, columns: str, table: str) -> Iterator[list[list[str]]]:
        for batch in self.duck.sql(f"select {columns} from {table}").to_arrow_reader(BOOKED):
            yield [column.to_pylist() for column in batch.columns]
