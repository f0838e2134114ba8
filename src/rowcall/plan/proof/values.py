"""What may be wrong with a row's own values, in the source's Postgres: the same rules as plan.values has in DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rowcall.mapping.model import ColumnRule, ValueMap
from rowcall.plan.keys import bare
from rowcall.plan.knowledge import Knowledge
from rowcall.plan.proof.rows import Defect, Rows
from rowcall.plan.values import judged_as, passes
from rowcall.rows import Reason
from rowcall.schema import Column, Type
from rowcall.sql import ident, literal

SOFT_ERRORS = 160000  # pg_input_error_info() came with Postgres 16
TOO_MUCH = ("22003", "22008", "22001", "22026")  # well formed, but more than the type holds
# Versions from which on a type takes more texts: 0x1F and 1_000 as numbers, 'infinity' as an interval (release notes of 16, 17).
_SINCE = dict.fromkeys(("int2", "int4", "int8", "numeric"), (160000,)) | {"interval": (170000,)}
_ASKED = frozenset({Reason.MALFORMED_JSON, Reason.NOT_CONVERTIBLE, Reason.OUT_OF_RANGE, Reason.UNSTORABLE_TEXT})


def value_defect(number: int, rule: ColumnRule, target: Column, rows: Rows, know: Knowledge) -> Defect | None:
    """What may be wrong with one column's values; None where nothing may."""
    value = _Value(number, rule, target, rows, know)
    branches = list(value.branches())
    if not branches:
        return None
    codes = frozenset(code for branch in branches for code in branch.codes)
    if rule.python:
        return Defect(codes, None, target.name, why="a function of the project makes the value")
    if untold := next((branch.why for branch in branches if branch.why), ""):
        return Defect(codes, None, target.name, why=untold)
    return Defect(codes, f"case {' '.join(branch.sql for branch in branches)} end", target.name, value.inner())


@dataclass(frozen=True)
class _Branch:
    """A WHEN of the column's case; `why` where the source cannot be asked."""

    codes: tuple[Reason, ...]
    sql: str = ""
    why: str = ""


