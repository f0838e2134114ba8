"""The cleaning list: one line per quarantined row, for the people who own the data; streamed, however many there are."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import Any

from rowcall.explain.causes import query
from rowcall.explain.fitting import fitting
from rowcall.explain.samples import masked_detail
from rowcall.plan.plan import Plan
from rowcall.postgres.read import Reader

_FORMULA = frozenset("=+-@\t\r")
ROWS = 5_000  # written at a time
COLUMNS = (
    "entity", "key", "cause", "column", "hop", "evidence", "detail", "other_defects", "root_entity", "root_key", "disposition",
    "remedies",
)  # fmt: skip


def write_cleaning_list(plan: Plan, target: Reader, write: Callable[[str], object], show_values: bool) -> None:
    """CSV (RFC 4180) with a head. With `show_values` what was seen is a column, too; else keys that are no numbers are masked in
    the details."""
    names = [*COLUMNS, "value"] if show_values else list(COLUMNS)
    _write([names], write)
    known = {entity.name for entity in plan.mapping.entities}
    remedies = cache(lambda e, code, column: " ".join(fitting(plan, e, code, [column])) if e in known else "")
    for batch in target.batches(query("cleaning")):
        for at in range(0, batch.num_rows, ROWS):
            told = batch.slice(at, ROWS).to_pydict()
            told["remedies"] = list(map(remedies, told["entity"], told["cause"], told["column"]))
            if not show_values:
                told["detail"] = list(map(partial(masked_detail, plan), told["entity"], told["cause"], told["detail"]))
            _write(zip(*(told[name] for name in names), strict=True), write)


def _write(rows: Iterable[Sequence[Any]], write: Callable[[str], object]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([_harmless(cell) for cell in row] for row in rows)
    write(text.getvalue())


def _harmless(cell: Any) -> Any:
    """A text that a spreadsheet would compute, with an apostrophe before it (OWASP, CSV injection). Numbers stay."""
    risky = isinstance(cell, str) and cell[:1] in _FORMULA and not re.fullmatch(r"-?\d+(\.\d+)?", cell)
    return f"'{cell}" if risky else cell
