"""Which source type may stand in which target column without `convert`, and which conversion to write where it may not.

"Fits" means: the value keeps its meaning, or the judge sees the row where it does not (a narrower integer, varchar or
numeric, an enum's label). What changes a value's form (text to jsonb, integer to text) must be written down.
"""

from __future__ import annotations

from rowcall.mapping.conversions import CONVERSIONS
from rowcall.schema import Type

# They name objects of their own database's catalog; the number means something else, or nothing, in another one.
OID_LIKE = frozenset({"oid", "oidvector", *(f"reg{what}" for what in (
    "class", "collation", "config", "dictionary", "namespace", "oper", "operator", "proc", "procedure", "role", "type"
))})  # fmt: skip
TIMES = frozenset({"date", "timestamp", "timestamptz"})
_NUMBERS = frozenset({"int2", "int4", "int8", "numeric"})


def bare(kind: Type) -> Type:
    """The type below a domain."""
    while kind.kind == "d" and kind.base is not None:
        kind = kind.base
    return kind


def fits(source: Type, target: Type) -> bool:
    """Whether a value may pass without `convert`."""
    source, target = bare(source), bare(target)
    if _same(source, target) or (source.kind == "e" and target.kind == "e"):
        return True
    if source.is_integer:
        return target.is_integer or target.name == "numeric"
    return (source.is_text and target.is_text) or (source.name, target.name) == ("float4", "float8")


def _same(source: Type, target: Type) -> bool:
    builtin = source.schema == "pg_catalog"
    return (source.name, source.kind, builtin) == (target.name, target.kind, target.schema == "pg_catalog")


def is_oid_like(kind: Type) -> bool:
    """Whether the type, or an array's element, names objects of a catalog."""
    return bare(kind).name.removeprefix("_") in OID_LIKE


def comparable(one: Type, other: Type) -> bool:
    """Whether a hop may compare the two; a number or uuid with a text is compared as text."""
    one, other = bare(one), bare(other)
    if _same(one, other) or {one.name, other.name} <= _NUMBERS or (one.is_text and other.is_text):
        return True
    return any(a.is_text and (b.name in _NUMBERS or b.name == "uuid") for a, b in ((one, other), (other, one)))


def takes(conversion: str, target: Type) -> bool:
    """Whether a conversion yields what the target column holds."""
    target = bare(target)
    return target.kind == "e" if conversion == "enum" else target.kind == "b" and target.name in CONVERSIONS[conversion]


def conversion_for(target: Type) -> str | None:
    """The conversion that yields a type, if there is one."""
    return next((name for name in CONVERSIONS if takes(name, target)), None)
