"""Judging batches: a first look, the questions to Postgres, a closer look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rowcall.move.ids import uuids
from rowcall.move.verdicts import REJECTED, Verdicts, in_turn, one, queried
from rowcall.plan.json_fault import json_fault
from rowcall.plan.judge import Judge, out_name
from rowcall.plan.paths import fate_table
from rowcall.plan.values import Ask
from rowcall.postgres.ask import Answered
from rowcall.rows import Reason
from rowcall.schema import Type
from rowcall.sql import literal

Asker = Callable[[Type, Sequence[str], bool], list[Answered]]

# Rows that wait for a closer look: planning one costs as much as judging many rows.
CLOSER_ROWS, CLOSER_BYTES = 20_000, 8 << 20
ELEMENTS = 50_000  # of columns that are taken apart, in one look: each becomes a row for a while
# What the judge's query finds of a row (workspace: rejection).
_FINDINGS = pa.list_(
    pa.struct(
        [(name, pa.int32()) for name in ("rank", "place", "hop")]
        + [(name, pa.string()) for name in ("code", "column", "reference", "value", "evidence", "detail")]
        + [(name, pa.string()) for name in ("root_entity", "root_key", "parent_entity", "parent_key")]
    )
)
# A row with a defect of its own is its own root, whatever else keeps it back.
_REJECTED_SQL = """
select n.k::varchar as key, f.code, f."column", f.reference, f.hop, f.evidence,
       case when victim then {root_entity} else {own} end as root_entity,
       case when victim then {root_key} else n.k::varchar end as root_key, f.parent_entity, f.parent_key,
       to_json(list_transform(findings, lambda x: struct_pack(code := x.code, "column" := x."column",
           reference := x.reference, hop := x.hop, "value" := x."value", evidence := x.evidence,
           detail := x.detail, parent_entity := x.parent_entity, parent_key := x.parent_key)))::varchar as rejections
