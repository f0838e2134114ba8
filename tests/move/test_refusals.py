# ruff: noqa: E501
"""What the judge cannot foresee comes back from the target: exactly the guilty rows are quarantined, everything else is in."""

from __future__ import annotations

import pytest
from conftest import MakeProject, Project

ROWS = 400
GUILTY = ("7", "200", "201", "399")
LIST = ", ".join(GUILTY)
SOURCE_SQL = (
    f"create table item (id int primary key, n int); insert into item select g, g from generate_series(1, {ROWS}) g"
)
ITEM = "create table item (id uuid primary key, n int);"

BEFORE = """
create function stand() returns trigger language plpgsql as $$ begin {body} return new; end $$;
create trigger stand {when} insert on item for each row execute function stand();
"""
# name -> (target's SQL, the evidence of each guilty row)
REFUSALS: dict[str, tuple[str, str]] = {
    "check": (f"create table item (id uuid primary key, n int, constraint sane check (n not in ({LIST})));", "23514 sane"),
    "swallowed": (
        ITEM + BEFORE.format(when="before", body=f"if new.n in ({LIST}) then return null; end if;"),
        "swallowed by a trigger or rule of the target",
    ),
    "raised before": (
        ITEM + BEFORE.format(when="before", body=f"if new.n in ({LIST}) then raise exception 'no %', new.n; end if;"),
        "P0001",
    ),
    "raised after": (
        ITEM + BEFORE.format(when="after", body=f"if new.n in ({LIST}) then raise exception 'no %', new.n; end if;"),
        "P0001",
    ),
    "raised with a state of its own": (
        ITEM
        + BEFORE.format(
            when="after", body=f"if new.n in ({LIST}) then raise exception 'no' using errcode = 'AB123', constraint = 'c'; end if;"
        ),
        "AB123 c",
    ),
    "raised at commit": (
        ITEM
        + BEFORE.format(when="after", body=f"if new.n in ({LIST}) then raise exception 'no'; end if;").replace(
            "create trigger stand after insert on item",
            "create constraint trigger stand after insert on item deferrable initially deferred",
        ),
        "P0001",
    ),
    "foreign key": (
        f"create table lookup (n int primary key); insert into lookup select g from generate_series(1, {ROWS}) g "
        f"where g not in ({LIST}); create table item (id uuid primary key, n int constraint known references lookup);",
        "23503 known",
    ),
    "deferred foreign key": (
        f"create table lookup (n int primary key); insert into lookup select g from generate_series(1, {ROWS}) g "
        f"where g not in ({LIST}); create table item (id uuid primary key, "
        "n int constraint known references lookup deferrable initially deferred);",
        "23503 known",
    ),
    "domain": (
        f"create domain sane_int as int constraint sane check (value not in ({LIST})); "
        "create table item (id uuid primary key, n sane_int);",
        "23514 sane",
    ),
    "generated": ("create table item (id uuid primary key, n int, inverse int generated always as "
                  f"(case when n in ({LIST}) then 1 / (n - n) end) stored);", "22012"),
    "expression index": (f"{ITEM} create unique index once on item ((case when n in ({LIST}) then 1 / (n - n) else n end));", "22012"),
}  # fmt: skip


def settled(project: Project) -> None:
    result = project.foreseen_run(matched=False)
    fates = project.fates("item")
    assert {k for k, fate in fates.items() if fate != "migrated"} == set(GUILTY)
    assert {fates[k] for k in GUILTY} == {"refused_by_target"}
    assert result.entities[0].counts.migrated == ROWS - len(GUILTY) == project.target.value("select count(*) from item")
    assert project.migration.verify().ok


@pytest.mark.parametrize("name", REFUSALS)
def test_exactly_the_guilty_rows_are_refused(make_project: MakeProject, name: str) -> None:
    target_sql, evidence = REFUSALS[name]
    project = make_project(SOURCE_SQL, target_sql)
    project.write("item: {from: item, id: id, columns: {n: n}}")
    settled(project)
    assert set(project.evidence("item").values()) == {evidence}
    assert project.roots("item") == {k: ("item", k) for k in GUILTY}
    assert project.target.value("select payload->>'n' from rowcall.quarantine where source_key = '200'") == "200"


def test_an_exclusion_constraint_lets_the_first_in(make_project: MakeProject) -> None:
    project = make_project(
        "create table item (id int primary key, span int4range); insert into item "
        "select g, int4range(g * 10, g * 10 + case when g in (7, 50) then 11 else 10 end) from generate_series(1, 100) g",
        "create table item (id uuid primary key, span int4range, constraint apart exclude using gist (span with &&))",
    )
    project.write("item: {from: item, columns: {span: span}}")
    project.foreseen_run(matched=False)
    refused = {k for k, fate in project.fates("item").items() if fate != "migrated"}
    assert len(refused) == 2
    assert refused <= {"7", "8", "50", "51"}
    assert set(project.evidence("item").values()) == {"23P01 apart"}


