"""The verification finds what was spoiled, and only that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from rowcall.errors import LedgerConflict
from rowcall.verify import AccountCheck, Glances, ReferenceCheck, check_accounts, check_references, verify
from verify.world import FATES, World, uid


def account(world: World, entity: str, *, target_ids: bool = True) -> AccountCheck:
    return next(a for a in check_accounts(world.scope, target_ids=target_ids) if a.entity == entity)


def wrong_references(world: World) -> dict[tuple[str, str], ReferenceCheck]:
    return {(r.entity, r.column): r for r in check_references(world.scope) if not r.ok}


def test_a_whole_migration_is_found_whole(world: World) -> None:
    found = verify(world.scope, visible=str(world.source.value("select txid_current_snapshot()::text")))
    assert found.ok
    assert found.source_moved is False
    notes = next(a for a in found.accounts if a.entity == "notes")
    assert (notes.source, notes.migrated, notes.quarantined, notes.excluded) == (11, 4, 7, 0)
    assert {(r.entity, r.column): (r.checked, r.nulls) for r in found.references} == {
        ("people", "boss_id"): (3, 1),
        ("orders", "person_id"): (2, 0),
        ("notes", "order_id"): (4, 0),
        ("notes", "author_id"): (4, 2),
        ("files", "order_id"): (2, 0),
    }
    document: Mapping[str, Any] = json.loads(json.dumps(found.as_json()))
    assert document["ok"] is True
    assert document["values"] is None


def test_a_source_that_moved_is_said(world: World) -> None:
    assert verify(world.scope, visible="1:1:").source_moved is True
    assert verify(world.scope).source_moved is None


def glanced(world: World) -> Mapping[str, AccountCheck]:
    """What is found sound at a glance."""
    for record in world.scope.records:
        world.ledger.close(record.id)
    glances = Glances(world.scope.mapping, world.scope.schema)
    for record in world.scope.records:
        glances.look(record, world.scope.source, world.target)
    return glances.sound


def test_a_glance_sees_what_the_keys_say(world: World) -> None:
    assert glanced(world) == {a.entity: a for a in check_accounts(world.scope, target_ids=False)}


@pytest.mark.parametrize(
    "spoiled",
    [
        "delete from rowcall.settlement where source_key = '100'",
        "insert into rowcall.settlement values (3, '4', 'excluded', null, 'rule', 1)",
        "update rowcall.settlement set source_key = '999' where source_key = '100'",
        "delete from rowcall.quarantined_row where source_key = '102'",
    ],
)
def test_a_glance_leaves_what_is_wrong_to_the_keys(world: World, spoiled: str) -> None:
    world.target.execute(spoiled)
    found = glanced(world)
    assert set(FATES) - set(found) == {"notes"}
    assert [a.entity for a in check_accounts(world.scope, target_ids=False, sound=found) if not a.ok] == ["notes"]


def test_a_glance_needs_lines_that_are_closed(world: World) -> None:
    glances = Glances(world.scope.mapping, world.scope.schema)
    glances.look(world.scope.records[0], world.scope.source, world.target)
    assert not glances.sound


def test_a_key_without_a_line(world: World) -> None:
    world.target.execute("delete from rowcall.settlement where source_key = '100'")
    found = account(world, "notes")
    assert not found.ok
    assert (found.missing_lines, found.examples["missing_lines"], found.foreign_in_target) == (1, ("100",), 1)
    only_lines = account(world, "notes", target_ids=False)
    assert (only_lines.missing_lines, only_lines.missing_in_target, only_lines.foreign_in_target) == (1, None, None)


def test_a_line_without_a_key(world: World) -> None:
    world.target.execute("insert into rowcall.settlement values (1, '4', 'excluded', null, 'rule', 1)")
    found = account(world, "people", target_ids=False)
    assert (found.ok, found.surplus_lines, found.examples) == (False, 1, {"surplus_lines": ("4",)})


def test_swapped_lines_do_not_hide_each_other(world: World) -> None:
    """The counters agree, the keys do not."""
    world.target.execute("update rowcall.settlement set source_key = '4' where entity = 1 and source_key = '3'")
    found = account(world, "people")
    assert found.conserved
    assert (found.ok, found.missing_lines, found.surplus_lines) == (False, 1, 1)


def test_a_row_that_left_the_target(world: World) -> None:
    world.target.execute("delete from notes where id = %s", [uid("notes", "100")])
    found = account(world, "notes")
    assert (found.ok, found.missing_in_target, found.examples["missing_in_target"]) == (False, 1, ("100",))


def test_a_foreign_row_is_an_error_only_in_a_target_that_was_empty(world: World) -> None:
    world.target.execute("insert into people values (gen_random_uuid(), 'x')")
    assert not account(world, "people").ok
    world.target.execute("update rowcall.entity set occupied = true where name = 'people'")
    found = account(world, "people")
    assert (found.ok, found.foreign_in_target) == (True, 1)


def test_two_lines_for_one_id(world: World) -> None:
    change = "update rowcall.settlement set target_id = %s where entity = 1 and source_key = '2'"
    world.target.execute(change, [uid("people", "1")])
    found = account(world, "people")
    assert (found.ok, found.duplicates, found.foreign_in_target) == (False, 1, 1)


def test_a_quarantined_row_that_is_not_kept(world: World) -> None:
    world.target.execute("delete from rowcall.quarantined_row where source_key = '102'")
    found = account(world, "notes", target_ids=False)
    assert (found.ok, found.without_payload, found.examples) == (False, 1, {"without_payload": ("102",)})


def test_a_link_to_the_wrong_parent(world: World) -> None:
    change = "update notes set author_id = %s where id = %s"
    world.target.execute(change, [uid("people", "2"), uid("notes", "101")])
    found = wrong_references(world)
    assert list(found) == [("notes", "author_id")]
    check = found["notes", "author_id"]
    assert (check.wrong, check.broken, check.examples) == (1, 0, {"wrong": ("101",)})


def test_a_link_to_nobody(world: World) -> None:
    world.target.execute("update orders set person_id = gen_random_uuid() where id = %s", [uid("orders", "11")])
    check = wrong_references(world)["orders", "person_id"]
    assert (check.broken, check.wrong, check.examples) == (1, 1, {"broken": ("11",), "wrong": ("11",)})


@pytest.mark.parametrize("key", ["100", "101"])
def test_a_link_that_was_dropped_in_silence(world: World, key: str) -> None:
    world.target.execute("update notes set author_id = null where id = %s", [uid("notes", key)])
    assert wrong_references(world)["notes", "author_id"].examples == {"wrong": (key,)}


def test_a_null_that_the_ledger_does_not_show(world: World) -> None:
    world.target.execute("delete from rowcall.nulled_reference")
    assert wrong_references(world)["notes", "author_id"].examples == {"wrong": ("109",)}


def test_a_row_that_should_never_have_migrated(world: World) -> None:
    """Its path is ambiguous, whatever link it got."""
    key = next(key for key, fate in FATES["files"].items() if fate == "ambiguous_reference")
    world.target.execute("insert into files values (%s, %s)", [uid("files", key), uid("orders", "10")])
    world.target.execute("delete from rowcall.quarantined_row where source_key = %s", [key])
    change = "update rowcall.settlement set outcome = 'migrated', cause = null, target_id = %s where source_key = %s"
    world.target.execute(change, [uid("files", key), key])
    assert wrong_references(world)["files", "order_id"].examples == {"wrong": (key,)}


def test_a_mapping_of_another_run(world: World) -> None:
    world.target.execute("update rowcall.entity set name = 'gone' where name = 'files'")
    with pytest.raises(LedgerConflict, match="gone"):
        check_accounts(world.scope)
