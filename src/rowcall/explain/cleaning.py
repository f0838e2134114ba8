"""The cleaning list: one line per quarantined row, for the people who own the data; streamed, however many there are."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rowcall.explain.causes import query
from rowcall.explain.samples import masked_detail
from rowcall.postgres.read import Reader

COLUMNS = (
    "entity", "key", "cause", "column", "hop", "evidence", "detail", "other_defects", "root_entity", "root_key", "disposition",
    "remedies",
)  # fmt: skip


def write_cleaning_list(
    target: Reader, remedies: Mapping[tuple[str, str], Sequence[str]], write: Callable[[str], object], show_values: bool
) -> None:
    """CSV (RFC 4180) with a head. `remedies`: (entity, code) -> those that fit. With `show_values` what was seen is a column,
    too; else keys that are no numbers are masked in the details."""
    columns = [*COLUMNS, "value"] if show_values else list(COLUMNS)
    _write([columns], write)
    for batch in target.batches(query("cleaning")):
        rows = batch.to_pylist()
        for row in rows:
            row["remedies"] = " ".join(remedies.get((row["entity"], row["cause"]), ()))
            if not show_values:
                row["detail"] = masked_detail(row["cause"], row["value"], row["detail"])
        _write([[row[name] for name in columns] for row in rows], write)


def _write(rows: Sequence[Sequence[Any]], write: Callable[[str], object]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    write(text.getvalue())
