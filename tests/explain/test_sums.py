"""The sums of any run: whatever the schema, the mapping and the damage, they close, and every row has one cause with a proof.

The worlds come from worlds.py, what must hold of them from sums.py. To look for more, raise `max_examples` and set `derandomize`
to False; a failing world is printed whole by `make_world(Random(seed), rows)`.
"""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from conftest import MakeProject, Project, set_chunk_rows
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rowcall.rows import Reason

from .made import World
from .sums import Lost, examine, freed, prepare, roots_are_reached
from .worlds import make_world

SEEN = Counter[str]()  # over all examples: codes and kinds of proofs
CHANCE = settings(
    deadline=None, derandomize=True, database=None,
    phases=[Phase.generate],  # a seed is not made simpler by making it smaller
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip


@settings(CHANCE, max_examples=6)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 12), chunk=st.sampled_from((2, 5, 1000)))
def test_the_sums_of_any_run_close(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, seed: int, rows: int, chunk: int
) -> None:
    set_chunk_rows(monkeypatch, chunk)
    _try(_project(make_project), make_world(Random(seed), rows))


@settings(CHANCE, max_examples=2)
@given(seed=st.integers(0, 2**32))
def test_they_close_where_the_target_refuses_rows(make_project: MakeProject, seed: int) -> None:
    _try(_project(make_project), make_world(Random(seed), 8, refusals=True))


def test_the_examples_are_worth_it() -> None:
    """Chance was not too kind: most codes were seen, and both kinds of proofs."""
    if SEEN["worlds"] < 8:
        pytest.skip("only where the tests above ran, too")
    codes = {name for name in SEEN if "_" in name}
    assert len(codes) >= 12, sorted(codes)
    assert SEEN["query"] > SEEN["checked"] > 0


def _project(make_project: MakeProject) -> Project:
    """The test's only project: each example takes the place of the one before."""
    made: list[Project] = make_project.__dict__.setdefault("made", [])
    if not made:
        made.append(make_project())
    return made[0]


def _try(project: Project, world: World) -> None:
    prepare(project, world)
    SEEN.update(proof.kind for proof in examine(project, world))
    SEEN.update(
        code
        for (code,) in project.target.rows(
            "select distinct cause from rowcall.settlements where outcome = 'quarantined'"
        )
    )
    SEEN["worlds"] += 1


def test_what_is_freed_by_hand() -> None:
    """The oracle itself: orders 1 and 2 dangle; a note of order 1 is freed with it, one of both orders, too; one whose own JSON
    is broken as well waits for both; and nothing is freed by healing victims."""
    r, order = Reason, {f"{n}": ("orders", f"{n}") for n in (1, 2)}

    def victim(*parents: tuple[str, str], more: tuple[Reason, ...] = ()) -> Lost:
        return Lost((r.PARENT_QUARANTINED, *more), parents[0], parents[0], frozenset(parents))

    def own(row: tuple[str, str], code: Reason) -> Lost:
        return Lost((code,), row, None, frozenset())

    lost = {
        order["1"]: own(order["1"], r.DANGLING_REFERENCE),
        order["2"]: own(order["2"], r.DANGLING_REFERENCE),
        ("notes", "1"): victim(order["1"]),
        ("notes", "2"): victim(order["2"], order["1"]),
        ("notes", "3"): victim(order["1"], more=(r.MALFORMED_JSON,)),
        ("notes", "4"): own(("notes", "4"), r.MALFORMED_JSON),
    }
    assert freed(lost) == {
        ("orders", "dangling_reference"): 4, ("notes", "parent_quarantined"): 0, ("notes", "malformed_json"): 1
    }  # fmt: skip
    with pytest.raises(AssertionError, match="has a defect of its own"):
        roots_are_reached(lost, strictly=True)
