"""The cleaning list: one line per quarantined row, for the people who own the data; streamed, however many there are."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from rowcall.explain.analysis import Fits
from rowcall.explain.causes import query
from rowcall.explain.samples import masked_detail, numbered
from rowcall.plan.keys import BIGINT, kind
from rowcall.plan.plan import Plan
from rowcall.postgres.read import Reader

_FORMULA = frozenset("=+-@\t\r")
ROWS = 5_000  # written at a time
COLUMNS = (
    "entity", "key", "cause", "column", "hop", "evidence", "detail", "other_defects", "root_entity", "root_key", "disposition",
    "decided_by", "decided_at", "reason",
    "remedies", "source_table", "source_path", "seen",
)  # fmt: skip


def write_cleaning_list(
    plan: Plan, target: Reader, write: Callable[[str], object], show_values: bool, fits: Fits
) -> None:
    """CSV (RFC 4180) with a head. With `show_values` what was seen is a column, too; else keys that are no numbers are masked in
    the details."""
    names = [*COLUMNS, "value"] if show_values else list(COLUMNS)
    _write([names], write)
    known = {entity.name for entity in plan.mapping.entities}
    remedies = cache(lambda e, code, column: " ".join(fits(e, code, [column])) if e in known else "")
    spot = cache(partial(_spot, plan))
    for batch in target.batches(query("cleaning")):
        for at in range(0, batch.num_rows, ROWS):
            told = batch.slice(at, ROWS).to_pydict()
            told["remedies"] = list(map(remedies, told["entity"], told["cause"], told["column"]))
            spots = list(map(spot, told["entity"], told["column"], told["hop"]))
            told["source_table"], told["source_path"] = [s.table for s in spots], [s.path for s in spots]
            told["seen"] = [value if s.numbers else None for s, value in zip(spots, told["value"], strict=True)]
            if not show_values:
                told["detail"] = list(map(partial(masked_detail, plan), told["entity"], told["cause"], told["detail"]))
            _write(zip(*(told[name] for name in names), strict=True), write)


@dataclass(frozen=True)
class _Spot:
    """Where in the source a row is at fault: its table, and the hop or the column. `numbers`: whether what was looked up there
    is a key that is an integer, and may be shown."""

    table: str
    path: str = ""
    numbers: bool = False


def _spot(plan: Plan, name: str, column: str | None, hop: str | None) -> _Spot:
    entity = next((e for e in plan.mapping.entities if e.name == name), None)
    if entity is None:
        return _Spot("")
    reference = next((r for r in entity.references if r.column == column), None)
    if reference is None:
        rule = next((r for r in entity.columns if r.column == column), None)
        return _Spot(entity.base, (rule.source or rule.sql or rule.content_type or "") if rule else column or "")
    number = int(hop or 1)
    hops = dict.fromkeys(r.path[number - 1] for r in reference.routes if number <= len(r.path))
    landings = [plan.knowledge.source.tables[h.table].column(h.to_column) for h in hops]
    numbers = all(landing is not None and kind(landing) == BIGINT for landing in landings)
    return _Spot(
        entity.base, " | ".join(map(str, hops)), numbers and all(numbered(plan, r.to) for r in reference.routes)
    )


def _write(rows: Iterable[Sequence[Any]], write: Callable[[str], object]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([_harmless(cell) for cell in row] for row in rows)
    write(text.getvalue())


def _harmless(cell: Any) -> Any:
    """A text that a spreadsheet would compute, with an apostrophe before it (OWASP, CSV injection). Numbers stay."""
    risky = isinstance(cell, str) and cell[:1] in _FORMULA and not re.fullmatch(r"-?\d+(\.\d+)?", cell)
    return f"'{cell}" if risky else cell
