"""The little shop, moved once; every test has a copy of its target."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from conftest import DATABASES, Project, _drop, _fresh
from psycopg import Error
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from repair.world import MAPPING, SOURCE, TARGET, state
from rowcall.errors import RowcallError
from rowcall.postgres.connect import connect
from rowcall.postgres.embedded import EmbeddedServers

OWN = Path(__file__).parent / "own"  # a project folder with a remedy of its own
BOOK = ("amendment", "repaired_row", "synthetic_row", "archive", "purge", "repair")
NUMBERS = count(1)


@dataclass
class Moved:
    """The DSNs of the shop's source, and of its target after a run, to which nobody is connected; `spare`: copies of the target
    that are again as that is."""

    source: str
    target: str
    state: dict[str, str] = field(default_factory=dict)
    spare: list[str] = field(default_factory=list)


@dataclass
class Opened:
    """Opens copies of the shop, each with a project folder of its own, until the stack ends."""

    moved: Moved
    folder: Path
    stack: ExitStack
    patch: pytest.MonkeyPatch

    def __call__(self, *, source: bool = False, more: str = "") -> Project:
        """`source`: with a source of its own, that may be changed; `more`: further top-level lines of the project file."""
        folder = self.folder / f"shop_{next(NUMBERS)}"
        shutil.copytree(OWN, folder, ignore=shutil.ignore_patterns("__pycache__"))
        legacy = self.moved.source
        if source:  # made anew: the one of all has sessions on it, and cannot be copied
            legacy = _fresh(self.stack, make_conninfo(legacy, dbname="postgres"))
            with connect(legacy, "target") as session:
                session.execute(SOURCE)
        project = self.stack.enter_context(_copied(self.moved, legacy, folder, self.patch))
        project.write(MAPPING, more)
        return project


@pytest.fixture(scope="session")
def moved(pair: EmbeddedServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        made = Moved(_fresh(stack, pair.dsn("legacy")), _fresh(stack, pair.dsn("target")))
        with _project(tmp_path_factory.mktemp("moved"), made.source, made.target, patch) as project:
            project.source.execute(SOURCE)
            project.target.execute(TARGET)
            project.write(MAPPING)
            project.foreseen_run(matched=False)
            made.state = state(project)
        yield made


@pytest.fixture(scope="module")
def shops(moved: Moved, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """Copies that live as long as a module."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        yield Opened(moved, tmp_path_factory.mktemp("shops"), stack, _without_endpoints(patch))


@pytest.fixture(scope="session")
def pristine(moved: Moved, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A copy for previews and for what is refused: nobody changes it."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        project = Opened(moved, tmp_path_factory.mktemp("pristine"), stack, _without_endpoints(patch))()
        yield project
        assert state(project) == moved.state
        assert project.target.value("select count(*) from rowcall.repair") == 0


@pytest.fixture
def open_world(moved: Moved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """Copies that live as long as a test."""
    with ExitStack() as stack:
        yield Opened(moved, tmp_path, stack, _without_endpoints(monkeypatch))


@pytest.fixture
def world(open_world: Opened) -> Project:
    return open_world()


@contextmanager
def _copied(moved: Moved, source: str, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project over a source and a copy of the target, which others may have where the repairs' own undo leaves it as it was."""
    target = moved.spare.pop() if moved.spare else _copy(moved.target)
    sound = False
    try:
        with _project(folder, source, target, patch) as project:
            yield project
            sound = _tidied(project, moved)
    finally:
        if sound:
            moved.spare.append(target)
        else:
            _gone(target)


def _tidied(project: Project, moved: Moved) -> bool:
    """Whether all that repairs did could be undone; then their book is forgotten, too."""
    with suppress(RowcallError, Error):
        healing = project.migration.healing
        for record in reversed(healing.repairs()):
            if record.state == "applied":
                healing.undo(record.id)
        if state(project) == moved.state:
            project.target.execute(f"truncate {', '.join(f'rowcall.{table}' for table in BOOK)}")
            return True
    return False


@contextmanager
def _project(folder: Path, source_dsn: str, target_dsn: str, patch: pytest.MonkeyPatch) -> Iterator[Project]:
    with connect(source_dsn, "target") as source, connect(target_dsn, "target") as target:
        project = Project(folder, source_dsn, target_dsn, source=source, target=target)
        patch.setenv(project.variable("source"), source_dsn)
        patch.setenv(project.variable("target"), target_dsn)
        yield project


def _without_endpoints(patch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for variable in ("ROWCALL_SOURCE", "ROWCALL_TARGET"):
        patch.delenv(variable, raising=False)
    return patch


def _copy(dsn: str) -> str:
    """The DSN of a copy of a database, on the same server."""
    name, template = f"lab_{next(DATABASES)}", conninfo_to_dict(dsn)["dbname"]
    with connect(make_conninfo(dsn, dbname="postgres"), "target") as admin:
        admin.execute(f"create database {name} template {template}")
    return make_conninfo(dsn, dbname=name)


def _gone(dsn: str) -> None:
    _drop(make_conninfo(dsn, dbname="postgres"), str(conninfo_to_dict(dsn)["dbname"]))
