"""Rows before and after, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from rowcall.report.text import plain_table
from rowcall.sample import Sampled, Samples

LONGEST = 60  # characters of a value


def sampled_parts(samples: Samples) -> Iterator[Table | str]:
    if not samples.rows:
        yield f"{samples.entity} has no rows"
    for row in samples.rows:
        yield f"{samples.entity} {row.key}: {row.fate}"
        if row.after:
            yield _columns(samples, row)
    yield "no row was written; every parent is thought to migrate: `rowcall check` says which do"


def _columns(samples: Samples, row: Sampled) -> Table:
    table = plain_table(None, [], [])
    table.add_column("column", no_wrap=True)
    for head in ("filled by", "before", "after"):
        table.add_column(head, overflow="fold", min_width=10)
    for column, value in row.after.items():
        filler, before = samples.fillers.get(column, ""), row.before.get(samples.reads.get(column, ""), "")
        table.add_row(*map(Text, (column, " ".join(filler.split())[:LONGEST], _short(before), _short(value))))
    return table


def _short(value: str | None) -> str:
    text = "NULL" if value is None else value
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
