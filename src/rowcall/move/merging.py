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
from rowcall.plan.plan import Plan
from rowcall.rows import Reason

BOOKED = 20_000  # rows at a time


class Merging:
    """Over the workspace's tables of what was judged now and of what the ledger has (see move.changes)."""

    def __init__(
        self, plan: Plan, duck: duckdb.DuckDBPyConnection, book: CatchUpBook, records: Mapping[str, EntityRecord]
    ) -> None:
        self.duck, self.book, self.records = duck, book, records
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
            rows = []
            for key, into in found:
                told = dict.fromkeys(("column", "reference"), reference.column) | dict.fromkeys(("evidence", "detail"))
                told |= {"code": Reason.PARENT_QUARANTINED.value, "hop": len(reference.routes[0].path), "value": into}
                told |= {"parent_entity": entity, "parent_key": into}
                root_entity, root_key = roots[into]
                whose = {"key": key, "root_entity": root_entity, "root_key": root_key}
                rows.append(told | whose | {"rejections": json.dumps([told])})
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
