"""How a fault speaks of names: what stands there, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST_NAME = 63  # bytes; Postgres cuts a longer identifier in silence (NAMEDATALEN - 1)


def closest(name: str, options: Iterable[str]) -> str | None:
    """The option that `name` was probably meant to be."""
    known = {option.lower(): option for option in options}
    found = get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return known[found[0]] if found else None


def instead(name: str, options: Iterable[str]) -> str:
    """The second half of a fault about an unknown name: `did you mean 'body'?` or `write one of a, b, c`."""
    names = list(dict.fromkeys(options))
    if meant := closest(name, names):
        return f"did you mean {meant!r}?"
    return f"write {one_of(names)}" if names else "there is none to write here"


def one_of(names: Iterable[str], most: int = 12) -> str:
    shown = list(names)
    more = f", ... ({len(shown) - most} more)" if len(shown) > most else ""
    return f"one of {', '.join(shown[:most])}{more}" if len(shown) > 1 else "".join(shown)


def too_long(name: str) -> str | None:
    """What is wrong with an identifier that Postgres would cut."""
    raw = name.encode()
    if len(raw) <= LONGEST_NAME:
        return None
    cut = raw[:LONGEST_NAME].decode(errors="ignore")
    return f"the name has {len(raw)} bytes and Postgres keeps {LONGEST_NAME}: write a shorter one, such as {cut!r}"
