"""Asks the source what is needed to cut an entity into chunks: its size, a sample, the ends of its key."""

from __future__ import annotations

from rowcall.errors import SourceUnreadable
from rowcall.ledger.book import ChunkRecord
from rowcall.plan.chunks import (
    SAMPLE,
    SCATTERED,
    Chunking,
    Span,
    bounds_sql,
    declared_key_sql,
    ends_sql,
    fewer,
    is_number,
    key_ranges,
    key_width,
    page_ranges,
    query_keys_sql,
    ranges,
    rows_sql,
    scattered_sql,
    shape_sql,
)
from rowcall.plan.judge import Judge
from rowcall.plan.plan import CHUNK_ROWS
from rowcall.postgres.read import Reader


def chunk_ranges(judge: Judge, reader: Reader, rows: int = CHUNK_ROWS) -> Chunking:
    """An entity's chunks of about `rows` rows on the reader's snapshot, by the cheapest way that fits. Raises SourceUnreadable
    for a query that does not keep to its base table."""
    need_keys(judge, reader)
    (shape,) = reader.table(shape_sql(judge)).to_pylist()
    if not shape["plain"] or judge.entity.fans_out:
        return _exactly(judge, reader, rows)
    pages = int(shape["pages"])
    sampled = int(reader.table(rows_sql(judge, pages))["n"][0].as_py())
    estimate = sampled * pages // SAMPLE if pages > SAMPLE else sampled
    rows = fewer(rows, estimate, int(shape["bytes"])) if estimate else rows
    by_pages = shape["by_pages"] and judge.entity.query is None
    spans = _by_keys(judge, reader, estimate, rows, pages if by_pages else 0)
    if spans is None and by_pages:
        spans = page_ranges(pages, estimate, rows)
    return Chunking(estimate, pages <= SAMPLE, spans) if spans else _exactly(judge, reader, rows)


def _by_keys(judge: Judge, reader: Reader, estimate: int, rows: int, pages: int) -> tuple[Span, ...] | None:
    """By arithmetic, where the key is a dense integer whose order is about that of the pages (0: where these cannot be read
    in ranges)."""
    if not is_number(judge.key):
        return None
    (ends,) = reader.table(ends_sql(judge)).to_pylist()
    least, greatest = ends["least"], ends["greatest"]
    if least is None:
        return (Span(),)
    width = key_width(least, greatest, estimate, rows)
    if width is None or (pages > SAMPLE and _scattered(judge, reader, pages, least, width)):
        return None
    return key_ranges(least, greatest, width)


def _scattered(judge: Judge, reader: Reader, pages: int, least: int, width: int) -> bool:
    found = reader.table(scattered_sql(judge, pages, least, width))["ranges"][0].as_py()
    return found is not None and found >= SCATTERED


def need_keys(judge: Judge, reader: Reader) -> None:
    """Raises SourceUnreadable where a query does not keep to its base table, or a declared key is none."""
    if judge.entity.query is not None and not judge.entity.query.counted:
        _need_keys(judge, reader)
    if judge.entity.declared:
        (found,) = reader.table(declared_key_sql(judge)).to_pylist()
        for what, rows in found.items():
            if rows:
                raise SourceUnreadable(
                    judge.entity.source, f"has {rows:,} {_WRONG_KEY[what]} ({', '.join(judge.entity.key)})", sqlstate="23505",
                    hint="write a key that tells its rows apart, or `rows: counted`: see docs/mapping.md#a-table-without-a-key",
                )  # fmt: skip


def _need_keys(judge: Judge, reader: Reader) -> None:
    """A query's rows are told by its key: one that comes twice, or that its base table does not have, would be lost unseen."""
    (found,) = reader.table(query_keys_sql(judge)).to_pylist()
    for what, rows in found.items():
        if rows:
            raise SourceUnreadable(
                f"the query of {judge.entity.name}", f"returns {rows:,} {_WRONG[what]}", sqlstate="23505",
                hint="make it return one row for each row of its base table: see docs/mapping.md#a-query-as-a-source",
            )  # fmt: skip


_WRONG_KEY = {"twice": "values more than once in its declared key", "nameless": "rows with a NULL in its declared key"}
_WRONG = {
    "twice": "keys more than once: several rows for one of its base table need further columns in `key:`",
    "strange": "rows whose key the base table does not have",
    "nameless": "rows whose key is NULL",
}


def _exactly(judge: Judge, reader: Reader, rows: int) -> Chunking:
    """By numbering every row in key order."""
    table = reader.table(bounds_sql(judge, rows))
    return ranges(list(zip(table["bound"].to_pylist(), table["total"].to_pylist(), strict=True)))


def unbooked(judge: Judge, chunking: Chunking) -> list[ChunkRecord]:
    """Chunks that are in no ledger: to judge all rows without settling them."""
    return [
        ChunkRecord(number, judge.entity.name, span, state="planned", epoch=0, snapshot=None)
        for number, span in enumerate(chunking.spans, 1)
    ]
