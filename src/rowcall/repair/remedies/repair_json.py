"""Mend JSON that is none: Python's spelling, NaN, trailing commas, a text that was cut off. The original stays in the quarantine's
payload.

What has one exact reading is read so: Python's literals by Python's own parser, with every number as it is written; NaN and
Infinity, which RFC 8259, 6 forbids, become null, and a trailing comma goes, while all else stays as it is. What was cut off is
guessed by json-repair, and only where that is asked for: the rest of the text is lost.
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
_NAN = r"-?\b(?:NaN|Infinity|nan|inf)\b"
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")  # as JSON writes it


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
        edited = _outside(_STRING, _NAN, "null", edited)
    if "trailing_comma" in kinds:
        edited = _outside(_STRING, r",(?=\s*[}\]])", "", edited)
    if "surrogate" in kinds:
        edited = strip(edited, zeros=False)
    if _is_json(edited):
        return edited
    found = _python(text, nan="nan" in kinds) if "python_style" in kinds else None
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


def _python(text: str, *, nan: bool) -> str | None:
    """A text that Python's repr() of dicts, lists, strings, numbers, True, False and None made."""
    spelled = _outside(_PYTHON_STRING, rf"\bnull\b|{_NAN}" if nan else r"\bnull\b", "None", text).strip()
    try:
        # Python's lines, of which the parser tells places in bytes; a text with other ends of lines has none.
        lines = [] if re.search("[\r\f]", spelled) else spelled.encode().split(b"\n")
        return _storable(_said(ast.parse(spelled, mode="eval").body, lines))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _said(node: ast.expr, lines: Sequence[bytes]) -> str:
    """A literal as JSON. Raises ValueError for what JSON cannot say: a set, bytes, a number without end."""
    match node:
        case ast.Dict():
            pairs = zip(node.keys, node.values, strict=True)
            return "{" + ", ".join(f"{_key(key, lines)}: {_said(value, lines)}" for key, value in pairs) + "}"
        case ast.List() | ast.Tuple():
            return "[" + ", ".join(_said(part, lines) for part in node.elts) + "]"
        case ast.Constant(value=str() | bool() | None):
            return _written(node.value)
        case ast.Constant(value=int() | float()) | ast.UnaryOp(operand=ast.Constant(value=int() | float())):
            digits = _digits(node, lines)
            return digits if _NUMBER.fullmatch(digits) else _written(ast.literal_eval(node))
    raise ValueError(type(node).__name__)


def _digits(node: ast.expr, lines: Sequence[bytes]) -> str:
    """A number as it is written; "" where that cannot be told."""
    if not lines or node.end_lineno != node.lineno:
        return ""
    return lines[node.lineno - 1][node.col_offset : node.end_col_offset].decode()


def _key(node: ast.expr | None, lines: Sequence[bytes]) -> str:
    if not isinstance(node, ast.Constant):
        raise ValueError("no key of JSON")
    said = _said(node, lines)
    return said if said.startswith('"') else f'"{said}"'


def _guessed(text: str) -> str | None:
    """What json-repair makes of a text that was cut off; it makes an empty text of what it cannot read."""
    try:
        found = json_repair.loads(text, skip_json_loads=True)
        return _storable(_written(found)) if isinstance(found, dict | list) else None
    except (ValueError, RecursionError, TypeError):
        return None


def _written(value: Any) -> str:
    """Raises TypeError or ValueError for what JSON cannot say: a set, bytes, a number without end."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _storable(text: str) -> str:
    """Raises ValueError for half of a surrogate pair, which an escape of Python can name: no text may hold it."""
    text.encode()
    return text
