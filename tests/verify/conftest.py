"""The little world, made once, whole again for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from verify.world import World, make_world


@pytest.fixture(scope="session")
def one_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def world(one_world: World) -> World:
    one_world.refill()
    return one_world
