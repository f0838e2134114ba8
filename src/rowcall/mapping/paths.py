"""The grammar of a path: `column -> table.column, column* -> table.column until CONDITION, ...`.

Commas separate hops outside of parentheses and quotes; a name may stand in double quotes. A single bare column is the
short path: to the key of the parent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

NAME = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_HOP = re.compile(
    rf"(?P<column>{NAME})\s*(?P<star>\*?)\s*(?:->\s*(?P<landing>{NAME}(?:\s*\.\s*{NAME})*)\s*"
    rf"(?:(?P<pick>\b(?:first|latest|majority)\b)\s*(?P<by>(?!until\b){NAME})?)?\s*(?P<until>\buntil\b.*)?)?",
    re.DOTALL | re.IGNORECASE,
)
_CLOSES = {"(": ")", "[": "]"}


@dataclass(frozen=True)
class HopText:
    """A hop as written. `table` is "table" or "schema.table", None in a short path; `offset`, `landing`, `condition`
    are the places of the column, the table and the `until` condition, in characters from the start of the text."""

    column: str
    table: str | None
    to_column: str | None
    climb: bool
    until: str | None
    offset: int
    landing: int
    condition: int = 0
    pick: str = ""
    by: str | None = None


@dataclass(frozen=True)
class Slip:
    """What is wrong at `offset` characters from the start of the text."""

    offset: int
    message: str


def parse(text: str) -> list[HopText | Slip]:
    """The hops of a path; a Slip where one cannot be read."""
    pieces = list(split(text))
    if len(pieces) > 1 and isinstance(pieces[-1], Slip):
        return [pieces[-1]]
    return [piece if isinstance(piece, Slip) else hop(*piece) for piece in pieces]


def split(text: str) -> Iterator[tuple[int, str] | Slip]:
    """(offset, piece) between the commas that stand outside of parentheses and quotes."""
    start, open_at, quote, waiting = 0, 0, "", list[str]()
    for place, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote, open_at = sign, place
        elif sign in _CLOSES:
            waiting.append(_CLOSES[sign])
            open_at = place
        elif waiting and sign == waiting[-1]:
            waiting.pop()
        elif sign == "," and not waiting:
            yield start, text[start:place]
            start = place + 1
    yield start, text[start:]
    if quote or waiting:
        yield Slip(open_at, f"{text[open_at]} is not closed in this path: write the closing {quote or waiting[-1]}")


def hop(offset: int, piece: str) -> HopText | Slip:
    """One hop; `offset` is where its piece starts in the whole path."""
    offset += len(piece) - len(piece.lstrip())
    piece = piece.strip()
    if not piece:
        return Slip(offset, "a hop is empty: remove the comma, or write `column -> table.column`")
    found = _HOP.fullmatch(piece)
    if found is None:
        return Slip(offset, _unreadable(piece))
    climb, landing = found["star"] == "*", found["landing"]
    if landing is None:
        short = HopText(name(found["column"]), None, None, False, None, offset, offset)
        return Slip(offset, _unreadable(piece)) if climb else short
    parts = [name(part) for part in re.findall(NAME, landing)]
    at = offset + found.start("landing")
    if not 2 <= len(parts) <= 3:
        advice = f"write `{piece.split('->')[0].strip()} -> {parts[0]}.<column>`"
        return Slip(at, f"a hop lands on a column, not on {landing!r}: {advice}")
    until = (found["until"] or "")[len("until") :].strip()
    if found["until"] is not None and not (climb and until):
        wrong = "`until` belongs to a climbing hop" if until else "`until` has no condition"
        return Slip(offset + found.start("until"), f"{wrong}: write `{found['column']}* -> {landing} until CONDITION`")
    if found["pick"] and climb:
        return Slip(offset + found.start("pick"), "a climb goes from one row to one: leave it out here")
    condition = offset + found.end("until") - len(until) if until else 0
    pick, by = (found["pick"] or "").lower(), name(found["by"]) if found["by"] else None
    return HopText(
        name(found["column"]), ".".join(parts[:-1]), parts[-1], climb, until or None, offset, at, condition, pick, by
    )


def name(text: str) -> str:
    """A name without its quotes."""
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


def _unreadable(piece: str) -> str:
    advice = "write `column -> table.column`, or `column* -> table.column until CONDITION` to climb"
    return f"cannot read the hop {piece!r}: {advice}"
