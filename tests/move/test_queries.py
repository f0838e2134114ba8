# ruff: noqa: E501
"""Entities whose source is a query: a row for each of a base table, or several."""

from __future__ import annotations

import pytest
from conftest import MakeProject, Project, set_chunk_rows

from rowcall.errors import MappingError, SourceUnreadable
from rowcall.repair import Request

SOURCE = """
create table person (id int primary key, name text, born date);
insert into person select g, 'p' || g, date '2000-01-01' + g from generate_series(1, 20) g;
create table team (id int primary key, title text);
insert into team values (1, 'doctors'), (2, 'technicians');
create table member (id int primary key, person_id int not null, team_id int not null, since date);
insert into member select g, g, 1 + g % 2, '2024-01-01' from generate_series(1, 10) g;
create table visit (id int primary key, person_id int, tags text);
insert into visit values (1, 1, 'a,b'), (2, 2, 'c'), (3, 15, ''), (4, 99, 'd'), (5, 4, null);
"""
TARGET = """
create table doctors (id uuid primary key, name text not null, since date);
create table visits (id uuid primary key, doctor_id uuid references doctors);
create table tags (id uuid primary key, visit_id uuid not null references visits, place int not null, tag varchar(1) not null);
"""
MAPPING = """
doctors:
  from:
    base: person
    absent: no_doctor
    query: |
      select p.id, p.name || ' MD' as name, max(m.since) as since from person p
      join member m on m.person_id = p.id join team t on t.id = m.team_id and t.title = 'doctors' group by p.id, p.name
  columns: {name: name, since: since}
visits:
  from: visit
  references: {doctor_id: {to: doctors, path: person_id, missing: null}}
tags:
  from:
    base: visit
    query: select v.id, t.place, t.tag from visit v, unnest(string_to_array(v.tags, ',')) with ordinality t (tag, place)
  key: [id, place]
  columns: {place: {sql: place::int}, tag: tag}
  references: {visit_id: {to: visits, path: id}}
"""


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    made = make_project(SOURCE, TARGET)
    made.write(MAPPING)
    return made


@pytest.mark.parametrize("rows", [3, 1000])
def test_every_row_of_the_base_table_is_accounted_for(
    project: Project, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    set_chunk_rows(monkeypatch, rows)
    result = project.foreseen_run()
    counts = {
        e.name: (e.counts.source, e.counts.migrated, e.counts.quarantined, e.counts.excluded) for e in result.entities
    }
    assert counts == {"doctors": (20, 5, 0, 15), "visits": (5, 5, 0, 0), "tags": (6, 4, 0, 2)}
    assert project.fates("doctors")["2"] == "migrated"
    assert project.fates("doctors")["3"] == "no_doctor"
    assert project.fates("tags")["[1, 2]"] == "migrated"
    assert {key for key, fate in project.fates("tags").items() if fate == "not_returned"} == {"[3, null]", "[5, null]"}
    names = [name for (name,) in project.target.rows("select name from doctors order by name")]
    assert names == ["p10 MD", "p2 MD", "p4 MD", "p6 MD", "p8 MD"]
    assert sorted(project.target.rows("select t.tag, t.place from tags t")) == [("a", 1), ("b", 2), ("c", 1), ("d", 1)]
    assert project.target.value("select count(*) from visits where doctor_id is not null") == 2
    assert project.migration.verify().ok


def test_what_is_wrong_with_a_row_of_a_query_is_told(project: Project) -> None:
    project.source.execute("update visit set tags = 'a,too long' where id = 1")
    project.foreseen_run()
    assert project.codes("tags", "[1, 2]") == ["too_long"]
    effect = project.migration.healing.apply(Request("tags", "too_long", "clip_text", {}, ""))
    assert effect.home == {"tags": 1}
    assert project.migration.explain("tags", "[1, 2]").outcome == "migrated"
    project.migration.undo()


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("select person_id as id, team_id from member union all select 1, 2", "1 keys more than once"),
        ("select 1000 as id", "1 rows whose key the base table does not have"),
        ("select null::int as id", "1 rows whose key is NULL"),
    ],
)
def test_a_query_that_does_not_keep_to_its_base_table(project: Project, query: str, told: str) -> None:
    for act in ("check", "run"):
        project.write(f"doctors: {{from: {{base: person, query: {query!r}}}, columns: {{name: {{value: x}}}}}}")
        with pytest.raises(SourceUnreadable) as error:
            getattr(project, act)()
        assert told in str(error.value)
        assert error.value.hint


