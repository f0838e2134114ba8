# ruff: noqa: E501
"""check leaves the target as it was; undo removes exactly what the run made; what the user's rows hold stays in the ledger."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from conftest import MakeProject, Project, uid

from rowcall.errors import RowcallError, TargetRefused
from rowcall.postgres.embedded import EmbeddedServers

SOURCE_SQL = """
create table office (id int primary key, name text);
insert into office select g, 'o' || g from generate_series(1, 40) g;
create table item (id int primary key, office_id int, parent_id int, n text);
insert into item select g, g % 42 + 1, nullif(g / 4, 0), case when g % 10 = 0 then 'x' else g::text end from generate_series(1, 200) g;
"""
TARGET_SQL = """
create table office (id uuid primary key, name text unique);
create table item (id uuid primary key, office_id uuid not null references office, parent_id uuid references item, n int);
insert into office values ('00000000-0000-4000-8000-000000000001', 'o7'), ('00000000-0000-4000-8000-000000000002', 'kept');
insert into item values ('00000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-000000000002', null, 1);
"""
MAPPING = """
office: {from: office, columns: {name: name}}
item:
  from: item
  columns: {n: {from: n, convert: int}}
  references:
    office_id: {to: office, path: office_id}
    parent_id: {to: item, path: parent_id, missing: [parent_quarantined]}
"""


def made(make_project: MakeProject) -> Project:
    project = make_project(SOURCE_SQL, TARGET_SQL)
    project.write(MAPPING)
    return project


def dump(pair: EmbeddedServers, dsn: str) -> str:
    done = subprocess.run([pair.binary("target", "pg_dump"), dsn], capture_output=True, text=True, check=True)
    return re.sub(r"\\(un)?restrict .*", "", done.stdout)


def test_check_leaves_the_target_as_it_was(
    make_project: MakeProject, pair: EmbeddedServers, small_chunks: None
) -> None:
    project = made(make_project)
    before = dump(pair, project.target_dsn)
    document = project.check()
    assert dump(pair, project.target_dsn) == before
    assert document.totals.source == 240
    result = project.run()
    assert result.forecast_matched is True
    assert {e.name: e.counts for e in result.entities} == document.counts
    assert project.fates("office")["7"] == "duplicate_key"


def test_undo_gives_the_target_back(make_project: MakeProject, pair: EmbeddedServers, small_chunks: None) -> None:
    project = made(make_project)
    before = dump(pair, project.target_dsn)
    result = project.run()
    removed = project.migration.undo()
    assert removed == {e.name: e.counts.migrated for e in result.entities}
    assert dump(pair, project.target_dsn) == before
    assert project.target.value("select to_regnamespace('rowcall') is null") is True
    assert project.run().totals == result.totals


def test_undo_refuses_rows_that_somebody_changed(make_project: MakeProject, pair: EmbeddedServers) -> None:
    project = made(make_project)
    project.run()
    project.target.execute(f"update item set n = n + 1 where id = '{uid('item', 3)}'")
    changed = dump(pair, project.target_dsn)
    with pytest.raises(TargetRefused) as caught:
        project.migration.undo()
    assert "item: 1 rows" in str(caught.value)
    assert dump(pair, project.target_dsn) == changed


def test_undo_keeps_rows_that_others_added(make_project: MakeProject) -> None:
    project = made(make_project)
    project.run()
    project.target.execute(
        "insert into item (id, office_id, n) values (gen_random_uuid(), '00000000-0000-4000-8000-000000000002', 5)"
    )
    project.migration.undo()
    assert project.target.value("select count(*) from item") == 2
    assert project.target.value("select count(*) from office") == 2


def test_restart_begins_anew(make_project: MakeProject) -> None:
    project = made(make_project)
    first = project.run()
    project.source.execute("update item set n = '1' where id = 10")
    second = project.run(restart=True)
    assert second.totals.migrated == first.totals.migrated + 1


MARKER = "zQ7SECRETq9"
LEAKY_SOURCE = f"""
create table office (id text primary key, name text);
insert into office values ('{MARKER}-o1', 'a'), ('o2', '{MARKER}'), ('o3', 'a');
create table item (id int primary key, office_id text, doc text, n text, name text, state text, stamp text, body text, up int);
insert into item select g, 'o2', '{{}}', '1', 'a', 'open', '2024-01-01', 'fine' || g, null from generate_series(1, 30) g;
update item set office_id = '{MARKER}-gone' where id = 1; update item set doc = '{{"a": "{MARKER}' where id = 2;
update item set n = '{MARKER}' where id = 3; update item set name = '{MARKER}' where id = 4;
update item set state = '{MARKER}' where id = 5; update item set stamp = '{MARKER}' where id = 6;
update item set body = 'check {MARKER}' where id = 7; update item set body = 'raise {MARKER}' where id = 8;
update item set body = 'swallow {MARKER}' where id = 9; update item set body = 'late {MARKER}' where id = 10;
update item set body = 'twin {MARKER}' where id in (11, 12); update item set body = 'index {MARKER}' where id in (13, 14);
update item set body = 'cast {MARKER}' where id = 15; update item set office_id = '{MARKER}-o1' where id = 16;
update item set body = 'rule {MARKER}' where id = 17; update item set doc = '"{MARKER}\\u0000"' where id = 18;
"""
LEAKY_TARGET = f"""
create type state as enum ('open');
create table office (id uuid primary key, name text unique);
create table item (id uuid primary key, office_id uuid not null references office, doc jsonb, n int, name varchar(5), state state,
  stamp timestamptz, body text unique, cast_to int, up uuid references item, constraint sane check (body not like 'check%'));
