"""How each target column is filled: what is read for it, what DuckDB makes of it, and what may be wrong with it.

Columns that pass through unchanged leave the source as the bytes of their binary form and are never looked into (integers
as numbers); a column
is judged (read as text) where its type or modifier differs, or where the mapping converts it.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, replace

from rowcall.mapping.model import ColumnRule
from rowcall.plan.conversions import conversion, numeric_modifier
from rowcall.plan.keys import bare
from rowcall.rows import Reason
from rowcall.schema import Column, Type
from rowcall.sql import ident, literal

# Types whose binary form is equally long for all values.
_ONE_WIDTH = frozenset(
    {"bool", "int2", "int4", "int8", "float4", "float8", "uuid", "date", "time", "timestamp", "timestamptz", "interval"}
)
Literals = MappingOf[tuple[str, str], bytes]  # (text, type as SQL) -> bytes of its binary form, asked of the target


@dataclass(frozen=True)
class Finding:
    """A defect that a row may have. All parts are DuckDB SQL over the joined batch, alias j; `code` yields a reason
    code, or NULL where the row is sound."""

    code: str
    column: str | None = None
    reference: str | None = None
    hop: str = "null"
    value: str = "null"
    evidence: str = "null"
    detail: str = "null"
    root: tuple[str, str] | None = None  # (entity, key) of the root, for victims
    parent: tuple[str, str] | None = None
    many: str | None = None  # of several defects of one column: a list of rejections; {place} is the finding's place


@dataclass(frozen=True)
class Ask:
    """Texts that DuckDB may not accept by itself: the target is asked whether `type` takes them unchanged."""

    alias: str
    value: str  # DuckDB SQL over the batch, alias n
    suspect: str  # DuckDB SQL: rows to ask about
    type: Type
    json: bool


@dataclass(frozen=True)
class Output:
    """One column of the COPY: `sql` yields its value, `encoder` makes bytes of it; bytes in `asked` win where present."""

    column: str
    sql: str
    encoder: str
    asked: str | None = None


@dataclass(frozen=True)
class Filled:
    """A target column's part in the compiled query."""

    output: Output
    read: tuple[str, str] | None = None  # (alias, Postgres SQL)
    finding: Finding | None = None
    ask: Ask | None = None
    fallible: bool = False  # the read may fail in the source's Postgres
    read_type: str = "text"  # of the read, in Postgres


def fill(
    number: int,
    rule: ColumnRule,
    target: Column,
    source: Type | None,
    content_types: MappingOf[int, str],
    literals: Literals,
) -> Filled:
    """Compiles one column rule. `source` is the type of its column or expression (None for constants)."""
    alias = f"c{number}"
    if rule.has_constant:
        return _constant(rule, target, literals)
    if rule.content_type is not None:
        return _content_type(alias, rule, target, content_types, literals)
    if source is None:
        raise ValueError(f"no type known for {rule.column}")
    read_sql = ident(rule.source) if rule.source is not None else f"({rule.sql}\n)"
    filled = _from_value(alias, number, rule, target, source, read_sql, literals)
    return replace(filled, fallible=rule.sql is not None)


def _from_value(
    alias: str, number: int, rule: ColumnRule, target: Column, source: Type, sql: str, literals: Literals
) -> Filled:
    wanted, given = bare(target.type), bare(source)
    if rule.values is None and rule.convert is None and _widens_integer(given, wanted):
        # As a number, exact in Arrow and half as dear to read as bytes.
        finding = _required(target, f"j.{alias}") if _must(target) else None
        read = (alias, f"{sql}::{wanted.name}")
        return Filled(Output(rule.column, f"j.{alias}", wanted.name), read, finding, read_type=wanted.name)
    if rule.values is not None:
        return _mapped((alias, f"{sql}::text"), f"j.{alias}", rule, target, literals)
    if rule.convert is None and (raw := _unchanged(given, wanted)):
        finding = _required(target, f"j.{alias}") if _must(target) else None
        return Filled(Output(rule.column, f"j.{alias}", "raw"), (alias, raw.format(sql)), finding, read_type="bytea")
    read = (alias, f"{sql}::text")
    if wanted.is_text and rule.convert in (None, "text"):
        return _text(read, rule, target, wanted)
    return _converted(read, number, rule.convert or judged_as(wanted), rule, target, wanted)