@pytest.mark.parametrize(
    ("entity", "told"),
    [
        (
            "{from: {base: person, query: select id from persons}}",
            "rowcall.yaml:8:41: the source does not take this query",
        ),
        ("{from: {base: persons, query: select 1 as id}}", "the source has no table 'persons'"),
        ("{from: {query: select 1 as id}}", "`base` is missing"),
        ("{from: {base: person}}", "`query` is missing"),
        ("{from: {base: person, query: select name from person}}", "does not return id, which is of the key"),
        ("{from: {base: person, query: 'select id, id from person'}}", "two columns are named 'id'"),
        ("{from: {base: person, query: select id from person}, key: name}", "(name) has no key of person in it"),
        ("{from: {base: person, query: 'select 1 as id; drop table person'}}", "does not take this query"),
        ("{from: {base: person, querry: select 1}}", "querry"),
        ("{from: 7}", "write the source table"),
        (
            "{from: {base: person, query: 'select id::text as id from person'}}",
            "id is text in the query and integer in person",
        ),
        (
            "{from: {base: person, query: 'select id, null::json as j from person'}, key: [id, j]}",
            "cannot be told apart",
        ),
    ],
)
def test_faults(project: Project, entity: str, told: str) -> None:
    project.write(f"doctors: {entity}")
    with pytest.raises(MappingError) as error:
        project.check()
    assert told in str(error.value)
    assert project.source.value("select count(*) from person") == 20


