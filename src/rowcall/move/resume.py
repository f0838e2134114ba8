"""Going on under a new snapshot: did the source move since the settled chunks were read, and what does that touch?

Rows inserted or updated since are among those whose xmin is not older than every transaction that ran then (a savepoint has
a number of its own, which no snapshot lists, but always a later one than its transaction's); deleted rows are settled keys
that the source has no more; tables that paths walk on are compared by a digest. What is touched is taken back and judged
again, so that all sums are of one state of the source.

A chunk by pages has no range under a new snapshot: which rows are its own, only the ledger's lines say. A new row is in none
of them, and is planned with the rest (see replan); it touches what is settled only where its entity was settled as a whole.
https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT (txid_* until Postgres 12, and still there)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from rowcall.ledger.book import ChunkRecord, EntityRecord, Ledger
from rowcall.mapping.model import QUERY
from rowcall.move.belt import Tables
from rowcall.move.takeback import refuse_dependents, take_back_chunks, take_back_group
from rowcall.plan.graph import descendants
from rowcall.plan.judge import Judge
from rowcall.plan.plan import Plan
from rowcall.postgres.read import Reader
from rowcall.sql import literal


@dataclass
class Moved:
    """What changed at the source since the settled chunks were read. `rows`: entity -> changed, new or deleted rows, at most;
    `tables`: path tables with other content; `chunks`: chunks to judge again."""

    rows: dict[str, int] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)
    chunks: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.rows or self.tables)

    def told(self) -> str:
        parts = [f"up to {n} rows of {entity}" for entity, n in self.rows.items()]
        parts += [f"the query of {t.removeprefix(QUERY)}" if t.startswith(QUERY) else f"table {t}" for t in self.tables]
        return f"the source changed since it was read ({', '.join(parts)})"


class Resume:
    """Compares the settled chunks with the source as the new snapshot shows it."""

    def __init__(self, plan: Plan, ledger: Ledger, reader: Reader, target: Reader, tables: Tables) -> None:
        self.plan, self.ledger, self.reader, self.target, self.tables = plan, ledger, reader, target, tables
        self.entities = {e.name: e for e in ledger.entities()}
        chunks = ledger.chunks()
        self.settled = [c for c in chunks if c.state == "settled"]
        self.open = {c.entity for c in chunks if c.state != "settled"}
        self.snapshots = {s.id: s for s in ledger.snapshots()}

    def moved(self) -> Moved:
        """What moved, and which settled chunks it touches. Changes nothing."""
        moved = Moved()
        again = self._by_tables(moved)
        chunks: set[int] = set()
        for name in dict.fromkeys(c.entity for c in self.settled):
            keys = self._moved_keys(self.plan.judge(name), [c for c in self.settled if c.entity == name])
            if keys:
                moved.rows[name] = len(keys)
                chunks |= self._chunks_of(self.plan.judge(name), keys)
                again |= descendants(self.plan.mapping.entities, [name]) - {name}
                if self._together(name):
                    again |= self._group(name)
        moved.chunks = sorted(chunks | {c.id for c in self.settled if c.entity in again})
        return moved

    # -- what moved -------------------------------------------------------------------------------------------------

    def _by_tables(self, moved: Moved) -> set[str]:
        """Entities whose paths walk on a table with other content than when their chunks were read."""
        again: set[str] = set()
        for number, entity in {(c.snapshot, c.entity) for c in self.settled}:
            known = self.ledger.digests(number or 0)
            read = self.tables.walked_by(self.plan.judge(entity))
            changed = [t for t in read if t in known and known[t] != self.tables.digest(t)]
            if changed:
                moved.tables += [t for t in changed if t not in moved.tables]
                again |= descendants(self.plan.mapping.entities, [entity])
        return again

    def _moved_keys(self, judge: Judge, chunks: Sequence[ChunkRecord]) -> set[str]:
        table = self.plan.knowledge.source.tables[judge.entity.source]
        by_pages, together = _by_pages(chunks), self._together(judge.entity.name)
        keys: set[str] = set()
        for number in {c.snapshot for c in chunks}:
            visible = self.snapshots[number or 0].visible
            if table.kind == "q":  # its content is compared as that of a path table
                return set()
            if table.kind not in ("r", "p"):
                return {"*"}
            within = "true"
            if not by_pages and not together:  # else a row of an open chunk may have taken a settled row's unique value
                within = " or ".join(f"({c.span.within(judge.key)})" for c in chunks if c.snapshot == number)
            found = self.reader.table(
                f"select ({judge.key.sql})::text as k from {judge.entity.relation()} where ({within}) "
                f"and {XMIN} >= txid_snapshot_xmin({literal(visible)}::txid_snapshot)"
            )
            keys |= set(found["k"].to_pylist())
        deleted = self._deleted(judge, chunks)
        if by_pages and not together and judge.entity.name in self.open:
            keys = self._with_line(keys)
        return keys | deleted

    def _deleted(self, judge: Judge, chunks: Sequence[ChunkRecord]) -> set[str]:
        """Settled keys that the source has no more."""
        duck = self.tables.worker.duck
        duck.execute("create or replace temp table now_keys (k varchar)")
        duck.execute("create or replace temp table settled_keys (k varchar)")
        numbers = ", ".join(str(c.id) for c in chunks)
        sources = {
            "now_keys": self.reader.batches(f"select ({judge.key.sql})::text as k from {judge.entity.relation()}"),
            "settled_keys": self.target.batches(
                f"select source_key as k from rowcall.settlement where chunk in ({numbers})"
            ),
        }
        for name, batches in sources.items():
            for batch in batches:
                duck.register("loading", batch)
                duck.execute(f"insert into {name} select k from loading")
                duck.unregister("loading")
        return {k for (k,) in duck.sql("select k from settled_keys except select k from now_keys").fetchall()}

    def _with_line(self, keys: set[str]) -> set[str]:
        """Those of them that `_deleted` has just found among the settled ones."""
        duck = self.tables.worker.duck
        duck.register("loading", pa.table({"k": pa.array(sorted(keys), pa.string())}))
        found = {k for (k,) in duck.sql("select k from loading semi join settled_keys using (k)").fetchall()}
        duck.unregister("loading")
        return found

    # -- what that touches ------------------------------------------------------------------------------------------

    def _chunks_of(self, judge: Judge, keys: set[str]) -> set[int]:
        """The settled chunks that hold these keys: by the ledger's lines, new keys by their range of keys."""
        chunks = [c for c in self.settled if c.entity == judge.entity.name]
        if "*" in keys:
            return {c.id for c in chunks}
        found: set[int] = set()
        for chunk in () if _by_pages(chunks) else chunks:
            present = self.reader.table(
                f"select exists (select from {judge.entity.relation()} where {chunk.span.within(judge.key)} "
                f"and {judge.key.among(sorted(keys))}) as hit"
            )
            if present["hit"][0].as_py():
                found.add(chunk.id)
        wanted = ", ".join(literal(k) for k in sorted(keys))
        entity = self.entities[judge.entity.name].id
        lines = self.target.table(
            f"select distinct chunk from rowcall.settlement where entity = {entity} and source_key in ({wanted})"
        )
        return found | set(lines["chunk"].to_pylist())

    def _together(self, entity: str) -> bool:
        """Whether an entity's verdicts hang together across chunks."""
        return next(s.prejudged for s in self.plan.steps if entity in s.group.entities)

    def _group(self, entity: str) -> set[str]:
        return set(next(s.group.entities for s in self.plan.steps if entity in s.group.entities))

    def take_back(self, moved: Moved) -> None:
        """Opens the touched chunks again, children first, so that no reference is in the way."""
        chunks = set(moved.chunks)
        touched = {c.entity for c in self.settled if c.id in chunks}
        refuse_dependents(self.ledger, self.plan.knowledge.target, [self.entities[name] for name in touched])
        by_entity: Mapping[str, list[ChunkRecord]] = {
            name: [c for c in self.settled if c.entity == name and c.id in chunks] for name in self.entities
        }
        for step in reversed(self.plan.steps):
            records: list[EntityRecord] = [self.entities[n] for n in step.group.entities]
            if step.group.cyclic:
                take_back_group(self.ledger, records, [c for r in records for c in by_entity[r.name]])
            else:
                for _ in take_back_chunks(self.ledger, records[0], by_entity[records[0].name]):
                    pass


def _by_pages(chunks: Sequence[ChunkRecord]) -> bool:
    return any(c.span.by_pages for c in chunks)


# xmin as a 64-bit transaction id: its epoch is that of the current one, or the one before.
_NOW = "txid_snapshot_xmax(txid_current_snapshot())"
_NEAR = f"(({_NOW} >> 32) << 32) + xmin::text::bigint"
XMIN = f"case when {_NEAR} > {_NOW} then {_NEAR} - 4294967296 else {_NEAR} end"