from (select k, findings, findings[1] as f, is_victim(findings) as victim from n where findings is not null) n {fates}"""


def judge_batches(
    judge: Judge, batches: Iterable[Any], duck: duckdb.DuckDBPyConnection, asker: Asker
) -> Iterator[Verdicts]:
    """Batches through the entity's queries: of each the rows that are sound at first sight; the others are gathered, and
    looked at closely together.

    `duck` is the caller's own cursor: registered names are private to it.
    """
    waiting: list[Any] = []
    for batch in _in_parts(judge, batches):
        verdicts, rest = _first_look(judge, batch, duck)
        del batch
        if rest is not None:
            waiting.append(rest)
        del rest
        yield verdicts
        del verdicts
        if sum(b.num_rows for b in waiting) >= CLOSER_ROWS or sum(b.nbytes for b in waiting) >= CLOSER_BYTES:
            yield from _closer_look(judge, waiting, duck, asker)
            waiting = []
    if waiting:
        yield from _closer_look(judge, waiting, duck, asker)


def _in_parts(judge: Judge, batches: Iterable[Any]) -> Iterable[Any]:
    """The batches; where columns are taken apart, in parts with about as many elements as one look may have."""
    return (part for rows in batches for part in _parts(judge, rows)) if judge.apart else batches


def _parts(judge: Judge, rows: Any) -> Iterator[Any]:
    weights = np.ones(rows.num_rows, dtype=np.int64)
    for name, between in judge.apart:
        weights += pc.fill_null(pc.count_substring(rows[name], between), 0).to_numpy(zero_copy_only=False)
    cuts = [0, *(np.flatnonzero(np.diff(np.cumsum(weights) // ELEMENTS)) + 1).tolist(), rows.num_rows]
    yield from (rows.slice(at, end - at) for at, end in pairwise(cuts))


def _first_look(judge: Judge, batch: Any, duck: duckdb.DuckDBPyConnection) -> tuple[Verdicts, Any]:
    """The rows that are sound at first sight, and those that are to be looked at closely (None: none)."""
    rows = batch.num_rows
    numbers = pa.array(np.arange(rows, dtype=np.int32))
    found = in_turn(queried(judge.quick_sql, batch.append_column("row", numbers), duck), numbers)
    rest = None
    if found is None:  # a table that it is joined with has a value twice
        batch, rest = batch.slice(0, 0), batch
        found = queried(judge.quick_sql, batch.append_column("row", numbers.slice(0, 0)), duck)
    else:
        sound = one(found["sound"])
        if pc.min(sound).as_py() is False:
            rest = batch.filter(pc.invert(sound))
    names = found.column_names
    columns: dict[str, Any] = {
        "k": batch["k"],
        "excluded": pa.nulls(batch.num_rows, pa.string()),
        "findings": pa.nulls(batch.num_rows, _FINDINGS),
        "conceded": pa.nulls(batch.num_rows),
    }
    columns |= {name: found[name] for name in names if name not in ("row", "sound")}
    columns |= {name: batch[alias] for name, alias in judge.passing.items()}
    whole = rest is None or not batch.num_rows
    sound = None if whole else one(found["sound"])
    return Verdicts(judge, _with_ids(judge, pa.table(columns)), duck, sound=sound), rest


def _with_ids(judge: Judge, table: Any) -> Any:
    """The table with uuids in place of their digits."""
    if judge.entity.given_id:
        return table
    name = out_name(judge.entity.id_column)
    return table.set_column(table.schema.get_field_index(name), name, uuids(one(table[name]), judge.entity.ids.version))


def _closer_look(
    judge: Judge, batches: Sequence[Any], duck: duckdb.DuckDBPyConnection, asker: Asker
) -> Iterator[Verdicts]:
    for part in _in_parts(judge, [pa.Table.from_batches(batches)]):
        yield _judged_closely(judge, part, duck, asker)


def _judged_closely(judge: Judge, batch: Any, duck: duckdb.DuckDBPyConnection, asker: Asker) -> Verdicts:
    """With the answers to what must be asked, and all findings."""
    names: list[str] = []
    try:
        for question in judge.asks:
            answers = _asked(question, batch, duck, asker)
            names.append(f"ask {question.alias}")
            duck.register(names[-1], answers)
        judged = _with_ids(judge, queried(judge.sql, batch, duck))
    finally:
        for name in names:
            duck.unregister(name)
    if judged["findings"].null_count == judged.num_rows:
        return Verdicts(judge, judged, duck)
    return Verdicts(judge, judged, duck, queried(_rejected_sql(judge), judged, duck).cast(REJECTED))


def _rejected_sql(judge: Judge) -> str:
    """The root of a row of a cyclic group is that by which it fell, as its own children have it."""
    own, fates, root = literal(judge.entity.name), "", ("f.root_entity", "f.root_key")
    if judge.group_references:
        fates = f"left join {fate_table(judge.entity.name)} o on o.k = n.k and o.root_entity is not null"
        root = "coalesce(o.root_entity, f.root_entity)", "coalesce(o.root_key, f.root_key)"
    return _REJECTED_SQL.format(own=own, fates=fates, root_entity=root[0], root_key=root[1])


_ANSWERS = pa.schema([*((name, pa.string()) for name in ("k", "code", "evidence", "detail")), ("bytes", pa.binary())])


def _asked(question: Ask, batch: Any, duck: duckdb.DuckDBPyConnection, asker: Asker) -> Any:
    """The answers to all suspects of one column, each different text asked once."""
    suspects = queried(f"select n.k as k, {question.value} as v from n where {question.suspect}", batch, duck)
    texts = pc.unique(suspects["v"]).to_pylist()
    answers = dict(zip(texts, asker(question.type, texts, question.json), strict=True)) if texts else {}
    if question.json:
        answers = {text: _located(text, answer) for text, answer in answers.items()}
    found = [answers[text] for text in suspects["v"].to_pylist()]
    table = pa.Table.from_arrays(
        [
            suspects["k"],
            pa.array([a.code.value if a.code else None for a in found], pa.string()),
            pa.array([a.evidence for a in found], pa.string()),
            pa.array([a.detail for a in found], pa.string()),
            pa.array([a.data for a in found], pa.binary()),
        ],
        names=_ANSWERS.names,
    )
    return table


def _located(text: str, answer: Answered) -> Answered:
    """What the target refused as JSON, with the kind of the fault as evidence and its place as detail."""
    if answer.code not in (Reason.MALFORMED_JSON, Reason.UNSTORABLE_TEXT):
        return answer
    kind, place = json_fault(text)
    at = f"at character {place:,}" if place else ""
    return replace(answer, evidence=kind, detail=", ".join(filter(None, (at, f"SQLSTATE {answer.evidence}"))))