def test_texts_are_the_same_by_their_bytes(
    make_project: MakeProject, postgres_15: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever collation sorts them: else a chunk of the one would lose rows of the other."""
    set_chunk_rows(monkeypatch, 1)
    project = make_project("", TARGET, source_dsn=postgres_15)
    project.source.execute(
        """create table word (k text collate "en-x-icu" primary key); create table gloss (k text collate "C", v text);
           insert into word values ('a'), ('B'), ('c'), ('D'), ('e'), ('F'); insert into gloss select k, 'v' || k from word"""
    )
    project.target.execute("create table words (id uuid primary key, v text)")
    project.write("words: {from: {base: word, query: 'select k, v from gloss'}, columns: {v: v}}")
    project.foreseen_run()
    assert set(project.fates("words").values()) == {"migrated"}


def test_keys_of_several_types_are_found_again(project: Project) -> None:
    """A retry, a payload and a repair look rows up by their keys."""
    project.source.execute(
        """create table day (id int, at date, primary key (id, at)); create table event (id int, t timestamp, v text);
           insert into day select g, date '2024-01-01' + g from generate_series(1, 4) g;
           insert into event select id, at + time '12:00', case id when 2 then 'much too long' else 'v' end from day where id <> 4"""
    )
    project.target.execute("create table days (id uuid primary key, v varchar(5))")
    query = "select id, t::date as at, max(v) as v from event group by 1, 2"
    project.write(f"days: {{from: {{base: day, query: '{query}'}}, columns: {{v: v}}}}")
    project.foreseen_run()
    assert project.target.value("select payload ->> 'v' from rowcall.quarantine") == "much too long"
    assert project.run(retry=True).retried.home == {}  # type: ignore[union-attr]
    assert project.codes("days", '[2, "2024-01-03"]') == ["too_long"]
    assert project.migration.healing.apply(Request("days", "too_long", "clip_text", {}, "")).home == {"days": 1}


def test_a_row_that_is_not_returned_has_nothing_that_could_fail(project: Project) -> None:
    project.write(
        "doctors: {from: {base: person, query: 'select id, name, id as n from person where id > 4'}, "
        "where: {few: 10 / n > 0}, columns: {name: name}}"
    )
    project.source.execute("update person set id = 0 where id = 20")
    project.foreseen_run()
    fates = project.fates("doctors")
    assert (fates["1"], fates["0"], fates["5"], fates["19"]) == ("not_returned", "not_returned", "migrated", "few")


def test_parents_are_made_for_rows_of_a_query(project: Project) -> None:
    project.source.execute(
        "update visit set tags = 'x' where id = 4; delete from visit where id = 4; insert into visit values (6, 99, 'z')"
    )
    project.write(
        MAPPING.replace("missing: null", "missing: [parent_excluded]").replace(
            "visit_id: {to: visits, path: id}", "visit_id: {to: visits, path: id}"
        )
        + """
calls:
  from: {base: visit, query: 'select id, person_id as who from visit where id >= 4'}
  to: visits
  references: {doctor_id: {to: doctors, path: who, missing: [parent_excluded]}}
"""
    )
    project.run()
    values = {"name": "Unknown", "since": {"sql": "null::date"}}
    made = project.migration.healing.apply(
        Request("calls", "dangling_reference", "stub_parent", {"values": values}, "")
    )
    assert (made.created, made.home) == (1, {"calls": 1})
    assert project.migration.verify().ok


def test_a_finished_run_takes_up_what_its_query_says_now(project: Project) -> None:
    project.run()
    project.run()
    project.source.execute("update member set since = '2025-01-01' where id = 2")  # a doctor's
    caught = project.run().caught_up
    assert caught
    assert {e.entity: e.updated for e in caught.entities if e.any} == {"doctors": 1}


def test_a_partition_more_is_no_other_mapping(project: Project) -> None:
    project.source.execute(
        "create table event (id int, v text) partition by range (id); create table event1 partition of event for values from (0) to (9);"
        "insert into event values (1, 'far too long'), (2, 'b')"
    )
    project.target.execute("create table events (id uuid primary key, v varchar(3))")
    project.write("events: {from: {base: person, query: 'select id, v from event'}, columns: {v: v}}")
    project.run()
    project.source.execute("create table event2 partition of event for values from (9) to (20)")
    assert project.migration.healing.apply(Request("events", "too_long", "clip_text", {}, "")).home == {"events": 1}


def test_a_query_that_strays_after_the_run_stops_a_retry(project: Project) -> None:
    query = "select person_id as id, case person_id when 1 then null else ''x'' end as name from member"
    project.write(f"doctors: {{from: {{base: person, query: '{query}'}}, columns: {{name: name}}}}")
    project.run()
    assert project.codes("doctors", "1") == ["null_in_required"]
    project.source.execute("insert into member values (99, 2, 1, null)")
    with pytest.raises(SourceUnreadable, match="1 keys more than once"):
        project.run(retry=True)


def test_a_key_among_further_columns_need_not_be_the_primary_key(project: Project) -> None:
    project.source.execute(
        "alter table person add code text; update person set code = 'c' || id; alter table person alter code set not null, add unique (code)"
    )
    query = "select code, g from person cross join generate_series(1, 2) g where id <= 2"
    project.write(f"doctors: {{from: {{base: person, query: '{query}'}}, key: [code, g], columns: {{name: code}}}}")
    result = project.foreseen_run()
    assert result.totals.migrated == 4
    assert project.fates("doctors")['["c1", 2]'] == "migrated"


def test_a_path_may_climb_from_a_row_of_a_query(project: Project) -> None:
    project.source.execute(
        "create table node (id int primary key, up int, person_id int); insert into node values (1, null, 2), (2, 1, null), (3, 2, null), (4, 9, null)"
    )
    project.target.execute("create table nodes (id uuid primary key, doctor_id uuid not null references doctors)")
    climb = "[up* -> node.id until up is null, person_id -> person.id]"
    project.write(
        "doctors: {from: person, columns: {name: name}}\n"
        f"nodes: {{from: {{base: node, query: 'select * from node where id <> 2'}}, references: {{doctor_id: {{to: doctors, path: {climb}}}}}}}"
    )
    project.foreseen_run()
    assert project.fates("nodes") == {"1": "migrated", "2": "not_returned", "3": "migrated", "4": "dangling_reference"}
