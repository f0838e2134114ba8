"""Key ranges of about equal numbers of rows, which together cover every key there is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from rowcall.plan.judge import Judge
from rowcall.sql import qualified


def bounds_sql(judge: Judge, rows: int) -> str:
    """Postgres SQL: (bound text[], total) for every `rows`-th key in key order."""
    key = judge.key
    return (
        f"select bound, total from (select {key.texts} as bound, row_number() over (order by {key.names}) as n, "
        f"count(*) over () as total from {qualified(judge.entity.source)}) t where n % {rows} = 0 or n = total order by n"
    )


def ranges(rows: Sequence[tuple[Any, int]]) -> tuple[int, list[tuple[Any, Any]]]:
    """(all rows, [(lower, upper)]). The first range is open below and the last above: no key can fall between."""
    if not rows:
        return 0, [(None, None)]
    total = rows[0][1]
    inner = [bound for bound, _ in rows[:-1]]
    edges: list[Any] = [None, *inner, None]
    return total, list(pairwise(edges))
