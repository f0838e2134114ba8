"""Functions of the project that fill columns: a Python file in the project's folder, Arrow arrays in, one Arrow array out."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

Call = Callable[..., Any]


def find_function(folder: Path, name: str) -> tuple[Call, str]:
    """A function by "module.function", and a SHA-256 of its file: with other contents it is another mapping. Raises ValueError
    where there is none."""
    module, dot, function = name.rpartition(".")
    if not dot or not all(part.isidentifier() for part in (*module.split("."), function)):
        raise ValueError(f"{name!r} names no function: write its file and its name, such as functions.full_name")
    file = folder.joinpath(*module.split(".")).with_suffix(".py")
    try:
        text = file.read_bytes()
    except OSError as error:
        raise ValueError(f"{file.name} in the project's folder: {error.strerror}") from None
    found = getattr(_loaded(file, sha256(text).hexdigest()), function, None)
    if not callable(found):
        raise ValueError(f"{file.name} has no function {function!r}")
    return found, sha256(text).hexdigest()


@cache
def _loaded(file: Path, digest: str) -> Any:
    """The module, once for each of its contents. Raises ValueError where it cannot be loaded."""
    spec = importlib.util.spec_from_file_location(f"rowcall_functions_{file.stem}_{digest[:8]}", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.parent))  # for modules beside it
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the user's own code: whatever it raises
        raise ValueError(
            f"{file.name} cannot be loaded ({type(error).__name__}): run it with Python to see why"
        ) from None
    return module
