"""Conversions that may fail: the names that a mapping may write behind `convert:`."""

from __future__ import annotations

# name -> the Postgres types (pg_type.typname) that a target column may have for it. "enum" takes any enum type.
CONVERSIONS: dict[str, frozenset[str]] = {
    "jsonb": frozenset({"jsonb", "json"}),
    "timestamptz": frozenset({"timestamptz"}),
    "timestamp": frozenset({"timestamp"}),
    "date": frozenset({"date"}),
    "time": frozenset({"time", "timetz"}),
    "interval": frozenset({"interval"}),
    "uuid": frozenset({"uuid"}),
    "int": frozenset({"int2", "int4", "int8"}),
    "numeric": frozenset({"numeric"}),
    "float": frozenset({"float4", "float8"}),
    "bool": frozenset({"bool"}),
    "inet": frozenset({"inet", "cidr"}),
    "enum": frozenset(),
    "text": frozenset({"text", "varchar", "bpchar"}),
}
