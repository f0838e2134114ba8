"""What is wrong with a text that is no JSON, and where: for people, not for the verdict, which is the target's."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

_ZERO = re.compile(r"(?<!\\)(?:\\\\)*(\\u0000)")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_PYTHON = re.compile(r"'|True\b|False\b|None\b|u'")
_CUT = re.compile(
    r"(t|tr|tru|f|fa|fal|fals|n|nu|nul|-|\\?u?[0-9a-fA-F]{0,3})?"
)  # what a cut leaves of a word or an escape
_NUMBERS = re.compile(r"NaN\b|-?Infinity\b|nan\b|inf\b")


class _Constant(ValueError):
    """NaN and its like, which Python reads and JSON forbids (RFC 8259, 6)."""


def _refuse(name: str) -> NoReturn:
    raise _Constant(name)


def json_fault(text: str) -> tuple[str, int | None]:
    """(kind, position of the fault in characters, from 1): "empty", "truncated", "python_style", "nan", "trailing_comma",
    "extra_data", "control_character", "zero_character", "surrogate" or "syntax"; "unknown" where the text looks sound."""
    if not text.strip():
        return "empty", None
    try:
        json.loads(text, parse_constant=_refuse)
    except _Constant as error:
        found = re.search(re.escape(str(error)), _STRING.sub(lambda m: " " * len(m[0]), text))
        return "nan", found.start() + 1 if found else None
    except json.JSONDecodeError as error:
        return _kind(text, error), error.pos + 1
    except (RecursionError, ValueError):
        return "unknown", None
    return _escapes(text)


def _kind(text: str, error: json.JSONDecodeError) -> str:
    rest, before = text[error.pos :], text[: error.pos].rstrip()
    if error.msg.startswith("Unterminated string") or _CUT.fullmatch(rest.strip()):
        return "truncated"
    if error.msg.startswith("Invalid control character"):
        return "control_character"
    if _PYTHON.match(rest):
        return "python_style"
    if _NUMBERS.match(rest):
        return "nan"
    if (before.endswith(",") and rest.lstrip()[:1] in ("}", "]")) or "trailing comma" in error.msg:
        return "trailing_comma"
    return "extra_data" if error.msg == "Extra data" else "syntax"


def _escapes(text: str) -> tuple[str, int | None]:
    """JSON by its grammar, with an escape that Postgres cannot store."""
    if zero := _ZERO.search(text):
        return "zero_character", zero.start(1) + 1
    found: Any = _SURROGATE.search(_PAIR.sub(lambda m: " " * len(m[0]), text))
    return ("surrogate", found.start() + 1) if found else ("unknown", None)
