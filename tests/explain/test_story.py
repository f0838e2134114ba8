"""A row's story: hop by hop through the source, to its fate and its root."""

from __future__ import annotations

import json

import pytest
from verify.world import TYPES, A, B, World, uid

from rowcall.errors import UsageError
from rowcall.explain import Story, StoryHop, Teller
from rowcall.report import story_text

CLIMB = "parent_id* -> plan.id until order_id is not null"


def tell(world: World, entity: str, key: str) -> Story:
    return Teller(world.mapping, world.schema, TYPES, world.source, world.ledger).tell(entity, key)


def hops(story: Story, reference: str = "order_id") -> list[tuple[str, tuple[str | None, ...], int, str]]:
    return [(h.text, h.seen, h.found, h.note) for h in story.hops if h.reference == reference]


def test_a_migrated_row_that_climbs(world: World) -> None:
    story = tell(world, "notes", "101")
    assert (story.outcome, story.target_id, story.rejections, story.chain) == (
        "migrated",
        str(uid("notes", "101")),
        (),
        (),
    )
    assert hops(story) == [
        ("content_type_id", ("2",), 1, "means app.plan"),
        ("object_id -> plan.id", ("22",), 1, ""),
        (CLIMB, ("22", "21", "20"), 3, "ends here"),
        ("order_id -> orders.id", ("10",), 1, ""),
    ]
    fates = {(f.reference, f.entity, f.key, f.outcome, f.target_id) for f in story.parents}
    assert ("order_id", "orders", "10", "migrated", str(uid("orders", "10"))) in fates


def test_a_victim_leads_to_its_root(world: World) -> None:
    story = tell(world, "notes", "105")
    assert [(link.entity, link.key, link.code) for link in story.chain] == [
        ("notes", "105", "parent_quarantined"),
        ("orders", "12", "dangling_reference"),
    ]
    parent = next(f for f in story.parents if f.reference == "order_id")
    assert (parent.key, parent.outcome, parent.cause) == ("12", "quarantined", "dangling_reference")
    text = story_text(story).plain
    assert "kept back by its root: notes 105 (parent_quarantined) <- orders 12 (dangling_reference)" in text
    assert "order_id ends at orders 12: quarantined (dangling_reference)" in text


def last(story: Story) -> tuple[tuple[str | None, ...], str]:
    hop = hops(story)[-1]
    return hop[1], hop[3]


@pytest.mark.parametrize(
    ("entity", "key", "seen", "note"),
    [
        ("notes", "102", ("23", "24", "23"), "comes back to a row seen: a cycle"),
        ("notes", "103", ("25", "999"), "no such row"),
        ("notes", "104", ("26",), "parent_id is NULL at the last one"),
        ("notes", "106", ("0",), "the mapping declares this value impossible"),
        ("notes", "107", ("3",), "means app.other, which the mapping does not name"),
        ("files", B, ("10", "11"), "2 different parents"),
    ],
)
def test_where_a_path_is_lost(world: World, entity: str, key: str, seen: tuple[str, ...], note: str) -> None:
    assert last(tell(world, entity, key)) == (seen, note)


def test_a_former_type_and_a_reference_that_became_null(world: World) -> None:
    story = tell(world, "notes", "109")
    assert hops(story)[0][1:] == (("9",), 1, "means app.plan, by an id that it had formerly")
    assert hops(story, "author_id") == [("author_id -> person.id", ("77",), 0, "no such row")]
    assert story.nulled == ({"column": "author_id", "code": "dangling_reference", "hop": 1, "value": "77"},)
    assert "author_id became NULL: dangling_reference, as the mapping says" in story_text(story).plain


def test_a_composite_key(world: World) -> None:
    story = tell(world, "files", A)
    assert hops(story)[0] == ("name -> file_order.file_name", ("a",), 1, "")
    assert tell(world, "files", A.replace(", ", ",")) == story


def test_an_excluded_row(world: World) -> None:
    story = tell(world, "orders", "13")
    assert (story.outcome, story.cause, story.root) == ("excluded", "not_deleted", None)


def test_a_row_that_left_the_source(world: World) -> None:
    world.target.execute("insert into rowcall.settlement values (1, '44', 'excluded', null, 'rule', 1)")
    story = tell(world, "people", "44")
    assert not story.in_source
    assert "no longer in the source" in story_text(story).plain


def test_values_are_told_but_not_in_reprs(world: World) -> None:
    story = tell(world, "notes", "103")
    assert json.loads(json.dumps(story.as_json()))["rejections"][0]["value"] == "secret"
    assert "secret" not in repr(story)
    assert "999" not in repr(story)
    assert "rejected: dangling_reference at order_id, hop 1: saw secret" in story_text(story).plain


def test_markup_in_values_is_no_markup() -> None:
    hop = StoryHop("r", "to", 1, "a -> b.c", ("[bold]x",), 0, "")
    story = Story("e", "1", "migrated", None, None, None, (hop,), (), (), (), ())
    assert "[bold]x" in story_text(story).plain


@pytest.mark.parametrize(
    ("entity", "key", "hint"),
    [
        ("note", "1", "did you mean notes?"),
        ("zzz", "1", "write one of: people, orders, notes, files"),
        ("notes", "10", "did you mean `rowcall explain orders 10` or `rowcall explain notes 100` or"),
        ("people", "x", "`rowcall explain people` lists its causes"),
    ],
)
def test_what_may_have_been_meant(world: World, entity: str, key: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        tell(world, entity, key)
    assert caught.value.hint.startswith(hint)
