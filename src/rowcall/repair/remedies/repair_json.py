"""Mend JSON that is none: Python's spelling, NaN, trailing commas, a text that was cut off. The original stays in the quarantine's
payload.

What has one exact reading is read so: Python's literals by Python's own parser; NaN and Infinity, which RFC 8259, 6 forbids, become
null, and a trailing comma goes, while all else stays as it is written. What was cut off is guessed by json-repair, and only where
that is asked for: the rest of the text is lost.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import json_repair

from rowcall.errors import UsageError
from rowcall.ledger.repairs import Quarantined
from rowcall.plan.json_fault import json_fault
from rowcall.repair.remedies.strip_unstorable import strip
from rowcall.repair.remedy import COLUMN, Remedy, Setting
from rowcall.repair.use import Use
from rowcall.rows import Amendment, Reason

KINDS = ("python_style", "nan", "trailing_comma", "truncated", "surrogate")
USUAL = ("python_style", "nan", "trailing_comma")
_STRING = r'"(?:[^"\\]|\\.)*"'
_PYTHON_STRING = rf"'(?:[^'\\]|\\.)*'|{_STRING}"


class RepairJson(Remedy):
    name = "repair_json"
    does = "mend the JSON, and keep the original text"
    codes = frozenset({Reason.MALFORMED_JSON})
    settings = (
        Setting(
            "kinds",
            f"which faults are mended: {', '.join(KINDS)} (a list); what was cut off, and half a surrogate pair, is lost",
            USUAL,
        ),
        COLUMN,
    )

    def amend(self, use: Use, rows: Sequence[Quarantined]) -> Iterator[Amendment]:
        told = use.settings["kinds"]
        kinds = {str(kind).strip() for kind in (told.split(",") if isinstance(told, str) else told)}
        if strange := sorted(kinds - set(KINDS)):
            raise UsageError(f"repair_json knows no fault {strange[0]!r}", hint=f"write some of {', '.join(KINDS)}")
        for row in rows:
            seen = use.seen(row)
            if seen is not None and (mended := mend(seen, kinds)) is not None:
                yield Amendment(row.key, use.column, mended)


def mend(text: str, kinds: set[str]) -> str | None:
    """The text as JSON; None where a fault is none of these kinds, or nothing reads it."""
    kind, _ = json_fault(text)
    if kind not in kinds:
        return None
    edited = text
    if "nan" in kinds:
        edited = _outside(_STRING, r"-?\b(?:NaN|Infinity|nan|inf)\b", "null", edited)
    if "trailing_comma" in kinds:
        edited = _outside(_STRING, r",(?=\s*[}\]])", "", edited)
    if "surrogate" in kinds:
        edited = strip(edited, zeros=False)
    if _is_json(edited):
        return edited
    found = _python(edited if "nan" in kinds else text) if "python_style" in kinds else None
    if found is None and kind == "truncated":
        found = _guessed(text)
    return found


def _outside(strings: str, pattern: str, instead: str, text: str) -> str:
    """The text with a pattern replaced, but within strings."""
    return re.sub(rf"({strings})|{pattern}", lambda m: m[1] if m[1] is not None else instead, text, flags=re.DOTALL)


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _python(text: str) -> str | None:
    """A text that Python's repr() of dicts, lists, strings, numbers, True, False and None made."""
    spelled = _outside(_PYTHON_STRING, r"\bnull\b", "None", text)
    try:
        return _written(ast.literal_eval(spelled.strip()))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _guessed(text: str) -> str | None:
    """What json-repair makes of a text that was cut off; it makes an empty text of what it cannot read."""
    try:
        found = json_repair.loads(text, skip_json_loads=True)
        return _written(found) if isinstance(found, dict | list) else None
    except (ValueError, RecursionError, TypeError):
        return None


def _written(value: Any) -> str:
    """Raises TypeError or ValueError for what JSON cannot say: a set, bytes, a number without end."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
