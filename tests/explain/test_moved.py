"""Whatever the schema, the mapping, the damage and what moved: a run on a complete target ends as one that begins anew."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from conftest import MakeProject, set_chunk_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from .moved import contents, move_on
from .sums import prepare
from .test_sums import CHANCE
from .worlds import make_world

SEEN = Counter[str]()


@settings(CHANCE, max_examples=2)
@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(6, 30),
    chunk=st.sampled_from((3, 1000)),
    refusals=st.sampled_from((False, False, True)),
)
def test_a_later_run_ends_as_one_that_begins_anew(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, seed: int, rows: int, chunk: int, refusals: bool
) -> None:
    set_chunk_rows(monkeypatch, chunk)
    made = make_project.__dict__.setdefault("made", [])
    if not made:
        made += [make_project()]
        made += [make_project(source_of=made[0].source_dsn)]
    later, anew = made
    world, chance = make_world(Random(seed), rows, refusals=refusals), Random(seed)
    prepare(later, world)
    later.write(world.mapping, f"{world.more}\ndeleted: delete")
    later.run()
    for _ in range(2):
        move_on(later.source, chance)
        result = later.run()
        lines = result.caught_up.entities if result.caught_up else ()
        SEEN.update({name: n for e in lines for name, n in vars(e).items() if name != "entity" and n})
    anew.target.execute(
        "set client_min_messages = warning; drop schema if exists public, rowcall cascade; create schema public"
    )
    anew.target.execute(world.target_sql)
    anew.write(world.mapping, f"{world.more}\ndeleted: delete")
    anew.run()
    assert result.complete
    assert later.migration.verify().ok
    later.prove()
    SEEN.update(["worlds", *(f"kept {aside.why}" for aside in result.kept)])
    found, wanted = contents(later), contents(anew)
    if (
        refusals
    ):  # of a row in a circle that is refused, and kept back by those that it keeps back, either may be told first
        found, wanted = (
            {part: rows for part, rows in held.items() if part != "quarantine"} for held in (found, wanted)
        )
    if not result.kept:  # two rows that swap a unique value stay as they are
        assert found == wanted


def test_the_examples_were_worth_it() -> None:
    if SEEN["worlds"] < 2:
        pytest.skip("only where the test above ran, too")
    assert all(SEEN[name] for name in ("inserted", "rejected", "gone")), SEEN
    assert not any(name.startswith("kept ") for name in SEEN), SEEN  # so that all were compared