create unique index shorter on item ((case when body like 'index%' then 'index {MARKER}' else body end));
create function stand() returns trigger language plpgsql as $$
begin
    if new.body like 'raise%' then raise exception 'I saw %', new.body; end if;
    if new.body like 'swallow%' then return null; end if;
    return new;
end $$;
create trigger stand before insert on item for each row execute function stand();
create function late() returns trigger language plpgsql as $$
begin
    if new.body like 'late%' then raise exception using errcode = '23514', message = new.body, detail = new.body, hint = new.body, constraint = 'late'; end if;
    return null;
end $$;
create constraint trigger late after insert on item deferrable initially deferred for each row execute function late();
"""
LEAKY_MAPPING = """
office: {from: office, columns: {name: name}}
item:
  from: item
  rules: {no_rule: "body not like 'rule%'"}
  columns:
    doc: {from: doc, convert: jsonb}
    n: {from: n, convert: int}
    name: name
    state: {from: state, convert: enum}
    stamp: {from: stamp, convert: timestamptz}
    body: body
    cast_to: {sql: "case when body like 'cast%' then body::int end"}
  references:
    office_id: {to: office, path: office_id}
"""


@pytest.mark.parametrize("cyclic", [False, True])
def test_what_rows_hold_is_told_to_nobody(
    make_project: MakeProject, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, cyclic: bool
) -> None:
    caplog.set_level(0)
    project = make_project(LEAKY_SOURCE, LEAKY_TARGET)
    project.write(LEAKY_MAPPING + ("    up: {to: item, path: up}\n" if cyclic else ""))
    told: list[object] = [project.check().as_json()]
    told.append(project.run(on_progress=told.append))
    told += [
        project.migration.causes(),
        project.migration.verify(),
        project.migration.status(),
        project.migration.report(),
    ]
    told += [project.notes, capfd.readouterr(), caplog.text]
    fates = project.fates("item")
    bad = {str(n) for n in (*range(1, 11), 12, 14, 15, 16, 17, 18)}
    assert {key for key, fate in fates.items() if fate != "migrated"} - {"11", "13"} >= bad - {"14"}
    assert len({key for key, fate in fates.items() if fate == "migrated"} & {"13", "14"}) == 1
    assert {fates[k] for k in ("7", "8", "9", "10")} == {"refused_by_target"}
    for thing in told:
        text = repr(thing) + str(thing)
        found = re.search(rf"(.{{0,80}}){MARKER}", text)
        assert not found, f"{type(thing).__name__}: ...{found[1]}"
    kept = project.target.value("select string_agg(payload::text || rejections::text, '') from rowcall.quarantine")
    assert kept.count(MARKER) >= len(bad)
    others = project.target.rows(
        "select e::text from rowcall.entity e union all select c::text from rowcall.chunk c union all select r::text from rowcall.run r"
    )
    assert MARKER + "-gone" not in str(others)


@pytest.mark.parametrize(
    ("source", "target", "mapping"),
    [
        (f"insert into item values (1, '{MARKER}')", "drop table item", "item: {from: item, columns: {t: t}}"),
        (f"insert into item values (1, '{MARKER}')", "", "item: {from: item, columns: {t: {sql: \"(t || 'x'\"}}}"),
        (
            f"insert into item values (1, '{MARKER}')",
            "create function f() returns trigger language plpgsql as $$ begin raise exception 'I saw %', new.t using errcode = '53400'; end $$;"
            "create trigger f before insert on item for each row execute function f()",
            "item: {from: item, columns: {t: t}}",
        ),
        (
            f"insert into item values (1, '{MARKER}')",
            "create function f() returns trigger language plpgsql as $$ begin execute new.t; end $$;"
            "create trigger f before insert on item for each row execute function f()",
            "item: {from: item, columns: {t: t}}",
        ),
        (
            f"insert into item values (1, '{MARKER}')",
            "create function f() returns trigger language plpgsql as $$ begin execute new.t; end $$;"
            "create trigger f before insert on item for each row execute function f()",
            "item: {from: item, columns: {t: t}, references: {up: {to: item, path: id}}}",
        ),
    ],
)
def test_no_error_quotes_a_row(make_project: MakeProject, source: str, target: str, mapping: str) -> None:
    project = make_project(
        f"create table item (id int primary key, t text); {source}",
        f"create table item (id uuid primary key, t text, up uuid references item); {target}",
    )
    project.write(mapping)
    with pytest.raises(RowcallError) as caught:
        project.run()
    error = caught.value
    assert MARKER not in str(error) + repr(error) + str(vars(error))
    assert error.__context__ is None or error.__suppress_context__
    assert MARKER not in "".join(project.notes)


def test_the_forecast_file_holds_no_values(make_project: MakeProject) -> None:
    project = make_project(LEAKY_SOURCE, LEAKY_TARGET)
    project.write(LEAKY_MAPPING)
    project.check()
    files = [path for path in Path(project.folder).rglob("*") if path.is_file()]
    assert any(path.name == "forecast.json" for path in files)
    assert not any(MARKER.encode() in path.read_bytes() for path in files)
    json.loads((project.folder / ".rowcall" / "forecast.json").read_text())
