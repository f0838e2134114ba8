"""Causes from a hand-made table of rejections: sums, order, and who keeps back whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from verify.world import World

from rowcall.explain import Cause, find_causes, read_rejected
from rowcall.rejected import REJECTED, create_rejected, load_rejected

DANGLING, VICTIM = "dangling_reference", "parent_quarantined"


SCHEMA = pa.schema([(name, pa.int32() if name == "hop" else pa.string()) for name in REJECTED])


def causes(*rows: tuple[Any, ...]) -> dict[tuple[str, str], Cause]:
    return {(c.entity, c.code): c for c in ordered(rows)}


def ordered(rows: Sequence[tuple[Any, ...]]) -> tuple[Cause, ...]:
    """From (entity, key, code, parent entity, parent key[, root entity, root key])."""
    duck = duckdb.connect()
    create_rejected(duck)
    given: list[dict[str, Any]] = []
    for entity, key, code, *rest in rows:
        parent_entity, parent_key, *root = [*rest, None, None][: max(2, len(rest))]
        root_entity, root_key = root if len(root) == 2 else (None, None)
        line = [entity, key, code, "c", "c", 1, None, root_entity, root_key, parent_entity, parent_key, "open"]
        given.append(dict(zip(REJECTED, line, strict=True)))
    load_rejected(duck, pa.Table.from_pylist(given, SCHEMA).to_batches(), "null")
    return find_causes(duck)


def test_no_rows_no_causes() -> None:
    assert causes() == {}


def test_shares_sum_to_one_and_roots_come_first() -> None:
    found = ordered(
        [
            ("notes", "1", "malformed_json"),
            ("notes", "2", "malformed_json"),
            ("orders", "1", DANGLING),
            ("cases", "1", VICTIM, "orders", "1", "orders", "1"),
            ("notes", "3", VICTIM, "cases", "1", "orders", "1"),
        ]
    )
    assert sum(c.share for c in found) == pytest.approx(1)
    assert [(c.entity, c.code, c.rows, c.victims) for c in found] == [
        ("orders", DANGLING, 1, 2),  # fewer rows than the broken notes, but it keeps others back
        ("notes", "malformed_json", 2, 0),
        ("cases", VICTIM, 1, 1),
        ("notes", VICTIM, 1, 0),
    ]
    assert [c.attribution for c in found] == ["source_data", "source_data", "relationship", "relationship"]


def test_roots_are_distinct_rows() -> None:
    root = ("orders", "1", "orders", "1")
    found = causes(("orders", "1", DANGLING), *(("notes", str(n), VICTIM, *root) for n in range(5)))
    assert found["notes", VICTIM].roots == 1
    assert (found["orders", DANGLING].roots, found["orders", DANGLING].victims) == (1, 5)


def test_a_chain_within_one_entity_counts_each_row_once() -> None:
    found = causes(
        ("p", "1", DANGLING), ("p", "2", VICTIM, "p", "1"), ("p", "3", VICTIM, "p", "2"), ("p", "4", VICTIM, "p", "3")
    )
    assert found["p", DANGLING].victims == 3
    assert found["p", VICTIM].victims == 2  # 3 and 4, kept back by 2; 2 itself is not


def test_a_long_chain_is_walked_to_its_end() -> None:
    rows = [("p", "0", DANGLING), *(("p", str(n), VICTIM, "p", str(n - 1)) for n in range(1, 500))]
    assert causes(*rows)["p", DANGLING].victims == 499


@pytest.mark.timeout(20)
def test_cycles_end() -> None:
    alone = causes(("p", "1", VICTIM, "p", "1"))
    assert alone["p", VICTIM].victims == 0
    pair = causes(("p", "1", VICTIM, "p", "2"), ("p", "2", VICTIM, "p", "1"))
    assert pair["p", VICTIM].victims == 2
    across = causes(("p", "1", VICTIM, "q", "1"), ("q", "1", VICTIM, "p", "1"), ("q", "2", VICTIM, "q", "1"))
    assert across["p", VICTIM].victims == 2  # both q, and not itself
    assert across["q", VICTIM].victims == 2  # p 1, and q 2 by q 1


def test_rows_of_two_causes_may_keep_back_the_same_row() -> None:
    """An order without a patient keeps back the note of its case, and so does the case."""
    found = causes(
        ("o", "1", DANGLING), ("c", "1", VICTIM, "o", "1"), ("c", "2", "cyclic_path"), ("n", "1", VICTIM, "c", "1")
    )
    assert {code: cause.victims for code, cause in found.items()} == {
        ("o", DANGLING): 2,
        ("c", VICTIM): 1,
        ("c", "cyclic_path"): 0,
        ("n", VICTIM): 0,
    }


def test_from_the_ledger(world: World) -> None:
    world.target.execute("update rowcall.quarantined_row set disposition = 'archived' where source_key = '103'")
    world.target.execute("update rowcall.quarantined_row set disposition = 'repaired' where source_key = '102'")
    read_rejected(world.target_reader, world.workspace.duck)
    found = {(c.entity, c.code): c for c in find_causes(world.workspace.duck)}
    assert sum(c.rows for c in found.values()) == 9  # of ten, one is repaired
    assert (found["notes", DANGLING].rows, found["notes", DANGLING].open) == (1, 0)
    assert found["orders", DANGLING].victims == 1
    document = found["orders", DANGLING].as_json()
    assert document["groups"] == [{"column": "person_id", "hop": 1, "evidence": None, "rows": 1}]
    assert document["proof"] is None
    assert "secret" not in str(found)
