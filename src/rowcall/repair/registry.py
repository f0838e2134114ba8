"""Which remedies there are: ours, those of installed packages, and those of the project's own folder.

A package offers remedies by entry points of the group `rowcall.remedies`, a project by files in its folder `remedies/`; each is a
class over rowcall.repair.Remedy. https://packaging.python.org/en/latest/specifications/entry-points/
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from types import ModuleType

from rowcall.errors import UsageError
from rowcall.repair import remedies
from rowcall.repair.remedy import Remedy

GROUP = "rowcall.remedies"
FOLDER = "remedies"
NEEDED = ("name", "does", "codes")
# The most telling first; what others bring comes before what fits every cause.
ORDER = (
    "pick_parent", "follow_parent", "repair_json", "strip_unstorable", "clip_text", "map_values", "link_parent", "stub_parent",
    "set_null", "set_value",
)  # fmt: skip
ALWAYS = ("archive", "accept", "defer")


def find_remedies(folder: Path) -> dict[str, Remedy]:
    """Name -> remedy, for a project's folder. Raises UsageError for one that cannot be loaded, lacks something, or whose name is
    taken."""
    found: dict[str, Remedy] = {}
    for origin, kind in [*_own(), *_installed(), *_of_project(folder)]:
        if lacking := [name for name in NEEDED if not hasattr(kind, name)]:
            raise UsageError(
                f"{origin}: {kind.__name__} has no `{lacking[0]}`", hint=f"a remedy has {', '.join(NEEDED)}"
            )
        if kind.name in found:
            raise UsageError(f"{origin}: there is a remedy {kind.name!r} already", hint="give it another `name`")
        found[kind.name] = kind()
    rank = {name: place for place, name in enumerate((*ORDER, *ALWAYS))}
    return dict(sorted(found.items(), key=lambda item: rank.get(item[0], len(ORDER) - 0.5)))


def own_remedies() -> dict[str, Remedy]:
    """Name -> remedy, of ours alone."""
    return {kind.name: kind() for _, kind in _own()}


def _own() -> Iterator[tuple[str, type[Remedy]]]:
    for module in pkgutil.iter_modules(remedies.__path__):
        yield from _in(importlib.import_module(f"{remedies.__name__}.{module.name}"), module.name)


def _installed() -> Iterator[tuple[str, type[Remedy]]]:
    for point in _points(tuple(sys.path)):
        try:
            loaded = point.load()
        except Exception as error:
            raise _broken(f"the entry point {point.name!r} of {GROUP}", error) from None
        if not (isinstance(loaded, type) and issubclass(loaded, Remedy)):
            raise UsageError(
                f"the entry point {point.name!r} of {GROUP} is no remedy", hint="point it at a class over Remedy"
            )
        yield point.value, loaded


@cache
def _points(_path: tuple[str, ...]) -> EntryPoints:
    """Of the packages on this path: to look through all of them takes longer than most questions to a server."""
    return entry_points(group=GROUP)


def _of_project(folder: Path) -> Iterator[tuple[str, type[Remedy]]]:
    for file in sorted((folder / FOLDER).glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"rowcall_project_{file.stem}", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise _broken(str(file), error) from None
        yield from _in(module, str(file))


def _in(module: ModuleType, origin: str) -> Iterator[tuple[str, type[Remedy]]]:
    for kind in vars(module).values():
        if isinstance(kind, type) and issubclass(kind, Remedy) and kind.__module__ == module.__name__:
            yield origin, kind


def _broken(origin: str, error: Exception) -> UsageError:
    return UsageError(
        f"{origin} cannot be loaded: {type(error).__name__}: {error}{at(error)}", hint="mend that file, or take it away"
    )


def at(error: Exception) -> str:
    """Where it was raised."""
    line = error.__traceback__
    while line is not None and line.tb_next is not None:
        line = line.tb_next
    return f" (line {line.tb_lineno} of {line.tb_frame.f_code.co_filename})" if line else ""
