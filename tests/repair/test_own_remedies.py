"""Remedies of a project, and of installed packages: found, offered, applied as ours are; told in words where they are broken."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest
from conftest import Project

from repair.conftest import Opened
from repair.world import apply, fates, preview, refused, row
from rowcall.errors import RowcallError, UsageError
from rowcall.repair import find_remedies

HEAD = """
from collections.abc import Iterator, Sequence

from rowcall.ledger.repairs import Quarantined
from rowcall.repair.remedy import Remedy, Setting
from rowcall.repair.use import Use
from rowcall.rows import Amendment, Reason
"""
SHOUT = """
class Shout(Remedy):
    name = "shout"
    does = "write it in capitals, and short"
    codes = frozenset({Reason.TOO_LONG})

    def amend(self, use: Use, rows: Sequence[Quarantined]) -> Iterator[Amendment]:
        for row in rows:
            yield Amendment(row.key, use.column, (use.seen(row) or "")[:5].upper())
"""


def write(folder: Path, name: str, body: str, *, head: bool = True) -> Path:
    """A file of the project's own remedies."""
    file = folder / "remedies" / f"{name}.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text((HEAD if head else "") + dedent(body))
    return file


def install(folder: Path, module: str, body: str, point: str, patch: pytest.MonkeyPatch) -> None:
    """A tiny distribution, as an installer leaves it."""
    (folder / f"{module}.py").write_text(HEAD + dedent(body))
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[rowcall.remedies]\n{point}\n")
    patch.syspath_prepend(str(folder))
    patch.delitem(sys.modules, module, raising=False)


def said(folder: Path) -> str:
    """What is said of remedies that cannot be loaded: one error, in words, with a hint and no chain of others."""
    with pytest.raises(UsageError) as told:
        find_remedies(folder)
    assert told.value.hint
    assert told.value.__suppress_context__ or told.value.__context__ is None
    return str(told.value)


def test_one_of_the_project(world: Project) -> None:
    write(world.folder, "shout", SHOUT)
    offered = [offer.remedy for offer in world.migration.healing.offers("regions", "too_long")]
    assert offered == ["clip_text", "set_value", "shout", "archive", "accept"]
    effect = apply(world, "regions/too_long", "shout")
    assert fates(effect, "regions") == {"far east": "home", "far west": "home"}
    assert row(world, "regions", "far west")["name"] == "KIWIB"
    causes = {(c.entity, c.code): c.remedies for c in world.migration.causes("tickets")}
    assert "shout" in causes["tickets", "too_long"]


def test_one_of_an_installed_package(world: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "shouting", SHOUT, "shout = shouting:Shout", monkeypatch)
    assert fates(preview(world, "regions/too_long", "shout"), "regions") == {"far east": "home", "far west": "home"}


def test_what_the_project_has_nothing_of(tmp_path: Path) -> None:
    ours = find_remedies(tmp_path)
    assert [*ours][:2] == ["pick_parent", "follow_parent"]
    assert [*ours][-3:] == ["archive", "accept", "defer"]
    write(tmp_path, "nothing", "X = 1")
    assert list(find_remedies(tmp_path)) == list(ours)


def test_helpers_are_no_remedies(tmp_path: Path) -> None:
    """What a file imports is none of its own."""
    write(tmp_path, "shout", "from rowcall.repair.remedies.clip_text import ClipText\n" + SHOUT)
    assert set(find_remedies(tmp_path)) - set(find_remedies(tmp_path / "none")) == {"shout"}


@pytest.mark.parametrize("name", ["set_null", "shout"])
def test_a_name_that_is_taken(tmp_path: Path, name: str) -> None:
    write(tmp_path, "a", SHOUT)
    file = write(tmp_path, "b", SHOUT.replace('"shout"', f'"{name}"'))
    told = said(tmp_path)
    assert f"there is a remedy {name!r} already" in told
    assert str(file) in told


@pytest.mark.parametrize(
    ("body", "what", "line"),
    [
        ("class Shout(Remedy:\n    pass\n", "SyntaxError", ""),
        ("import no_such_module_anywhere\n", "ModuleNotFoundError", "line 9"),
        ("X = 1 / 0\n", "ZeroDivisionError", "line 9"),
        ("class Shout(Remedy):\n    does = 'nothing'\n", "Shout has no `name`", ""),
        ("class Shout(Remedy):\n    name = 'shout'\n", "Shout has no `does`", ""),
        ("class Shout(Remedy):\n    name = 'shout'\n    does = 'nothing'\n", "Shout has no `codes`", ""),
    ],
)
def test_a_broken_file(tmp_path: Path, body: str, what: str, line: str) -> None:
    file = write(tmp_path, "broken", "\n" + body)
    told = said(tmp_path)
    assert what in told
    assert str(file) in told
    assert line in told


@pytest.mark.parametrize(
    ("point", "told"),
    [
        ("shout = shouting:Nobody", "'shout' of rowcall.remedies cannot be loaded: AttributeError"),
        ("shout = nowhere_at_all:Shout", "cannot be loaded: ModuleNotFoundError"),
        ("shout = shouting:HEADING", "'shout' of rowcall.remedies is no remedy"),
        ("shout = shouting:Remedy", "has no `name`"),
    ],
)
def test_a_broken_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, told: str) -> None:
    install(tmp_path, "shouting", SHOUT + "HEADING = 1\n", point, monkeypatch)
    assert told in said(tmp_path)


def test_a_broken_file_is_told_by_every_command(open_world: Opened) -> None:
    project = open_world()
    file = write(project.folder, "broken", "import no_such_module_anywhere\n")
    for command in (project.migration.causes, project.migration.healing.offers):
        with pytest.raises(UsageError, match=str(file)):
            command()


BODY = """
class Strange(Remedy):
    name = "strange"
    does = "something strange"
    codes = frozenset({{Reason.TOO_LONG}})

    def amend(self, use: Use, rows: Sequence[Quarantined]) -> Iterator[Amendment]:
        for row in rows:
            {line}
"""


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('yield Amendment(row.key, "colour", "red")', "strange puts something into 'colour', which regions does not fill"),
        ('yield Amendment("north", use.column, "red")', "strange puts something into a row that it was not asked about"),
        ("raise ValueError(use.seen(row))", "strange failed with ValueError"),
        ('yield (row.payload or {})[row.payload["name"]]', "strange failed with KeyError"),
    ],
)  # fmt: skip
def test_one_that_does_something_strange(open_world: Opened, line: str, told: str) -> None:
    """It is told in words without what rows hold, and nothing was changed."""
    project = open_world()
    write(project.folder, "strange", BODY.format(line=line))
    assert told in refused(project, "regions/too_long", "strange")
    with pytest.raises(RowcallError) as failed:
        apply(project, "regions/too_long", "strange")
    assert "Kiwi" not in str(failed.value)
    assert "Ünï" not in str(failed.value)
    assert project.target.value("select count(*) from rowcall.repair") == 0
