"""Asks Postgres itself whether it takes a text as a type, and for the bytes it would store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from rowcall.postgres.connect import Session
from rowcall.postgres.errors import is_row_fault, stopped
from rowcall.rows import Reason
from rowcall.schema import Type

# Number, time, text or bit string that is well formed, but more than the type holds.
_TOO_MUCH = frozenset({"22003", "22008", "22001", "22026"})
SOFT_ERRORS = 160000  # pg_input_error_info() came with Postgres 16


@dataclass(frozen=True)
class Answered:
    """`code` is None where the type takes the text unchanged; then `data` is its binary form (None for JSON: the text stays)."""

    code: Reason | None
    evidence: str | None = None
    data: bytes | None = None
    detail: str | None = None


def ask(session: Session, type_: Type, texts: Sequence[str], *, json: bool) -> list[Answered]:
    """One answer per text. On servers before 16, and for what errors hard even there, a guarded trial cast a text."""
    if session.server_version >= SOFT_ERRORS:
        try:
            return _softly(session, type_, texts, json)
        except psycopg.Error as error:
            if not _of_value(error):
                raise stopped(error, session.side, "a conversion") from None
    return _halving(session, type_, texts, json)


def _softly(session: Session, type_: Type, texts: Sequence[str], json: bool) -> list[Answered]:
    data, exact = ("null::bytea", "true") if json else _result(type_, "v")
    # CASE, and no join: below an outer join the cast would run for the bad texts, too.
    rows = session.rows(
        f"""select e.sql_error_code, case when e.sql_error_code is null then {data} end,
                   case when e.sql_error_code is null then {exact} end
            from unnest(%b::text[]) with ordinality t(v, n)
            cross join lateral pg_input_error_info(v, %s) e
            order by n""",
        [list(texts), type_.sql],
    )
    return [_answer(state, data, exact, type_, json) for state, data, exact in rows]


def _halving(session: Session, type_: Type, texts: Sequence[str], json: bool) -> list[Answered]:
    """Casts all at once; where that fails, halves down to the single text."""
    good = ", ".join((f"v::{type_.sql} is null", "true") if json else _result(type_, "v"))
    try:
        with session.transaction():
            rows = session.rows(
                f"select {good} from unnest(%b::text[]) with ordinality t(v, n) order by n", [list(texts)]
            )
        return [_answer(None, None if json else data, exact, type_, json) for data, exact in rows]
    except psycopg.Error as error:
        if not _of_value(error):
            raise stopped(error, session.side, "a conversion") from None
        if len(texts) == 1:
            return [_answer(error.sqlstate or "22000", None, True, type_, json)]
    middle = len(texts) // 2
    return _halving(session, type_, texts[:middle], json) + _halving(session, type_, texts[middle:], json)


def _result(type_: Type, value: str) -> tuple[str, str]:
    """SQL of two values: the bytes, and whether the modifier keeps the value (1.239 into numeric(10,2) does not)."""
    cast = f"{value}::{type_.sql}"
    exact = "true"
    if type_.modifier != -1 and not type_.is_text:
        plain = f'"{type_.schema}"."{type_.name}"' if type_.schema != "pg_catalog" else f"pg_catalog.{type_.name}"
        exact = f"({value}::{plain}) is not distinct from (({cast})::{plain})"
    return f"{type_.send}({cast})", exact


def _answer(state: str | None, data: bytes | None, exact: bool | None, type_: Type, json: bool) -> Answered:
    if state is None:
        if exact is False:
            return Answered(Reason.OUT_OF_RANGE, f"would be rounded to fit {type_.formatted}")
        return Answered(None, None, data)
    return Answered(_code(state, json), state)


def _code(state: str, json: bool) -> Reason:
    if state == "22P05":  # untranslatable character: \u0000 in JSON
        return Reason.UNSTORABLE_TEXT
    if json and state != "22003":
        return Reason.MALFORMED_JSON
    return Reason.OUT_OF_RANGE if state in _TOO_MUCH else Reason.NOT_CONVERTIBLE


def _of_value(error: psycopg.Error) -> bool:
    """A value's fault: a data exception, or a text nested too deep for the server's stack (54001)."""
    state = error.sqlstate or ""
    return is_row_fault(state) or state == "54001"