class _Value:
    def __init__(self, number: int, rule: ColumnRule, target: Column, rows: Rows, know: Knowledge) -> None:
        self.number, self.rule, self.target, self.rows, self.know = number, rule, target, rows, know
        self.value = f"j.c{number}"
        self.wanted = bare(target.type)

    def inner(self) -> dict[str, str]:
        """The columns of j that the branches speak of: the value, and of a content type its number, too."""
        rule = self.rule
        if rule.content_type is not None:
            number = self.rows.read(f"n{self.number}", f"{ident(rule.content_type)}::text")
            return {f"c{self.number}": self.rows.read(f"c{self.number}", self._type_name()), f"n{self.number}": number}
        sql = ident(rule.source) if rule.source is not None else f"({rule.sql}\n)"
        value = self.rows.read(f"c{self.number}", f"({sql})::text")
        asked = {f"s{self.number}": self._state(value)} if self._how() == "asked" else {}
        return {f"c{self.number}": value} | asked

    def branches(self) -> Iterator[_Branch]:
        """In the order in which they apply."""
        if self.rule.has_constant:
            return
        if self.rule.content_type is not None:
            yield _when(Reason.UNKNOWN_TYPE, f"j.n{self.number} is not null and {self.value} is null")
        if self.rule.values is not None:
            yield from self._mapped(self.rule.values)
            return
        if self._may_be_null():
            yield _when(Reason.NULL_IN_REQUIRED, f"{self.value} is null")
        if self.rule.content_type is None:
            yield from self._judged()

    def _may_be_null(self) -> bool:
        return self.target.not_null and self._reads_null()

    def _type(self) -> Type:
        if self.rule.source is not None:
            column = self.rows.table.column(self.rule.source)
            assert column is not None  # the mapping's check looked it up
            return column.type
        return self.know.types[(self.rows.table.qualified, self.rule.sql or "")]

    def _type_name(self) -> str:
        pairs = " ".join(f"when {n} then {literal(name)}" for n, name in self.know.content_types.items())
        return f"case {ident(self.rule.content_type or '')}::int8 {pairs} end" if pairs else "null::text"

    def _how(self) -> str:
        """How a value is judged: "" where it passes through unchanged, "text", "enum", or "asked" of the server."""
        rule = self.rule
        if rule.values is not None or rule.content_type is not None:
            return ""
        if rule.convert is None and passes(bare(self._type()), self.wanted):
            return ""
        if self.wanted.is_text and rule.convert in (None, "text"):
            return "text"
        return "enum" if (rule.convert or judged_as(self.wanted)) == "enum" else "asked"

    def _judged(self) -> Iterator[_Branch]:
        """A value that does not pass through unchanged."""
        how = self._how()
        if how == "text" and self.wanted.max_length is not None:
            yield _when(Reason.TOO_LONG, f"length({self.value}) > {self.wanted.max_length}")
        elif how == "enum":
            labels = ", ".join(map(literal, self.wanted.labels)) or "null"
            yield _when(Reason.NOT_IN_ENUM, f"{self.value} not in ({labels})")
        elif how == "asked":
            yield self._asked()

    def _asked(self) -> _Branch:
        """What the server's own input function says of a text. Errors by SQLSTATE, as postgres.ask has them."""
        json = self.wanted.name in ("json", "jsonb")
        codes = tuple(_ASKED if json else _ASKED - {Reason.MALFORMED_JSON})
        version, asked = self.know.source.server_version, self.know.target.server_version
        if version < SOFT_ERRORS:
            return _Branch(codes, why="servers before Postgres 16 cannot be asked whether a text is a value of a type")
        if any((version < since) != (asked < since) for since in _SINCE.get(self.wanted.name, ())):
            return _Branch(codes, why=f"the two servers do not take the same texts as {self.wanted.formatted}")
        if self.wanted.schema != "pg_catalog":
            return _Branch(codes, why=f"the source has no type {self.wanted.formatted}")
        state = f"j.s{self.number}"
        other = Reason.MALFORMED_JSON if json else Reason.NOT_CONVERTIBLE
        too_much = "'22003'" if json else ", ".join(map(literal, TOO_MUCH))
        told = (
            f"case when {state} is null then {self._rounded()} when {state} = '22P05' then '{Reason.UNSTORABLE_TEXT.value}' "
            f"when {state} in ({too_much}) then '{Reason.OUT_OF_RANGE.value}' else '{other.value}' end"
        )
        return _Branch(codes, f"when {self.value} is not null then {told}")

    def _state(self, value: str) -> str:
        """SQL of the SQLSTATE with which the type refuses a value; NULL where it takes it."""
        asked = f"select i.sql_error_code from pg_input_error_info({value}, {literal(self.wanted.sql)}) i"
        return f"case when {value} is not null then ({asked}) end"

    def _rounded(self) -> str:
        """out_of_range where the modifier does not keep the value, else NULL."""
        if self.wanted.modifier == -1:
            return "null"
        plain = f"pg_catalog.{ident(self.wanted.name)}"
        kept = f"{self.value}::{plain} is not distinct from {self.value}::{self.wanted.sql}::{plain}"
        return f"case when not ({kept}) then '{Reason.OUT_OF_RANGE.value}' end"

    def _mapped(self, values: ValueMap) -> Iterator[_Branch]:
        named = [(k, v) for k, v in values.entries if k is not None]
        known = ", ".join(literal(k) for k, _ in named) or "null"
        unknown = (
            f"{self.value} is not null and {self.value} not in ({known})" if named else f"{self.value} is not null"
        )
        room = self.wanted.max_length
        if values.otherwise == "reject":
            yield _when(Reason.NOT_IN_ENUM, unknown)
        elif values.otherwise == "keep" and self.wanted.kind == "e":
            labels = ", ".join(map(literal, self.wanted.labels))
            yield _when(Reason.NOT_IN_ENUM, f"{unknown} and {self.value} not in ({labels})")
        elif values.otherwise == "keep" and room is not None:
            yield _when(Reason.TOO_LONG, f"{unknown} and length({self.value}) > {room}")
        if self.target.not_null and (condition := self._null_result(values, unknown)):
            yield _when(Reason.NULL_IN_REQUIRED, condition)

    def _null_result(self, values: ValueMap, unknown: str) -> str:
        """SQL: whether the map makes a NULL of the value."""
        to_null = [k for k, v in values.entries if k is not None and v is None]
        parts = [f"{self.value} in ({', '.join(map(literal, to_null))})"] if to_null else []
        if not any(k is None and v is not None for k, v in values.entries) and self._reads_null():
            parts.append(f"{self.value} is null")
        if values.otherwise == "use" and values.default is None:
            parts.append(f"({unknown})")
        return " or ".join(parts)

    def _reads_null(self) -> bool:
        column = self.rows.table.column(self.rule.source) if self.rule.source else None
        return column is None or not column.not_null


def _when(code: Reason, condition: str) -> _Branch:
    return _Branch((code,), f"when {condition} then {literal(code.value)}")
