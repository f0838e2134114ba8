"""The little shop, moved once; every test has a copy of its target."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from conftest import DATABASES, Project, _drop, _fresh
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from repair.world import MAPPING, SOURCE, TARGET, state
from rowcall.postgres.connect import connect
from rowcall.postgres.embedded import EmbeddedServers

OWN = Path(__file__).parent / "own"  # a project folder with a remedy of its own
NUMBERS = count(1)


@pytest.fixture(scope="session")
def moved(pair: EmbeddedServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The DSNs of the shop's `source`, which many read, of its `target` after a run, and of a `spare` source: to the latter two
    nobody is connected, so that they can be copied."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        dsns = {"source": _fresh(stack, pair.dsn("legacy")), "target": _fresh(stack, pair.dsn("target"))}
        with _project(tmp_path_factory.mktemp("moved"), dsns, patch) as project:
            project.source.execute(SOURCE)
            project.target.execute(TARGET)
            project.write(MAPPING)
            project.foreseen_run(matched=False)
        yield dsns | {"spare": _copy(stack, dsns["source"])}


@dataclass
class Opened:
    """Opens copies of the shop in a folder, until the stack ends."""

    moved: dict[str, str]
    folder: Path
    stack: ExitStack
    patch: pytest.MonkeyPatch

    def __call__(self, *, source: bool = False, more: str = "") -> Project:
        """`source`: with a source of its own, that may be changed; `more`: further top-level lines of the project file."""
        dsns = {"source": _copy(self.stack, self.moved["spare"]) if source else self.moved["source"]}
        dsns["target"] = _copy(self.stack, self.moved["target"])
        folder = self.folder / f"shop_{next(NUMBERS)}"
        shutil.copytree(OWN, folder, ignore=shutil.ignore_patterns("__pycache__"))
        project = self.stack.enter_context(_project(folder, dsns, self.patch))
        project.write(MAPPING, more)
        return project


@pytest.fixture(scope="module")
def shops(moved: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """Copies that live as long as a module."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        yield Opened(moved, tmp_path_factory.mktemp("shops"), stack, _without_endpoints(patch))


@pytest.fixture(scope="session")
def pristine(moved: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A copy for previews and for what is refused: nobody changes it."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        project = Opened(moved, tmp_path_factory.mktemp("pristine"), stack, _without_endpoints(patch))()
        before = state(project)
        yield project
        assert state(project) == before
        assert project.target.value("select count(*) from rowcall.repair") == 0


@pytest.fixture
def open_world(moved: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """Copies that live as long as a test."""
    with ExitStack() as stack:
        yield Opened(moved, tmp_path, stack, _without_endpoints(monkeypatch))


@pytest.fixture
def world(open_world: Opened) -> Project:
    return open_world()


@contextmanager
def _project(folder: Path, dsns: dict[str, str], patch: pytest.MonkeyPatch) -> Iterator[Project]:
    with connect(dsns["source"], "target") as source, connect(dsns["target"], "target") as target:
        project = Project(folder, dsns["source"], dsns["target"], source=source, target=target)
        for side, dsn in dsns.items():
            patch.setenv(project.variable(side), dsn)
        yield project


def _without_endpoints(patch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for variable in ("ROWCALL_SOURCE", "ROWCALL_TARGET"):
        patch.delenv(variable, raising=False)
    return patch


def _copy(stack: ExitStack, dsn: str) -> str:
    """A copy of a database, dropped when the test is over; its DSN."""
    name, template = f"lab_{next(DATABASES)}", conninfo_to_dict(dsn)["dbname"]
    admin_dsn = make_conninfo(dsn, dbname="postgres")
    with connect(admin_dsn, "target") as admin:
        admin.execute(f"create database {name} template {template}")
    stack.callback(_drop, admin_dsn, name)
    return make_conninfo(dsn, dbname=name)
