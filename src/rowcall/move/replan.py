"""Going on with chunks by pages under a new snapshot: rows may stand elsewhere now, so what is left is planned anew.

An UPDATE moves a row, VACUUM FULL and CLUSTER move all of them without a trace in xmin. So the pages of chunks that are not
settled say nothing any more, and only the ledger's lines tell which rows are left: those whose keys have none. They are
found by an anti-join on the new snapshot, and the pages on which they stand are cut into chunks. Settled rows among them
are the chunk's strays, each named by its place: so a key without a line is in exactly one chunk, and one with a line in none.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from rowcall.ledger.book import EntityRecord, Ledger
from rowcall.loading import load, table_of
from rowcall.plan.chunks import Span
from rowcall.plan.judge import Judge
from rowcall.plan.plan import CHUNK_ROWS
from rowcall.postgres.queries import named_queries
from rowcall.postgres.read import Reader


class Remains:
    """The rows of one entity that have no line in the ledger, as pages of the reader's snapshot. `rows` is the number of all
    its rows there."""

    def __init__(
        self, judge: Judge, entity: int, source: Reader, target: Reader, duck: duckdb.DuckDBPyConnection
    ) -> None:
        self.duck = duck.cursor()  # temporary tables of its own
        self._sql = named_queries("rowcall.move", "replan.sql")
        table_of(self.duck, "now_rows", "k varchar, place varchar")
        rows = f"select ({judge.key.sql})::text as k, ctid::text as place from {judge.entity.relation()}"
        load(self.duck, "now_rows", source.batches(rows))
        table_of(self.duck, "settled_rows", "k varchar")
        lines = f"select source_key as k from rowcall.settlement where entity = {entity}"
        load(self.duck, "settled_rows", target.batches(lines))
        self.rows = int(self.duck.sql("select count(*) from now_rows").fetchall()[0][0])

    def spans(self, rows: int = CHUNK_ROWS) -> Iterator[Span]:
        """Their pages as spans of about `rows` rows, strays included; one at a time, for strays may be many."""
        for name in ("cut", "strays"):
            for statement in self._sql[name].split(";\n"):
                self.duck.execute(statement, {"rows": rows} if "$rows" in statement else None)
        for part, first, last in self.duck.execute(self._sql["parts"]).fetchall():
            strays = self.duck.execute(self._sql["stray"], {"part": part}).fetchone() or (0, "")
            yield Span(None, None, first, last + 1, *strays)

    def close(self) -> None:
        self.duck.close()


def plan_anew(record: EntityRecord, ledger: Ledger, remains: Remains, number: int) -> int:
    """Puts chunks over what is left in the place of those that are not settled, numbered from `number`, which none has had
    yet: whoever still works on an old one must find it gone. The next free number."""
    with ledger.session.transaction():
        dropped, subxids = ledger.drop_planned(record.id)
        first = number
        for span in remains.spans():
            number = ledger.add_chunks(record.id, number, [span])
        if dropped and number == first:  # an entity has a chunk even if all of its rows are gone
            number = ledger.add_chunks(record.id, number, [Span(first_page=0, end_page=0)])
        if subxids:
            ledger.keep_subxids(record.id, subxids)
        ledger.expect(record.name, remains.rows)
    return number
