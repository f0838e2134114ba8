"""Paths as plain SQL on the source: they end where the world was made to end."""

from __future__ import annotations

from rowcall.mapping.model import Reference
from rowcall.plan.source_sql import hop_sql, nulls_sql, row_sql, terminals_sql
from verify.world import TYPES, A, B, D, World


def reference(world: World, entity: str, column: str) -> Reference:
    return next(r for r in world.mapping.entity(entity).references if r.column == column)


def terminals(world: World, entity: str, column: str) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    ref = reference(world, entity, column)
    for route in ref.routes:
        sql = terminals_sql(ref, route, world.mapping.entity(entity), world.mapping, world.schema, TYPES)
        rows = world.source.rows(sql)
        assert len(rows) == len(set(rows))
        assert set(rows) == set(zip(*(c.to_pylist() for c in world.source_reader.table(sql).columns), strict=True))
        found |= set(rows)
    return found


def nulls(world: World, entity: str, column: str) -> list[str]:
    ref = reference(world, entity, column)
    sql = nulls_sql(ref, world.mapping.entity(entity), world.mapping, world.schema, TYPES)
    return sorted(key for (key,) in world.source.rows(sql))


def test_a_short_path_ends_at_the_parent(world: World) -> None:
    assert terminals(world, "orders", "person_id") == {("10", "1"), ("11", "2"), ("13", "1")}
    assert terminals(world, "people", "boss_id") == {("2", "1"), ("3", "2")}


def test_a_polymorphic_path_climbs_and_leaves_out_what_is_lost(world: World) -> None:
    """Cycles, dangling rows, sentinels and other content types end nowhere; a type's former id counts."""
    ends = {("100", "10"), ("101", "10"), ("105", "12"), ("108", "11"), ("109", "10"), ("110", "13")}
    assert terminals(world, "notes", "order_id") == ends


def test_a_backward_hop_gives_every_parent_once(world: World) -> None:
    assert terminals(world, "files", "order_id") == {(A, "10"), (B, "10"), (B, "11"), (D, "10")}


def test_plain_nulls(world: World) -> None:
    assert nulls(world, "notes", "author_id") == ["108"]
    assert nulls(world, "people", "boss_id") == ["1"]
    assert nulls(world, "notes", "order_id") == []


def test_hops_one_by_one(world: World) -> None:
    ref = reference(world, "notes", "order_id")
    route = next(r for r in ref.routes if r.content_type == "app.plan")

    def hop(number: int, *values: str) -> list[tuple[object, ...]]:
        return world.source.rows(hop_sql(ref, route, number, world.mapping, world.schema, values))

    assert hop(1, "22") == [("22", None, True, "22")]
    assert hop(2, "22") == [("22", "21", False, None)]
    assert hop(2, "20") == [("20", None, True, "10")]
    assert hop(3, "10") == [("10", None, True, "10")]
    assert hop(1, "012", "x", "--1", "'") == []


def test_a_row_by_its_key(world: World) -> None:
    files = world.mapping.entity("files")
    assert world.source.rows(row_sql(files, ["name", "version"], world.schema, A)) == [("a", "1")]
    assert world.source.rows(row_sql(files, ["name"], world.schema, '["z", 1]')) == []