# -- unchanged ------------------------------------------------------------------------------------------------------


def _unchanged(given: Type, wanted: Type) -> str | None:
    """Postgres SQL (with {} for the value) that sends a value as bytes which the target takes unchanged, else None."""
    if given.is_text and wanted.is_text:
        narrow = wanted.max_length is not None and (given.max_length is None or given.max_length > wanted.max_length)
        return None if narrow else "textsend(({})::text)" if given.name != wanted.name else f"{given.send}({{}})"
    if widens(given, wanted):
        return f"{wanted.send}(({{}})::{wanted.sql})"
    if "e" in (given.kind, wanted.kind):
        both = given.kind == wanted.kind and set(given.labels) <= set(wanted.labels)
        return f"enum_send(({{}})::{given.sql})" if both else None  # which takes no domain
    same = (given.name, given.kind) == (wanted.name, wanted.kind) and _roomy(given, wanted)
    return f"{given.send}({{}})" if same else None


def passes(given: Type, wanted: Type) -> bool:
    """Whether every value of a type passes through to the target's unchanged, so that nothing of it is judged."""
    return _unchanged(given, wanted) is not None or _widens_integer(given, wanted)


def _widens_integer(given: Type, wanted: Type) -> bool:
    return given.is_integer and wanted.is_integer and widens(given, wanted, same=True)


def widens(given: Type, wanted: Type, *, same: bool = False) -> bool:
    """Whether a cast keeps every value exactly: integers to wider ones or to plain numeric, float4 to float8. `same`: or to
    the same type."""
    if same and given.name == wanted.name:
        return True
    order = ("int2", "int4", "int8", "numeric")
    if given.name in order[:3] and wanted.name in order and wanted.modifier == -1:
        return order.index(given.name) < order.index(wanted.name)
    return (given.name, wanted.name) == ("float4", "float8")


def _roomy(given: Type, wanted: Type) -> bool:
    """Whether the target's modifier is at least as wide: a narrower numeric or timestamp would be rounded in silence."""
    if wanted.modifier == -1 or wanted.modifier == given.modifier:
        return True
    if wanted.name == "numeric":
        (precision, scale), (room, room_scale) = numeric_modifier(given.modifier), numeric_modifier(wanted.modifier)
        return (
            precision is not None
            and room is not None
            and scale <= room_scale
            and precision - scale <= room - room_scale
        )
    if wanted.name in ("timestamp", "timestamptz", "time", "timetz"):
        return -1 < given.modifier <= wanted.modifier
    return False


def judged_as(wanted: Type) -> str:
    """The conversion that judges a column of another modifier or width."""
    if wanted.is_integer:
        return "int"
    return "enum" if wanted.kind == "e" else {"json": "jsonb"}.get(wanted.name, wanted.name)


# -- judged ---------------------------------------------------------------------------------------------------------


def _text(read: tuple[str, str], rule: ColumnRule, target: Column, wanted: Type) -> Filled:
    value, checks = f"j.{read[0]}", []
    if wanted.max_length is not None:
        checks.append(f"when length({value}) > {wanted.max_length} then {literal(Reason.TOO_LONG.value)}")
    evidence = f"'longer than ' || {literal(wanted.formatted)}"
    finding = _finding(target, value, " ".join(checks), evidence)
    return Filled(Output(rule.column, value, "text"), read, finding)


def _converted(read: tuple[str, str], number: int, name: str, rule: ColumnRule, target: Column, wanted: Type) -> Filled:
    value = f"j.{read[0]}"
    how = conversion(value, name, wanted)
    if name == "enum":
        code = f"when {value} is not null and not ({how.accepts}) then {literal(Reason.NOT_IN_ENUM.value)}"
        return Filled(Output(rule.column, how.value, how.encoder), read, _finding(target, value, code, "null"))
    asked = f"a{number}"
    batch = f"n.{read[0]}"
    suspect = f"{batch} is not null and not coalesce({conversion(batch, name, wanted).accepts}, false)"
    ask = Ask(asked, batch, suspect, wanted, json=wanted.name in ("json", "jsonb"))
    finding = _finding(target, value, f"when j.{asked}_code is not null then j.{asked}_code", f"j.{asked}_evidence")
    finding = replace(finding, detail=f"j.{asked}_detail") if finding else None
    fast = how.value if ask.json else f"case when j.{asked}_k is null then {how.value} end"  # JSON keeps its text
    return Filled(Output(rule.column, fast, how.encoder, f"j.{asked}_bytes"), read, finding, ask)


