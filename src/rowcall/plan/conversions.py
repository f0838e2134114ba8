"""Strict fast-accepts: what DuckDB may accept of a text without asking Postgres.

DuckDB is laxer than Postgres (its json_valid takes NaN and [1,], its TRY_CAST makes 13 of '12.6'), so each conversion accepts
here only a form that Postgres is known to take unchanged; every other text is asked of the target itself. Being too narrow
costs time, being too wide would cost truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rowcall.schema import Type
from rowcall.sql import literal

# Seconds from 1970-01-01 to 2000-01-01, where Postgres starts to count.
# https://www.postgresql.org/docs/current/datatype-datetime.html ; src/include/datatype/timestamp.h
EPOCH_SECONDS = 946_684_800
_DATE = r"(1[89]|20|21)\d\d-\d\d-\d\d"


@dataclass(frozen=True)
class Conversion:
    """`accepts` and `value` are DuckDB SQL over a text; `encoder` names how `value` becomes COPY BINARY bytes."""

    accepts: str
    value: str
    encoder: str


def conversion(text: str, name: str, target: Type) -> Conversion:
    """The conversion `name` of the DuckDB expression `text` into the target's type (bare of domains)."""
    return _BY_NAME.get(name, _asked)(text, target)


def _asked(_text: str, _target: Type) -> Conversion:
    """No fast way: always ask, and take the bytes of the answer."""
    return Conversion("false", "null::blob", "raw")


def _json(text: str, target: Type) -> Conversion:
    # Not accepted at once: what Postgres' jsonb refuses or DuckDB is lax about. That is bare words (NaN, Infinity), trailing
    # commas, escapes (\u0000, lone surrogates), exponents of three digits and more, and deep or very long texts.
    lax = r"(?i)(^|[\s:,\[+-])(nan|inf)|,\s*[\]}]|\\u|[0-9]e[+-]?[0-9]{3}|[0-9]{300}"
    # CASE, for OR would count the brackets of every text.
    brackets = f"length({text}) - length(translate({text}, '[{{', ''))"
    depth = f"case when strlen({text}) < 2000 then true else {brackets} < 1000 end"
    accepts = f"json_valid({text}) and not regexp_matches({text}, {literal(lax)}) and {depth}"
    return Conversion(accepts, text, "jsonb" if target.name == "jsonb" else "text")


def _timestamptz(text: str, target: Type) -> Conversion:
    pattern = rf"^{_DATE}[ T]([01]\d|2[0-3]):[0-5]\d:[0-5]\d{_fraction(target)}(Z|[+-](0\d|1[0-3])(:?[0-5]\d)?)$"
    padded = f"regexp_replace({text}, '([+-]\\d\\d)$', '\\1:00')"
    stamp = f"try_cast({padded} as timestamptz)"
    accepts = f"regexp_matches({text}, {literal(pattern)}) and {stamp} is not null"
    return Conversion(accepts, f"epoch_us({stamp}) - {EPOCH_SECONDS * 1_000_000}", "int8")


def _timestamp(text: str, target: Type) -> Conversion:
    pattern = rf"^{_DATE}[ T]([01]\d|2[0-3]):[0-5]\d:[0-5]\d{_fraction(target)}$"
    stamp = f"try_cast({text} as timestamp)"
    accepts = f"regexp_matches({text}, {literal(pattern)}) and {stamp} is not null"
    return Conversion(accepts, f"epoch_us({stamp}) - {EPOCH_SECONDS * 1_000_000}", "int8")


def _fraction(target: Type) -> str:
    digits = target.modifier if target.modifier >= 0 else 6
    return rf"(\.\d{{1,{digits}}})?" if digits else ""


def _date(text: str, _target: Type) -> Conversion:
    day = f"try_cast({text} as date)"
    accepts = f"regexp_matches({text}, {literal(f'^{_DATE}$')}) and {day} is not null"
    return Conversion(accepts, f"datediff('day', date '2000-01-01', {day})", "int4")


def _uuid(text: str, _target: Type) -> Conversion:
    pattern = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
    return Conversion(f"regexp_matches({text}, {literal(pattern)})", f"unhex(replace({text}, '-', ''))", "raw")


def _int(text: str, target: Type) -> Conversion:
    digits = {"int2": 4, "int4": 9, "int8": 18}[target.name]
    accepts = f"regexp_matches({text}, {literal(f'^-?[0-9]{{1,{digits}}}$')})"
    return Conversion(accepts, f"try_cast({text} as bigint)", target.name)


def _numeric(text: str, target: Type) -> Conversion:
    precision, scale = numeric_modifier(target.modifier)
    if precision is None:
        precision, scale = 200, 100
    whole = precision - scale
    if scale < 0 or whole < 1:
        return _asked(text, target)
    fraction = rf"(\.[0-9]{{1,{scale}}})?" if scale else ""
    return Conversion(f"regexp_matches({text}, {literal(f'^-?[0-9]{{1,{whole}}}{fraction}$')})", text, "numeric")


def numeric_modifier(modifier: int) -> tuple[int | None, int]:
    """(precision, scale) of a numeric's typmod; precision is None where it has none.

    ((precision << 16) | (scale & 0x7ff)) + VARHDRSZ, scale signed in 11 bits from Postgres 15 on: make_numeric_typmod().
    """
    if modifier < 4:
        return None, 0
    packed = modifier - 4
    return packed >> 16, ((packed & 0x7FF) ^ 1024) - 1024


def _bool(text: str, _target: Type) -> Conversion:
    return Conversion(
        f"lower({text}) in ('true', 'false', 't', 'f')", f"(lower({text}) in ('true', 't'))::tinyint", "bool"
    )


def _enum(text: str, target: Type) -> Conversion:
    return Conversion(f"{text} in ({', '.join(map(literal, target.labels)) or 'null'})", text, "text")


_BY_NAME: dict[str, Callable[[str, Type], Conversion]] = {
    "jsonb": _json,
    "timestamptz": _timestamptz,
    "timestamp": _timestamp,
    "date": _date,
    "uuid": _uuid,
    "int": _int,
    "numeric": _numeric,
    "bool": _bool,
    "enum": _enum,
}
