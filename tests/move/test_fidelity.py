"""What passes through unchanged arrives exactly: every type's odd values, read as text on both sides."""

from __future__ import annotations

import pytest
from conftest import MakeProject

# (type at the source, type at the target, values as SQL); "" as the target's type: the same
COLUMNS: list[tuple[str, str, list[str]]] = [
    ("int2", "", ["32767", "-32768", "0"]),
    ("int4", "", ["2147483647", "-2147483648"]),
    ("int8", "", ["9223372036854775807", "-9223372036854775808"]),
    ("int2", "int4", ["32767", "-32768"]),
    ("int4", "int8", ["2147483647", "-2147483648"]),
    ("int8", "numeric", ["9223372036854775807", "-9223372036854775808", "0"]),
    ("int8", "int4", ["2147483647", "-2147483648"]),
    ("int4", "int2", ["32767", "-32768"]),
    ("numeric", "", ["'NaN'", "1e-16383", "1e131071", "0.10", "-0.00", "'Infinity'", "'-Infinity'", "123456789.123456789"]),
    ("numeric(10,2)", "numeric(12,4)", ["1.20", "-99999999.99", "'NaN'"]),
    ("numeric(12,4)", "numeric(10,2)", ["1.2000", "'NaN'", "-99999999.99"]),
    ("numeric", "numeric(10,2)", ["1.2", "'NaN'", "99999999.99", "-7"]),
    ("float4", "", ["'NaN'", "'-0'", "3.4028235e38", "1e-45", "'-Infinity'", "0.1"]),
    ("float8", "", ["'NaN'", "'-0'", "1.7976931348623157e308", "5e-324", "'Infinity'", "0.1"]),
    ("float4", "float8", ["0.1", "'NaN'", "1e-45", "'-Infinity'"]),
    ("bool", "", ["true", "false"]),
    ("text", "", ["''", "'é ü 𝄞 \u200b'", "E'a\\tb\\nc\\\\d'", "repeat('x', 1048576)", "'\\N'", "e'e\u0301'"]),
    ("varchar(20)", "text", ["'tail   '", "''", "'ключ'"]),
    ("text", "varchar(20)", ["'tail   '", "''", "'äöüäöüäöüäöüäöüäöüäö'"]),
    ("bpchar(8)", "", ["'ab'", "''", "'abcdefgh'"]),
    ("bpchar(8)", "text", ["'ab'", "''"]),
    ("name", "", ["'a name'"]),
    ('"char"', "", ["'a'", "''", "'\\001'"]),
    ("bytea", "", ["'\\x'", "'\\x00ff7f80'", "decode(repeat('00', 100000), 'hex')"]),
    ("date", "", ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'5874897-12-31'", "'2024-02-29'"]),
    ("time", "", ["'24:00'", "'23:59:59.999999'", "'00:00'"]),
    ("timetz", "", ["'24:00-15:59'", "'12:00:00.000001+14'"]),
    ("timestamp", "", ["'infinity'", "'4713-01-01 BC'", "'294276-12-31 23:59:59.999999'"]),
    ("timestamptz", "", ["'-infinity'", "'infinity'", "'0001-01-01 00:00+14 BC'", "'2024-02-29 12:34:56.123456+05:30'"]),
    ("timestamptz(0)", "timestamptz(3)", ["'2024-02-29 12:34:56'", "'infinity'"]),
    ("timestamptz", "timestamptz(0)", ["'2024-02-29 12:34:56'", "'infinity'", "'0044-03-15 BC'", "'1850-01-01 00:00:07'"]),
    ("interval", "", ["'1 year 1 mon'", "'-1 mon +1 day -00:00:00.000001'", "'178000000 years'"]),
    ("uuid", "", ["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"]),
    ("json", "", ["'{\"b\" : 1,  \"a\":2, \"a\":3}'", "'\"\\u0000\"'"]),
    ("jsonb", "", ["'{\"b\": 1e400, \"a\": [1.10, null]}'", "'\"\U0001f600\"'", "'0.10'"]),
    ("jsonpath", "", ["'$.a[*] ? (@ > 1)'"]),
    ("inet", "", ["'10.1.2.3/8'", "'::ffff:1.2.3.4/96'", "'10.0.0.1'"]),
    ("cidr", "", ["'10.0.0.0/8'", "'2001:db8::/32'"]),
    ("macaddr", "", ["'08:00:2b:01:02:03'"]),
    ("macaddr8", "", ["'08:00:2b:01:02:03:04:05'"]),
    ("bit(5)", "", ["B'10101'"]),
    ("varbit", "", ["B''", "B'1'", "B'101010101'"]),
    ("money", "", ["'12.34'", "'-92233720368547758.08'"]),
    ("point", "", ["'(1e300,-0)'", "'(NaN,Infinity)'"]),
    ("box", "", ["'(1,2),(3,4)'"]),
    ("path", "", ["'[(1,2),(3,4)]'", "'((1,2),(3,4))'"]),
    ("polygon", "", ["'((0,0),(1,1),(2,0))'"]),
    ("circle", "", ["'<(1,2),3>'"]),
    ("line", "", ["'{1,-1,0}'"]),
    ("lseg", "", ["'[(1,2),(3,4)]'"]),
    ("tsvector", "", ["'''a b'':1A,2 c'", "''"]),
    ("tsquery", "", ["'a & !b <-> c:*A'"]),
    ("xid8", "", ["'18446744073709551615'"]),
    ("pg_lsn", "", ["'FFFFFFFF/FFFFFFFF'"]),
    ("int4[]", "", ["'{}'", "'{1,NULL,3}'", "'{{1,2},{3,4}}'", "'[-1:1]={1,2,3}'", "'[2:3][0:1]={{1,2},{3,4}}'"]),
    ("text[]", "", ["array['', 'NULL', null, 'a,\"b']", "array[repeat('y', 70000)]"]),
    ("numeric(6,2)[]", "", ["'{1.20,NaN}'"]),
    ("timestamptz[]", "", ["'{infinity,-infinity}'"]),
    ("mood", "", ["'sad'", "'in between'"]),
    ("mood[]", "", ["'{sad,NULL,\"in between\"}'", "'{}'"]),
    ("pair", "", ["row(1, 'x')", "row(null, null)", "row(2, '(,\")')"]),
    ("pair[]", "", ["array[row(1, 'x'), null]::pair[]"]),
    ("positive", "", ["7"]),
    ("short", "", ["'abc'"]),
    ("int4range", "", ["'[1,5)'", "'empty'", "'(,)'"]),
    ("tstzrange", "", ["'[-infinity,infinity]'", "'(,2024-02-29]'"]),
    ("numrange[]", "", ["'{\"[1.10,2)\",empty}'"]),
    ("int4multirange", "", ["'{[1,2),[5,9)}'", "'{}'"]),
    ("floatrange", "", ["'[0.1,NaN]'"]),
]  # fmt: skip
TYPES = """
create type mood as enum ('sad', 'in between', 'happy');
create type pair as (a int, b text);
create domain positive as int check (value > 0);
create domain short as varchar(5) not null;
create type floatrange as range (subtype = float8);
"""
# Other OIDs at the target, and one label more.
OTHER_TYPES = "create type filler as (a int); create type filler2 as enum ('x');" + TYPES.replace(
    "'sad',", "'new', 'sad',"
)
ROWS = max(len(values) for _, _, values in COLUMNS)


@pytest.mark.parametrize("older_source", [False, True])
def test_every_type_arrives_exactly(
    make_project: MakeProject, request: pytest.FixtureRequest, older_source: bool
) -> None:
    columns = [(f"c{n}", source, target or source, values) for n, (source, target, values) in enumerate(COLUMNS)]
    rows = ",\n".join(
        f"({row}, " + ", ".join(f"({values[row % len(values)]})::{kind}" for _, kind, _, values in columns) + ")"
        for row in range(ROWS)
    )
    nulls = [f"null::{kind}" if kind != "short" else "'n'::short" for _, kind, _, _ in columns]
    project = make_project(
        f"{TYPES} create table wide (id int primary key, {', '.join(f'{n} {kind}' for n, kind, _, _ in columns)});"
        f"insert into wide values {rows}, ({ROWS}, {', '.join(nulls)})",
        f"{OTHER_TYPES} create table wide (id uuid primary key, {', '.join(f'{n} {kind}' for n, _, kind, _ in columns)})",
        source_dsn=request.getfixturevalue("postgres_15") if older_source else "",
    )
    project.write("wide: {from: wide, columns: {" + ", ".join(f"{n}: {n}" for n, *_ in columns) + "}}")
    project.foreseen_run()
    assert set(project.fates("wide").values()) == {"migrated"}, project.rejections("wide", "0")
    for name, given, wanted, _ in columns:
        cast = f"({name}::{wanted})::text" if given != wanted else f"{name}::text"
        before = dict(project.source.rows(f"select id::text, {cast} from wide"))
        assert project.values("wide", name) == before, f"{given} -> {wanted}"
