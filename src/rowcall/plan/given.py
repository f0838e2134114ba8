"""What repairs give to rows at the head of the judge: tables of the workspace that win over what the mapping makes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rowcall.plan.values import Filled, Finding
from rowcall.sql import ident, label

PLAIN = "plain"  # whether the row's own column names nothing: NULL stays NULL where the target allows it
VALUE = ("code", "evidence", "detail", "bytes")


def given_table(entity: str, column: str) -> str:
    """DuckDB table of what repairs put into a target column, by the row's key k: of a reference with the fields of plan.paths,
    of a value (k, code, evidence, detail, bytes)."""
    return ident(label(f"given {entity}.{column}"))


@dataclass(frozen=True)
class GivenParent:
    """A reference for which repairs name parents."""

    join: str
    alias: str

    def instead(self, field: str, sql: str) -> str:
        """A field of the reference: the given one where there is one."""
        given = "false" if field == PLAIN else f"{self.alias}.{field}"
        return f"case when {self.alias}.k is not null then {given} else {sql} end"


@dataclass(frozen=True)
class GivenValue:
    """A column for which repairs have values, of which the target was asked before. `inner` names them for the query."""

    join: str
    alias: str

    @property
    def inner(self) -> dict[str, str]:
        return {f"{self.alias}_given": f"{self.alias}.k is not null"} | {
            f"{self.alias}_{part}": f"{self.alias}.{part}" for part in VALUE
        }

    def fill(self, filled: Filled) -> Filled:
        """The column's part in the query: the given value where there is one."""
        output, finding = filled.output, filled.finding or Finding("null", filled.output.column)
        given = f"j.{self.alias}_given"
        code, evidence, detail = (
            f"case when {given} then j.{self.alias}_{part} else {getattr(finding, part)} end" for part in VALUE[:3]
        )
        asked = f"case when {given} then j.{self.alias}_bytes else {output.asked or 'null::blob'} end"
        own = f"case when not {given} then {output.sql} end"
        return replace(
            filled,
            output=replace(output, sql=own, asked=asked),
            finding=replace(finding, code=code, evidence=evidence, detail=detail),
        )


def given_parent(entity: str, column: str, alias: str) -> GivenParent:
    return GivenParent(_join(entity, column, alias), alias)


def given_value(entity: str, column: str, alias: str) -> GivenValue:
    return GivenValue(_join(entity, column, alias), alias)


def _join(entity: str, column: str, alias: str) -> str:
    return f"left join {given_table(entity, column)} {alias} on {alias}.k = n.k"
