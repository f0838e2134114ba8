"""How an entity's rows are cut into chunks: spans of the source table that together hold every row once.

There are three ways, the cheapest that fits is taken (see `move.chunking`):

- `key_ranges`: an integer key that is dense, by arithmetic on its least and greatest value. A key is unique, so a range of
  so many values never holds more rows than that, however the keys are spread: no chunk has more than SPARSE times the rows
  asked for, by whatever the estimate of rows was wrong. Not where neighbours in key order lie far apart in the heap, so that
  every page would be read for SCATTERED chunks and more.
- `page_ranges`: any other key of a plain table, by the pages of its heap (a TID Range Scan, from Postgres 14 on). A chunk
  has about as many rows as asked for where rows are about equally wide, and never more than PAGES pages, on which at most
  291 rows each find room (MaxHeapTuplesPerPage, src/include/access/htup_details.h).
- `bounds_sql` and `ranges`: everything else, exactly, by numbering all rows in key order: a sort or a scan of an index.

Key ranges are open below and above, so that no key falls between, whatever comes later. Pages mean something on the snapshot
they were counted on only: under another one a row may have moved (see `move.replan`).
https://www.postgresql.org/docs/current/ddl-system-columns.html (ctid)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rowcall.plan.judge import Judge
from rowcall.plan.keys import BIGINT, Key
from rowcall.sql import ident, literal, qualified

SPARSE = 4  # values per row up to which an integer key counts as dense
PAGES = 2_048  # of 8 kB: 16 MB of the table
CHUNK_BYTES = (
    128 << 20
)  # of the table, out of line values included: so that wide rows, too, are work for several workers
SAMPLE = 1_000  # pages that are counted, of a table that has more
SCATTERED = 2  # ranges of keys, on average, that have rows on the same page


@dataclass(frozen=True)
class Span:
    """Which rows are a chunk's. A range of keys (the key columns' texts): above `lower`, up to and with `upper`, None is open;
    or of pages: from `first_page` on, before `end_page` (None: to the last), but for `strays` rows that were settled before.
    Where they stand is `without`: ctids as the text of a tid[], read when the chunk's turn comes (`Ledger.whole`)."""

    lower: tuple[str, ...] | None = None
    upper: tuple[str, ...] | None = None
    first_page: int | None = None
    end_page: int | None = None
    strays: int = 0
    without: str = ""

    @property
    def by_pages(self) -> bool:
        return self.first_page is not None

    def within(self, key: Key) -> str:
        """Postgres SQL over the bare source table: the one place that says which rows these are."""
        if not self.by_pages:
            return key.within(self.lower, self.upper)
        if self.strays and not self.without:
            raise ValueError("the strays of a chunk were not read: see Ledger.whole")
        parts = [f"ctid >= '({self.first_page},0)'::tid"]
        if self.end_page is not None:
            parts.append(f"ctid < '({self.end_page},0)'::tid")
        if self.strays:
            settled = f"unnest({literal(self.without)}::tid[]) as settled (place)"
            parts.append(f"not exists (select from {settled} where settled.place = ctid)")
        return " and ".join(parts)


@dataclass(frozen=True)
class Chunking:
    """An entity's spans, and its rows on the snapshot: counted, or an estimate."""

    rows: int
    counted: bool
    spans: tuple[Span, ...]


def shape_sql(judge: Judge) -> str:
    """Postgres SQL: (plain, by_pages, pages, bytes): whether the source is one heap of its own, with nothing that inherits
    from it; whether the server reads ranges of pages; how many pages there are; bytes with those of out of line values."""
    return (
        "select c.relkind in ('r', 'm') and not c.relhassubclass and coalesce(a.amname, 'heap') = 'heap' as plain, "
        "current_setting('server_version_num')::int >= 140000 as by_pages, "
        "case when c.relkind in ('r', 'm') then pg_relation_size(c.oid) / current_setting('block_size')::int else 0 end as pages, "
        "case when c.relkind in ('r', 'm') then pg_table_size(c.oid) else 0 end as bytes "
        f"from pg_class c left join pg_am a on a.oid = c.relam where c.oid = {literal(qualified(judge.entity.base))}::regclass"
    )


def rows_sql(judge: Judge, pages: int) -> str:
    """Postgres SQL: the number of rows, of a large table those on about SAMPLE pages."""
    sample = f" tablesample system ({100 * SAMPLE / pages!r}) repeatable (0)" if pages > SAMPLE else ""
    return f"select count(*) as n from {qualified(judge.entity.base)}{sample}"