def _mapped(read: tuple[str, str], value: str, rule: ColumnRule, target: Column, literals: Literals) -> Filled:
    """A value map: every result is a literal whose bytes the target gave."""
    values, wanted = rule.values, target.type
    assert values is not None
    named = [(k, v) for k, v in values.entries if k is not None]
    nulls = [v for k, v in values.entries if k is None]
    known = ", ".join(literal(k) for k, _ in named) or "null"
    branches = "".join(f" when {literal(k)} then {_bytes(v, wanted, literals)}" for k, v in named)
    fallback = {"keep": f"encode({value})", "use": _bytes(values.default, wanted, literals)}.get(
        values.otherwise, "null"
    )
    mapped = f"case {value}{branches} else {fallback} end" if branches else fallback
    null_result = _bytes(nulls[0], wanted, literals) if nulls else "null::blob"
    sql = f"case when {value} is null then {null_result} else {mapped} end"
    unknown = f"{value} is not null and {value} not in ({known})"
    code = ""
    if values.otherwise == "reject":
        code = f"when {unknown} then {literal(Reason.NOT_IN_ENUM.value)}"
    elif values.otherwise == "keep" and wanted.kind == "e":
        labels = ", ".join(map(literal, wanted.labels))
        code = f"when {unknown} and {value} not in ({labels}) then {literal(Reason.NOT_IN_ENUM.value)}"
    elif values.otherwise == "keep" and bare(wanted).max_length is not None:
        code = f"when {unknown} and length({value}) > {bare(wanted).max_length} then {literal(Reason.TOO_LONG.value)}"
    if _must(target):
        code += f" when ({sql}) is null then {literal(Reason.NULL_IN_REQUIRED.value)}"
    finding = Finding(f"case {code} end", target.name, value=value) if code else None
    return Filled(Output(rule.column, sql, "raw"), read, finding)


def _content_type(
    alias: str, rule: ColumnRule, target: Column, content_types: MappingOf[int, str], literals: Literals
) -> Filled:
    value = f"j.{alias}"
    names = " ".join(f"when {number} then {literal(name)}" for number, name in content_types.items())
    name = f"case {value} {names} end" if names else "null::varchar"
    read = (alias, f"{ident(rule.content_type or '')}::int8")
    unknown = f"when {value} is not null and ({name}) is null then {literal(Reason.UNKNOWN_TYPE.value)}"
    if rule.values is not None:
        filled = _mapped(read, f"({name})", rule, target, literals)
        code = filled.finding.code if filled.finding else "null"
        return Filled(filled.output, read, Finding(f"case {unknown} else {code} end", target.name, value=value))
    return Filled(Output(rule.column, name, "text"), read, _finding(target, value, unknown, "null"))


def _constant(rule: ColumnRule, target: Column, literals: Literals) -> Filled:
    return Filled(Output(rule.column, _bytes(rule.constant, target.type, literals), "raw"))


def _bytes(text: str | None, type_: Type, literals: Literals) -> str:
    return "null::blob" if text is None else f"unhex('{literals[(text, type_.sql)].hex()}')"


def of_one_width(target: Column) -> bool:
    """Whether a column's binary form is equally long in every row."""
    return target.not_null and bare(target.type).name in _ONE_WIDTH


# -- findings -------------------------------------------------------------------------------------------------------


def _must(target: Column) -> bool:
    return target.not_null


def _required(target: Column, value: str) -> Finding:
    return Finding(f"case when {value} is null then {literal(Reason.NULL_IN_REQUIRED.value)} end", target.name)


def _finding(target: Column, value: str, checks: str, evidence: str) -> Finding | None:
    code = (f"when {value} is null then {literal(Reason.NULL_IN_REQUIRED.value)} " if _must(target) else "") + checks
    return Finding(f"case {code} end", target.name, value=value, evidence=evidence) if code else None
