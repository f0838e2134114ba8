"""The grammar of a path."""

from __future__ import annotations

import pytest

from rowcall.mapping.model import Hop
from rowcall.mapping.paths import HopText, Slip, parse


def hops(text: str) -> list[HopText]:
    found = parse(text)
    assert all(isinstance(hop, HopText) for hop in found), found
    return [hop for hop in found if isinstance(hop, HopText)]


def test_a_short_path_is_one_bare_column() -> None:
    (hop,) = hops(" author_id ")
    assert (hop.column, hop.table, hop.to_column, hop.offset) == ("author_id", None, None, 1)


def test_hops_and_their_places() -> None:
    text = "object_id -> plan.id,  parent_id* ->  plan.id  until instruction_id is not null"
    first, second = hops(text)
    assert (first.column, first.table, first.to_column, first.climb) == ("object_id", "plan", "id", False)
    assert (second.climb, second.until) == (True, "instruction_id is not null")
    assert text[second.offset :].startswith("parent_id*")
    assert text[second.landing :].startswith("plan.id  until")
    assert text[second.condition :] == "instruction_id is not null"


def test_commas_inside_parentheses_and_quotes_belong_to_the_condition() -> None:
    text = "p* -> plan.id until coalesce(a, ',)') = 'x, y' and \"b,c\" in (1, 2), id -> case.plan_id"
    climb, back = hops(text)
    assert climb.until == "coalesce(a, ',)') = 'x, y' and \"b,c\" in (1, 2)"
    assert (back.column, back.table) == ("id", "case")


def test_quoted_and_qualified_names() -> None:
    (hop,) = hops('"my ""id""" -> legacy."odd, table".Id')
    assert (hop.column, hop.table, hop.to_column) == ('my "id"', "legacy.odd, table", "Id")


def test_a_climb_without_until_and_a_column_named_like_the_word() -> None:
    assert hops("parent_id*->plan.id")[0].until is None
    assert hops("until_id -> t.until_id")[0].to_column == "until_id"


def test_a_hop_reads_what_it_prints() -> None:
    hop = Hop("parent_id", "public.plan", "id", climb=True, until="a is null")
    (back,) = hops(str(hop))
    assert (back.column, back.table, back.to_column) == ("parent_id", "plan", "id")
    assert (back.climb, back.until) == (True, "a is null")


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [
        ("", 0, "a hop is empty"),
        ("a -> b.c,", 9, "a hop is empty: remove the comma"),
        ("a -> b.c, , d -> e.f", 10, "a hop is empty"),
        ("a => b.c", 0, "cannot read the hop 'a => b.c'"),
        ("a b", 0, "cannot read the hop"),
        ("a*", 0, "column* -> table.column until CONDITION"),
        ("a -> b", 5, "a hop lands on a column, not on 'b': write `a -> b.<column>`"),
        ("a -> b.c.d.e", 5, "a hop lands on a column"),
        ("a -> b.c until x", 9, "`until` belongs to a climbing hop: write `a* -> b.c until CONDITION`"),
        ("a* -> b.c until ", 10, "`until` has no condition"),
        ("a* -> b.c until (x, d -> e.f", 16, "( is not closed in this path: write the closing )"),
        ("a* -> b.c until 'x", 16, "' is not closed"),
    ],
)
def test_slips(text: str, offset: int, words: str) -> None:
    slips = [part for part in parse(text) if isinstance(part, Slip)]
    assert len(slips) == 1
    assert slips[0].offset == offset
    assert words in slips[0].message
