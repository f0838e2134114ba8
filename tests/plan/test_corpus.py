# ruff: noqa: E501
"""What the judge accepts, Postgres accepts unchanged, and the other way round: every text as every type, against a cast."""

from __future__ import annotations

import pytest
from conftest import MakeProject, Project

from plan.corpus import CONVERSIONS, JSON, NUMBERS, OTHERS, TEXTS, TIMES
from rowcall.postgres.ask import ask
from rowcall.schema import Type

SOURCE_SQL = "create table corpus (id int primary key, value text);"
# A guarded cast: whether the type takes the text, and whether its modifier keeps the value (no silent rounding or cutting).
TARGET_SQL = """
create type state as enum ('open', 'closed', 'in progress', 'it''s', 'q"q', 'ключ');
create function exact(v text, type text, plain text) returns boolean language plpgsql as $$
declare
    kept boolean;
begin
    if plain in ('varchar', 'char') then
        return length(v) <= 10;
    end if;
    execute format('select (%L::%s) is not null', v, type);
    if type <> plain then
        execute format('select (%1$L::%2$s)::%3$s is not distinct from %1$L::%3$s', v, type, plain) into kept;
        return kept;
    end if;
    return true;
exception when data_exception or statement_too_complex then
    return false;
end
$$;
"""


def corpus(make_project: MakeProject, texts: list[str], target_dsn: str = "") -> Project:
    tables = "".join(f"create table {name} (id uuid primary key, v {kind});" for name, (_, kind) in CONVERSIONS.items())
    project = make_project(SOURCE_SQL, TARGET_SQL + tables, target_dsn=target_dsn)
    with project.source.connection.cursor() as cursor:
        cursor.executemany("insert into corpus values (%s, %s)", list(enumerate(texts)))
    project.write(
        "\n".join(
            f"{name}: {{from: corpus, columns: {{v: {{from: value, convert: {conversion}}}}}}}"
            for name, (conversion, _) in CONVERSIONS.items()
        )
    )
    return project


def disagreements(project: Project, texts: list[str]) -> list[str]:
    """Where verdict or stored value is another than the cast's."""
    found = []
    for name, (_, kind) in CONVERSIONS.items():
        plain = kind.split("(")[0].removesuffix(" day")
        fates = project.fates(name)
        asked = project.target.rows(
            "select n - 1, exact(v, %s, %s) from unnest(%s::text[]) with ordinality t(v, n)", [kind, plain, texts]
        )
        for place, accepted in asked:
            if (fates[str(place)] == "migrated") is not accepted:
                found.append(f"{name}: {texts[place][:60]!r} is {fates[str(place)]}, cast: {accepted}")
        taken = [texts[place] if accepted else None for place, accepted in asked]
        differing = project.target.rows(
            f"select m.legacy_id, t.v::text, c.v::text from unnest(%s::text[]) with ordinality c(v, n) "
            f"join rowcall.migration_mappings m on m.entity_type = %s and m.legacy_id = (n - 1)::text "
            f"join {name} t on t.id = m.entity_uuid where t.v::text is distinct from c.v::{kind}::text",
            [taken, name],
        )
        found += [f"{name}: {given[:60]!r} is stored as {(stored or '')[:60]!r}" for _, stored, given in differing]
    return found


def test_every_conversion_has_its_corpus() -> None:
    assert all(len(set(texts)) >= 40 for texts in (JSON, TIMES, NUMBERS, OTHERS))
    assert len(TEXTS) >= 300


def test_judge_and_cast_agree(make_project: MakeProject) -> None:
    project = corpus(make_project, TEXTS)
    project.foreseen_run()
    assert disagreements(project, TEXTS) == []


def test_judge_and_cast_agree_where_nothing_can_be_asked_softly(make_project: MakeProject, postgres_15: str) -> None:
    texts = [t for t in TEXTS if len(t) < 500]
    project = corpus(make_project, texts, target_dsn=postgres_15)
    assert project.run().complete
    assert disagreements(project, texts) == []


def test_null_is_null_and_empty_is_a_fault(make_project: MakeProject) -> None:
    kinds = {"jsonb": "jsonb", "timestamptz": "timestamptz", "int": "int4"}
    project = make_project(
        "create table corpus (id int primary key, value text); insert into corpus values (1, null), (2, ''), (3, ' ')",
        "".join(
            f"create table a_{name} (id uuid primary key, v {kind}); create table b_{name} (id uuid primary key, v {kind} not null);"
            for name, kind in kinds.items()
        ),
    )
    project.write(
        "\n".join(
            f"{part}_{name}: {{from: corpus, columns: {{v: {{from: value, convert: {name}}}}}}}"
            for name in kinds
            for part in "ab"
        )
    )
    project.foreseen_run()
    for name in kinds:
        fault = "malformed_json" if name == "jsonb" else "not_convertible"
        assert project.fates(f"a_{name}") == {"1": "migrated", "2": fault, "3": fault}
        assert project.fates(f"b_{name}") == {"1": "null_in_required", "2": fault, "3": fault}
        assert project.values(f"a_{name}", "v") == {"1": None}


# entity -> (the column's type, conversion, text, code)
CODES = {
    "zero": ("jsonb", "jsonb", '"\\u0000"', "unstorable_text"),
    "comma": ("jsonb", "jsonb", "[1,]", "malformed_json"),
    "huge": ("numeric", "numeric", "1e999999", "out_of_range"),
    "wide": ("int2", "int", "40000", "out_of_range"),
    "half": ("int2", "int", "12.6", "not_convertible"),
    "leap": ("timestamptz", "timestamptz", "2024-02-30", "out_of_range"),
    "soon": ("timestamptz", "timestamptz", "soon", "not_convertible"),
    "fine": ("numeric(10,2)", "numeric", "1.239", "out_of_range"),
    "long": ("varchar(10)", "text", "abcdefghijk", "too_long"),
    "label": ("state", "enum", "nowhere", "not_in_enum"),
}


@pytest.mark.parametrize("older", [False, True])
def test_the_code_says_what_is_wrong(make_project: MakeProject, request: pytest.FixtureRequest, older: bool) -> None:
    tables = "".join(f"create table {name} (id uuid primary key, v {kind});" for name, (kind, *_) in CODES.items())
    project = make_project(
        "create table corpus (id int primary key, value text, name text);",
        "create type state as enum ('open');" + tables,
        target_dsn=request.getfixturevalue("postgres_15") if older else "",
    )
    for number, (name, (_, _, text, _)) in enumerate(CODES.items()):
        project.source.execute("insert into corpus values (%s, %s, %s)", [number, text, name])
    project.write(
        "\n".join(
            f"{name}: {{from: corpus, where: {{own: name = '{name}'}}, columns: {{v: {{from: value, convert: {how}}}}}}}"
            for name, (_, how, _, _) in CODES.items()
        )
    )
    project.foreseen_run()
    assert {name: project.fates(name)[str(n)] for n, name in enumerate(CODES)} == {n: c[3] for n, c in CODES.items()}


def test_a_bad_text_costs_no_further_question(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """From 16 on one query answers for good and bad texts alike: none of them is cast on trial."""
    monkeypatch.delattr("rowcall.postgres.ask._halving")
    int4 = Type(23, "int4", "pg_catalog", "integer", "integer", "int4send")
    answers = ask(make_project().target, int4, ["1", "x", "99999999999", " 7 "], json=False)
    assert [a.code and a.code.value for a in answers] == [None, "not_convertible", "out_of_range", None]
    assert [a.data for a in answers] == [b"\0\0\0\1", None, None, b"\0\0\0\7"]