def scattered_sql(judge: Judge, pages: int, least: int, width: int) -> str:
    """Postgres SQL: how many ranges of `width` keys have rows on a page, for each that its rows alone would fill; on average
    of about SAMPLE / 10 pages."""
    number = f"({judge.key.names}::int8 - {least}) / {width}"
    return (
        f"select avg(ranges::float8 / ((rows - 1) / {width} + 1)) as ranges "
        f"from (select count(distinct {number}) as ranges, count(*) as rows "
        f"from {qualified(judge.entity.base)} tablesample system ({10 * SAMPLE / pages!r}) repeatable (0) "
        "group by (ctid::text::point)[0]) page"
    )


def ends_sql(judge: Judge) -> str:
    """Postgres SQL: (least, greatest) of an integer key; its index has them."""
    ends = (f"{which}({judge.key.names})::int8 as {name}" for which, name in (("min", "least"), ("max", "greatest")))
    return f"select {', '.join(ends)} from {qualified(judge.entity.base)}"


def fewer(rows: int, estimate: int, size: int) -> int:
    """As many of the rows asked for as CHUNK_BYTES hold, of a table of about `estimate` rows and `size` bytes."""
    return max(min(rows, CHUNK_BYTES * estimate // max(size, 1)), 1)


def is_number(key: Key) -> bool:
    """Whether a key is a single integer."""
    return len(key.columns) == 1 and key.kind == BIGINT


def key_width(least: int, greatest: int, estimate: int, rows: int) -> int | None:
    """How many values of an integer key make a range of about so many rows; None where it is too sparse for that."""
    values = greatest - least + 1
    if values > SPARSE * max(estimate, rows):
        return None
    return min(max(rows * values // max(estimate, 1), rows), SPARSE * rows)


def key_ranges(least: int, greatest: int, width: int) -> tuple[Span, ...]:
    """Ranges of equally many values of an integer key."""
    return _between([(str(bound),) for bound in range(least + width - 1, greatest, width)])


def page_ranges(pages: int, estimate: int, rows: int) -> tuple[Span, ...]:
    """Ranges of equally many pages; a single chunk is a range of keys, which moved rows cannot leave."""
    size = min(max(rows * pages // max(estimate, 1), 1), PAGES)
    if pages <= size:
        return (Span(),)
    return tuple(Span(first_page=at, end_page=at + size if at + size < pages else None) for at in range(0, pages, size))


def bounds_sql(judge: Judge, rows: int) -> str:
    """Postgres SQL: (bound text[], total) for every `rows`-th key in key order, and for the last."""
    key, entity = judge.key, judge.entity
    rows_of = entity.relation() if entity.fans_out else qualified(entity.base)
    return (
        f"select bound, total from (select {key.texts} as bound, row_number() over (order by {key.names}) as n, "
        f"count(*) over () as total from {rows_of}) t where n % {rows} = 0 or n = total order by n"
    )


def declared_key_sql(judge: Judge) -> str:
    """Postgres SQL: of a key that is not in the catalog (twice, nameless): values that come more than once, rows with a NULL."""
    null = " or ".join(f"{ident(name)} is null" for name in judge.entity.key)
    source, names = qualified(judge.entity.source), judge.key.names
    return (
        f"select (select count(*) from (select from {source} where not ({null}) group by {names} having count(*) > 1) t) as twice, "
        f"(select count(*) from {source} where {null}) as nameless"
    )


def query_keys_sql(judge: Judge) -> str:
    """Postgres SQL: of a source that is a query (twice, strange, nameless): keys that it returns more than once, rows whose key its
    base table does not have, rows whose key is NULL."""
    query = judge.entity.query
    assert query is not None
    every = ", ".join(ident("q", name) for name in (*query.key, *query.further))
    null = " or ".join(f"{ident('q', name)} is null" for name in (*query.key, *query.further))
    rows = f"(select {every} from (\n{query.sql}\n) q)"
    return (
        f"select (select count(*) from (select from {rows} q where not ({null}) group by {every} having count(*) > 1) t) as twice, "
        f"(select count(*) from {rows} q where not ({null}) and not exists "
        f"(select from {qualified(query.base)} b where {query.met})) as strange, "
        f"(select count(*) from {rows} q where {null}) as nameless"
    )


def ranges(rows: Sequence[tuple[Any, int]]) -> Chunking:
    """The exact way, from what `bounds_sql` yields."""
    bounds = [tuple(bound) for bound, _ in rows[:-1]]
    return Chunking(rows[0][1] if rows else 0, True, _between(bounds))


def _between(bounds: Sequence[tuple[str, ...]]) -> tuple[Span, ...]:
    """Spans around these bounds, open below the first and above the last."""
    return tuple(Span(lower, upper) for lower, upper in pairwise([None, *bounds, None]))
