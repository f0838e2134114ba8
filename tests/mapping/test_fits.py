"""Which types may pass, which need a conversion, and which must not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mapping_world import ENUM, kind

from rowcall.mapping.conversions import CONVERSIONS
from rowcall.mapping.fits import bare, comparable, conversion_for, fits, is_oid_like, takes

PASS = "int2>int4 int4>int8 int8>int2 int4>numeric float4>float8 text>varchar varchar>bpchar name>text citext>text"
STOP = "numeric>int4 float8>float4 int4>float8 int4>text text>jsonb json>jsonb date>timestamptz timestamp>timestamptz"
MORE = "bool>int4 uuid>text text>uuid _int4>_int8 _text>text bytea>text"


@pytest.mark.parametrize("pair", PASS.split())
def test_passes(pair: str) -> None:
    source, target = pair.split(">")
    assert fits(kind(source), kind(target))


@pytest.mark.parametrize("pair", [*STOP.split(), *MORE.split()])
def test_does_not_pass(pair: str) -> None:
    source, target = pair.split(">")
    assert not fits(kind(source), kind(target))


def test_modifiers_are_for_the_judge() -> None:
    assert fits(kind("varchar", 204), kind("varchar", 14))
    assert fits(kind("numeric"), replace(kind("numeric"), modifier=655366))


def test_enums_and_domains() -> None:
    domain = replace(kind("int4"), name="positive", schema="public", kind="d", base=kind("int4"))
    assert bare(domain).name == "int4"
    assert fits(ENUM, replace(ENUM, name="other", labels=()))
    assert fits(domain, kind("int8"))
    assert not fits(kind("text"), ENUM)
    assert conversion_for(ENUM) == "enum"


def test_every_conversion_is_offered_for_the_types_it_yields() -> None:
    for name, types in CONVERSIONS.items():
        for one in types:
            assert takes(name, kind(one))
            assert conversion_for(kind(one)) == name
    assert conversion_for(kind("bytea")) is None


def test_oids_and_hops() -> None:
    assert all(is_oid_like(kind(name)) for name in ("oid", "regclass", "regprocedure", "_regtype"))
    assert not is_oid_like(kind("int8"))
    assert comparable(kind("int4"), kind("text"))
    assert comparable(kind("int2"), kind("int8"))
    assert comparable(kind("uuid"), kind("varchar"))
    assert not comparable(kind("int4"), kind("uuid"))
    assert not comparable(kind("text"), kind("timestamptz"))