def test_deferred_unique_values_are_foreseen(make_project: MakeProject) -> None:
    project = make_project(
        "create table item (id int primary key, n int); insert into item select g, g % 90 from generate_series(1, 100) g",
        "create table item (id uuid primary key, n int constraint once unique deferrable initially deferred)",
    )
    project.write("item: {from: item, columns: {n: n}}")
    project.foreseen_run()
    assert {k for k, fate in project.fates("item").items() if fate == "duplicate_key"} == {
        str(g) for g in range(90, 101)
    } - {"90"}


def test_many_refused_rows_in_small_chunks(make_project: MakeProject, small_chunks: None) -> None:
    project = make_project(
        SOURCE_SQL,
        "create table item (id uuid primary key, n int, constraint odd check (n % 2 = 1), constraint low check (n < 300))",
    )
    project.write("item: {from: item, columns: {n: n}}")
    project.foreseen_run(matched=False)
    fates = project.fates("item")
    assert all((fate == "migrated") is (int(k) % 2 == 1 and int(k) < 300) for k, fate in fates.items())
    assert project.migration.verify().ok


def test_a_refused_parent_keeps_its_children_back(make_project: MakeProject) -> None:
    project = make_project(
        SOURCE_SQL
        + f"; create table part (id int primary key, item_id int); insert into part select g, g from generate_series(1, {ROWS}) g",
        f"create table item (id uuid primary key, n int, constraint sane check (n not in ({LIST})));"
        "create table part (id uuid primary key, item_id uuid not null references item)",
    )
    project.write(
        """
        item: {from: item, columns: {n: n}}
        part: {from: part, references: {item_id: {to: item, path: item_id}}}
        """
    )
    settled(project)
    assert project.roots("part") == {k: ("item", k) for k in GUILTY}
    assert {project.fates("part")[k] for k in GUILTY} == {"parent_quarantined"}


NARROWER = {
    "a": ("varchar(200)", "varchar(10)", "repeat('x', 10)", "repeat('x', 11)", "too_long"),
    "b": ("numeric(12,4)", "numeric(10,2)", "1.2300", "1.2390", "out_of_range"),
    "c": ("timestamptz(6)", "timestamptz(0)", "'2024-01-01 00:00:01'", "'2024-01-01 00:00:01.5'", "out_of_range"),
    "d": ("int8", "int4", "2147483647", "2147483648", "out_of_range"),
    "e": ("int4", "int2", "-32768", "-32769", "out_of_range"),
    "f": ("numeric", "numeric(5)", "99999", "99999.5", "out_of_range"),
    "g": ("text", "char(3)", "'abc'", "'abcd'", "too_long"),
    "h": ("mood", "mood", "'ok'", "'sad'", "not_in_enum"),
    "i": ("timestamp", "timestamp(3)", "'2024-01-01 00:00:01.123'", "'2024-01-01 00:00:01.1234'", "out_of_range"),
    "j": ("interval", "interval(0)", "'1 mon'", "'00:00:00.5'", "out_of_range"),
    "k": ("varchar", "varchar(3)", "'äöü'", "'abc '", "too_long"),
    "l": ("time", "time(0)", "'24:00'", "'12:00:00.5'", "out_of_range"),
    "m": ("bit varying", "bit varying(3)", "B'101'", "B'1011'", "out_of_range"),
    "n": ("numeric(6,2)[]", "numeric(6,1)[]", "array[1.10]", "array[1.11]", "out_of_range"),
    "o": ("bit(4)", "bit(3)", "null", "B'1011'", "out_of_range"),
}


@pytest.mark.parametrize("older", [False, True])
def test_a_narrower_target_never_cuts_or_rounds(
    make_project: MakeProject, request: pytest.FixtureRequest, older: bool
) -> None:
    """Each of these is cut or rounded in silence by an assignment or an explicit cast."""
    project = make_project(
        "create type mood as enum ('sad', 'ok');"
        + f"create table item (id int primary key, {', '.join(f'{c} {kind[0]}' for c, kind in NARROWER.items())});"
        + "".join(
            f"insert into item (id, {c}) values ({2 * n}, {good}), ({2 * n + 1}, {bad});"
            for n, (c, (_, _, good, bad, _)) in enumerate(NARROWER.items())
        ),
        f"create type mood as enum ('ok'); create table item (id uuid primary key, {', '.join(f'{c} {kind[1]}' for c, kind in NARROWER.items())})",
        target_dsn=request.getfixturevalue("postgres_15") if older else "",
    )
    project.write("item: {from: item, columns: {" + ", ".join(f"{c}: {c}" for c in NARROWER) + "}}")
    project.foreseen_run()
    wanted: dict[str, str] = {}
    for n, (*_, code) in enumerate(NARROWER.values()):
        wanted |= {str(2 * n): "migrated", str(2 * n + 1): code}
    assert project.fates("item") == wanted
    for place, column in enumerate(NARROWER):
        kept = project.source.value(f"select ({column}::{NARROWER[column][1]})::text from item where id = {2 * place}")
        assert project.values("item", column)[str(2 * place)] == kept
