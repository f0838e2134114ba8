# ruff: noqa: E501
"""A run on a target that is complete takes up what changed at the source since: the same end as a run that begins anew, but for what
somebody changed in the target."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from conftest import MakeProject, Project, uid

from rowcall.errors import BudgetExceeded, Interrupted, MappingError
from rowcall.ledger import CatchUpBook
from rowcall.migration import RunResult
from rowcall.progress import Progress
from rowcall.report.text import story_text

SOURCE_SQL = """
create table office (id int primary key, name text, closed boolean not null default false);
insert into office select g, 'o' || g, g % 40 = 0 from generate_series(1, 400) g;
create table person (id int primary key, email text, boss_id int);
insert into person select g, 'e' || case when g % 97 = 0 then g / 2 else g end, nullif(g / 3, 0) from generate_series(1, 1000) g;
create table card (id int primary key, person_id int);
insert into card select g, g from generate_series(1, 1000) g;
create table item (id int primary key, office_id int, card_id int, doc text);
insert into item select g, g % 403 + 1, g % 1020 + 1, case when g % 50 = 0 then '[1,]' else '{"g": ' || g || '}' end
    from generate_series(1, 5000) g;
create table note (id int primary key, item_id int, said text);
insert into note select g, g * 3, 'n' || g from generate_series(1, 1500) g;
"""
TARGET_SQL = """
create table office (id uuid primary key, name text);
create table person (id uuid primary key, email text unique, boss_id uuid references person);
create table item (id uuid primary key, office_id uuid not null references office, person_id uuid references person, doc jsonb not null);
create table note (id uuid primary key, item_id uuid not null references item, said varchar(40));
"""
MAPPING = """
office: {from: office, columns: {name: name}, where: {open: not closed}, deleted: delete}
person: {from: person, columns: {email: email}, references: {boss_id: {to: person, path: boss_id, missing: null}}, deleted: delete}
item:
  from: item
  deleted: delete
  columns: {doc: {from: doc, convert: jsonb}}
  references:
    office_id: {to: office, path: office_id}
    person_id: {to: person, path: "card_id -> card.id, person_id -> person.id", missing: null}
note:
  from: note
  deleted: delete
  columns: {said: said}
  references: {item_id: {to: item, path: item_id}}
"""
TABLES = {"office": "id", "person": "id", "item": "id", "note": "id"}
# One percent of each: inserted, changed, deleted; so that rows turn from every outcome into every other.
MOVED = """
delete from note where id % 100 = 7;
delete from item where id % 100 = 13;
delete from person where id % 100 = 31;
delete from office where id % 100 = 77;
update office set closed = not closed where id % 100 = 39;
update office set name = name || '!' where id % 100 = 5;
update person set email = 'moved' || id where id % 100 = 2;
update person set boss_id = id - 1 where id % 100 = 3;
update card set person_id = person_id % 1000 + 1 where id % 100 = 4;
update item set office_id = office_id % 400 + 1 where id % 100 = 50;
update item set doc = case when doc = '[1,]' then '{}' else '[1,]' end where id % 200 = 0;
update note set said = 'other ' || id where id % 100 = 1;
insert into office select 1000 + g, 'new' || g from generate_series(1, 4) g;
insert into person select 10000 + g, 'new' || g, 10001 + g from generate_series(1, 40) g;
insert into card select 10000 + g, 10000 + g from generate_series(1, 40) g;
insert into item select 30000 + g, 1000 + g % 6, 10000 + g, '{"new": true}' from generate_series(1, 200) g;
insert into note select 10000 + g, 30000 + g, repeat('n', g) from generate_series(1, 60) g;
"""


def contents(project: Project) -> Mapping[str, dict[str, str]]:
    """Table, or part of the ledger -> key -> the whole row as text."""
    found = {table: dict(project.target.rows(f"select id::text, t::text from {table} t")) for table in TABLES}
    found["lines"] = dict(
        project.target.rows(
            "select entity || ' ' || source_key, concat_ws(' ', outcome, target_id, cause) from rowcall.settlements"
        )
    )
    found["quarantine"] = dict(
        project.target.rows("select entity || ' ' || source_key, q::text from rowcall.quarantine q")
    )
    found["nulled"] = dict(
        project.target.rows(
            "select concat_ws(' ', entity, source_key, target_column), concat_ws(' ', code, hop, value) from rowcall.nulled_reference"
        )
    )
    return found


def fresh(
    make_project: MakeProject, project: Project, mapping: str = MAPPING, target_sql: str = TARGET_SQL
) -> Mapping[str, dict[str, str]]:
    other = make_project(target_sql=target_sql, source_of=project.source_dsn)
    other.write(mapping)
    assert other.run().complete
    return contents(other)


def nothing(result: RunResult, but: str = "") -> bool:
    """Whether a run took nothing up; a server's own housekeeping may be a transaction, after which it looks."""
    lines = result.caught_up.entities if result.caught_up else ()
    return not any(rows for e in lines for name, rows in vars(e).items() if name not in ("entity", but))


def wal(project: Project) -> int:
    return int(project.target.value("select pg_current_wal_insert_lsn() - '0/0'"))


@pytest.fixture
def moved(make_project: MakeProject) -> Project:
    project = make_project(SOURCE_SQL, TARGET_SQL)
    project.write(MAPPING)
    assert project.run().complete
    project.source.execute(MOVED)
    return project


def test_ends_as_a_run_that_begins_anew(make_project: MakeProject, moved: Project) -> None:
    result = moved.run()
    assert contents(moved) == fresh(make_project, moved)
    assert result.caught_up
    assert {e.entity for e in result.caught_up.entities if e.inserted and e.updated and e.removed and e.gone} == set(
        TABLES
    )
    assert not any(e.kept for e in result.caught_up.entities)
    assert moved.migration.verify().ok
    moved.prove()
    assert nothing(moved.run())
    moved.source.execute("create table unrelated ()")
    assert nothing(moved.run())
    moved.migration.undo()
    assert {table: moved.target.value(f"select count(*) from {table}") for table in TABLES} == dict.fromkeys(TABLES, 0)


def test_what_somebody_changed_in_the_target_stays_and_is_told(make_project: MakeProject, moved: Project) -> None:
    """0.1 % of the rows are edited by hand, some of them rows that the source changed or deleted, too."""
    edits = """
        update note set said = 'edited' where id in (select entity_uuid from rowcall.migration_mappings
            where entity_type = 'note' and legacy_id::int % 100 in (1, 7, 12) order by legacy_id::int limit 9);
        update person set email = 'edited' || email where id in (select entity_uuid from rowcall.migration_mappings
            where entity_type = 'person' and legacy_id in ('102', '131', '500'));
        delete from note where id = (select entity_uuid from rowcall.migration_mappings where entity_type = 'note' and legacy_id = '1201');
    """
    moved.target.execute(edits)
    before = contents(moved)
    result = moved.run()
    found, wanted = contents(moved), fresh(make_project, moved)
    assert result.caught_up
    kept = {(entity, key): why for entity, key, why in moved.target.rows(
        "select e.name, k.source_key, k.why from rowcall.kept_row k join rowcall.entity e on e.id = k.entity"
    )}  # fmt: skip
    # What the source did not touch (note 12, person 500) is no conflict; what it deleted stays, and so do the parents of what stays.
    edited = {("note", k) for k in ("1", "7", "101", "107", "201", "207")} | {("person", "102"), ("person", "131")}
    assert {row for row, why in kept.items() if why == "edited"} == edited
    assert {row for row, why in kept.items() if why == "removed"} == {("note", "1201")}
    assert sum(a.rows for a in result.kept) == len(kept)
    for table in TABLES:
        ids = {str(uid(table, key)) for entity, key in kept if entity == table}
        untouched = {str(uid("note", 12)), str(uid("note", 112)), str(uid("note", 212)), str(uid("person", 500))}
        assert {i: row for i, row in found[table].items() if i not in ids | untouched} == {
            i: row for i, row in wanted[table].items() if i not in ids | untouched
        }
        assert {i: found[table].get(i) for i in ids | untouched} == {i: before[table].get(i) for i in ids | untouched}
    assert {row: why for row, why in kept.items() if why not in ("edited", "removed")} == {}
    told = moved.migration.explain("note", "1")
    assert told.kept == "edited"
    assert "changed by somebody in the target" in story_text(told).plain
    again = moved.run()
    assert nothing(again, but="kept")
    assert again.kept == result.kept  # as long as they differ


def test_a_tenth_of_the_first_runs_writing_is_enough(make_project: MakeProject) -> None:
    """Of WAL bytes, with 1 % of the rows inserted, 1 % changed, and 1 % deleted."""
    project = make_project(
        "create table a (id int primary key, name text, more text);"
        "insert into a select g, 'a' || g, repeat('m', g % 100) from generate_series(1, 60000) g;",
        "create table a (id uuid primary key, name text unique, more text)",
    )
    project.write("a: {from: a, deleted: delete, columns: {name: name, more: more}}")
    start = wal(project)
    project.run()
    first = wal(project) - start
    project.source.execute(
        "delete from a where id % 100 = 1; update a set name = 'b' || id where id % 100 = 2;"
        "insert into a select 200000 + g, 'c' || g, 'new' from generate_series(1, 600) g"
    )
    start = wal(project)
    result = project.run()
    second = wal(project) - start
    assert result.caught_up
    assert [vars(e) for e in result.caught_up.entities] == [
        {
            "entity": "a",
            "inserted": 600,
            "updated": 600,
            "removed": 600,
            "rejected": 0,
            "excluded": 0,
            "gone": 600,
            "kept": 0,
        }
    ]
    assert second * 10 <= first, f"{second:,} of {first:,} bytes"


def test_a_row_that_stays_keeps_its_parents_and_is_told_with_them(make_project: MakeProject) -> None:
    project = make_project(
        "create table a (id int primary key); insert into a select generate_series(1, 5);"
        "create table b (id int primary key, a_id int); insert into b select g, g from generate_series(1, 5) g;",
        "create table a (id uuid primary key); create table b (id uuid primary key, a_id uuid not null references a, noted text);"
        "create table app (a_id uuid references a on delete cascade);",
    )
    project.write(
        "a: {from: a, deleted: delete}\nb: {from: b, deleted: delete, references: {a_id: {to: a, path: a_id}}}"
    )
    project.run()
    project.target.execute("update b set noted = 'mine' where id = %s", [uid("b", 2)])
    project.target.execute("insert into app values (%s)", [uid("a", 3)])  # not rowcall's
    project.source.execute("delete from b where id < 4; delete from a where id < 4")
    result = project.run()
    assert [(k.entity, k.why, k.rows) for k in result.kept] == [("a", "referred", 2), ("b", "edited", 1)]
    assert project.target.value("select count(*) from app") == 1
    assert {k for (k,) in project.target.rows("select id from a")} == {uid("a", n) for n in (2, 3, 4, 5)}
    assert {k for (k,) in project.target.rows("select id from b")} == {uid("b", n) for n in (2, 4, 5)}
    assert project.fates("a") == {"4": "migrated", "5": "migrated"}
    assert project.migration.verify().ok  # the ledger knows the rows that stay


@pytest.mark.parametrize("kind", ["timestamptz", "date", "boolean not null default false"])
def test_deleted_rows_are_kept_or_marked_and_come_back(make_project: MakeProject, kind: str) -> None:
    project = make_project(
        "create table a (id int primary key, name text); insert into a select g, 'a' || g from generate_series(1, 5) g;"
        "create table b (id int primary key); insert into b select generate_series(1, 5);",
        f"create table a (id uuid primary key, name text, deleted {kind}); create table b (id uuid primary key);",
    )
    project.write("a: {from: a, columns: {name: name}, deleted: {mark: deleted}}\nb: {from: b}")
    project.run()
    blank = project.values("a", "deleted")["1"]
    project.source.execute("delete from a where id <= 2; delete from b where id <= 2")
    result = project.run()
    assert result.caught_up
    assert {e.entity: (e.gone, e.removed, e.kept) for e in result.caught_up.entities} == {
        "a": (2, 0, 0),
        "b": (2, 0, 0),
    }
    assert project.fates("a").keys() == project.fates("b").keys() == {"3", "4", "5"}
    assert project.target.value("select count(*) from b") == 5
    marked = "select count(*) from a where deleted is distinct from %s"
    assert project.target.value(marked, [blank]) == 2
    assert project.migration.verify().ok
    project.source.execute("insert into a values (1, 'back')")
    assert project.run().caught_up
    assert project.target.value(marked, [blank]) == 1
    assert project.values("a", "name")["1"] == "back"
    assert [(g.entity, g.why, g.rows) for g in CatchUpBook(project.target).gone()] == [
        ("a", "marked", 1),
        ("b", "kept", 2),
    ]
    project.write("a: {from: a, columns: {name: name}, deleted: delete}\nb: {from: b, deleted: delete}")
    project.source.execute("create table unrelated ()")
    project.run()  # a choice that changed counts for what is gone already
    assert project.target.value("select count(*) from a") == 4
    assert project.target.value("select count(*) from b") == 3
    assert project.migration.verify().ok
    project.migration.undo()
    assert project.target.value("select count(*) from a") + project.target.value("select count(*) from b") == 0


def test_undo_removes_what_the_source_has_no_more(make_project: MakeProject) -> None:
    project = make_project(
        "create table a (id int primary key, boss int); insert into a select g, nullif(g / 2, 0) from generate_series(1, 20) g",
        "create table a (id uuid primary key, boss uuid references a)",
    )
    project.write("a: {from: a, references: {boss: {to: a, path: boss, missing: null}}}")
    project.run()
    project.source.execute("delete from a where id in (1, 5, 20)")
    project.run()
    assert project.target.value("select count(*) from a") == 20
    project.migration.undo()
    assert project.target.value("select count(*) from a") == 0


def test_unique_values_that_rows_hand_on(make_project: MakeProject) -> None:
    """A value that one row gives up is another's in the same catch-up: also the other way round."""
    project = make_project(
        "create table a (id int primary key, code text); insert into a select g, 'c' || g from generate_series(1, 6) g",
        "create table a (id uuid primary key, code text unique)",
    )
    project.write("a: {from: a, columns: {code: code}, deleted: delete}")
    project.run()
    project.source.execute(
        "delete from a where id = 1; insert into a values (7, 'c1'), (8, 'c2');"
        "update a set code = 'c2x' where id = 2; update a set code = 'c3x' where id = 3; update a set code = 'c3' where id = 4"
    )
    result = project.run()
    assert not result.kept
    assert project.values("a", "code") == {
        "2": "c2x",
        "3": "c3x",
        "4": "c3",
        "5": "c5",
        "6": "c6",
        "7": "c1",
        "8": "c2",
    }
    project.source.execute("update a set code = case id when 5 then 'c6' else 'c5' end where id in (5, 6)")
    result = project.run()  # two that swap their values: neither can go first
    assert [(k.why, k.rows) for k in result.kept] == [("refused", 2)]
    assert project.fates("a") == dict.fromkeys("2345678", "migrated")


def test_what_the_target_refuses_later_is_told_and_tried_again(make_project: MakeProject) -> None:
    project = make_project(
        "create table a (id int primary key, n int); insert into a select g, g from generate_series(1, 6) g;"
        "create table b (id int primary key, a_id int); insert into b select g, g from generate_series(1, 6) g;",
        "create table a (id uuid primary key, n int); create table b (id uuid primary key, a_id uuid references a);"
        "create function odd() returns trigger language plpgsql as $$ begin if new.n % 10 = 0 then raise check_violation; end if; "
        "if new.n % 11 = 0 then return null; end if; return new; end $$;"
        "create trigger odd before insert or update on a for each row execute function odd();",
    )
    project.write("a: {from: a, columns: {n: n}}\nb: {from: b, references: {a_id: {to: a, path: a_id}}}")
    project.run()
    project.source.execute(
        "update a set n = 10 where id = 1; update a set n = 11 where id = 2; update a set n = 12 where id = 3;"
        "insert into a values (7, 20), (8, 8); insert into b values (7, 7), (8, 8)"
    )
    result = project.run()
    assert [(k.entity, k.why, k.rows) for k in result.kept] == [("a", "refused", 2)]
    assert project.values("a", "n") == {"1": "1", "2": "2", "3": "12", "4": "4", "5": "5", "6": "6", "8": "8"}
    assert project.fates("a")["7"] == "refused_by_target"
    assert project.fates("b") == dict.fromkeys("1234568", "migrated") | {"7": "parent_quarantined"}
    assert project.roots("b") == {"7": ("a", "7")}
    project.source.execute("update a set n = 21 where id = 1; update a set n = 22 where id = 7")
    project.target.execute("drop trigger odd on a")
    result = project.run()
    assert not result.kept
    assert not result.open
    assert project.values("a", "n") == {
        "1": "21",
        "2": "11",
        "3": "12",
        "4": "4",
        "5": "5",
        "6": "6",
        "7": "22",
        "8": "8",
    }
    assert project.migration.verify().ok


def test_ids_that_were_given_once_stay(make_project: MakeProject) -> None:
    """Of chance, of a time that changed, and a uuid of the source that changed; and whoever refers to them."""
    source = (
        "create table a (id int primary key, made timestamptz, own uuid); create table kid (id int primary key, a_id int);"
        "insert into a select g, '2020-01-01'::timestamptz + g * interval '1 day', gen_random_uuid() from generate_series(1, 9) g;"
        "insert into kid select g, g from generate_series(1, 9) g"
    )
    kids = "".join(f"create table k{n} (id uuid primary key, a_id uuid not null references a{n});" for n in (4, 7, 0))
    tables = "".join(
        f"create table a{n} (id uuid primary key, up uuid references a{n}, made timestamptz);" for n in (4, 7, 0)
    )
    project = make_project(source, tables + kids)
    ids = {4: "ids: uuid4, ", 7: "ids: {uuid7: made}, ", 0: ""}
    lines = [
        f"a{n}: {{from: a, to: a{n}, {how}columns: {{made: made{', id: own' if n == 0 else ''}}}}}"
        for n, how in ids.items()
    ]
    lines += [
        f"k{n}: {{from: kid, to: k{n}, {ids[n] if n == 4 else ''}references: {{a_id: {{to: a{n}, path: a_id}}}}}}"
        for n in ids
    ]
    project.write("\n".join(lines))
    project.run()
    before = {
        n: dict(
            project.target.rows(
                "select legacy_id, entity_uuid from rowcall.migration_mappings where entity_type = %s", [f"a{n}"]
            )
        )
        for n in ids
    }
    project.source.execute(
        "update a set made = made + interval '1 year', own = gen_random_uuid() where id = 3;"
        "insert into a values (10, '2024-01-01', gen_random_uuid()); insert into kid values (10, 10), (11, 3)"
    )
    result = project.run()
    assert result.caught_up
    counts = {e.entity: (e.inserted, e.updated, e.kept) for e in result.caught_up.entities}
    assert counts == {
        "a4": (1, 1, 0),
        "a7": (1, 1, 0),
        "a0": (1, 1, 0),
        "k4": (2, 0, 0),
        "k7": (2, 0, 0),
        "k0": (2, 0, 0),
    }
    for n, known in before.items():
        now = dict(
            project.target.rows(
                "select legacy_id, entity_uuid from rowcall.migration_mappings where entity_type = %s", [f"a{n}"]
            )
        )
        assert {k: v for k, v in now.items() if k in known} == known
        assert project.target.value(f"select count(*) from k{n} where a_id = %s", [known["3"]]) == 2
    assert project.migration.verify().ok


def test_unique_values_that_rows_of_a_circle_hand_on(make_project: MakeProject) -> None:
    project = make_project(
        "create table a (id int primary key, code text, boss int); insert into a select g, 'c' || g, g % 6 + 1 from generate_series(1, 6) g",
        "create table a (id uuid primary key, code text unique, boss uuid not null references a)",
    )
    project.write("a: {from: a, columns: {code: code}, references: {boss: {to: a, path: boss}}, deleted: delete}")
    project.run()
    project.source.execute(
        "insert into a values (7, 'c1', 8), (8, 'c8', 1); update a set code = 'd1', boss = 7 where id = 1"
    )
    result = project.run()
    assert not result.kept
    assert not result.open
    assert project.values("a", "code")["7"] == "c1"
    assert project.values("a", "boss")["1"] == str(uid("a", 7))
    assert project.migration.verify().ok


@pytest.mark.parametrize("phase", ["judge", "run"])
def test_an_interruption_changes_nothing(moved: Project, phase: str) -> None:
    before = contents(moved)

    def interrupt(progress: Progress) -> None:
        if progress.phase == phase and progress.entity == "note":
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as told:
        moved.run(on_progress=interrupt)
    assert "nothing was changed" in told.value.hint
    assert contents(moved) == before
    assert moved.migration.status().state == "complete"
    assert moved.run().caught_up


def test_an_error_budget_that_is_spent_changes_nothing(moved: Project) -> None:
    before = contents(moved)
    moved.write(MAPPING.replace("note:", "note:\n  error_budget: 1"))
    with pytest.raises(BudgetExceeded):
        moved.run()
    assert contents(moved) == before


def test_a_key_that_is_gone_and_new_keys_of_several_columns(make_project: MakeProject) -> None:
    """Texts, pairs, and a query with several rows for one of its base table."""
    project = make_project(
        "create table a (x text, y int, primary key (x, y)); insert into a select 'it''s ' || g, g from generate_series(1, 9) g;"
        "create table b (id int primary key, tags text[]); insert into b select g, array['a', 'b'] from generate_series(1, 9) g",
        "create table a (id uuid primary key, x text); create table b (id uuid primary key, tag text)",
    )
    query = "select b.id, t.tag from b cross join lateral unnest(b.tags) t (tag)"
    project.write(
        f"a: {{from: a, columns: {{x: x}}, deleted: delete}}\n"
        f"b: {{from: {{query: '{query}', base: b}}, key: [id, tag], columns: {{tag: tag}}, deleted: delete}}"
    )
    project.run()
    project.source.execute(
        "delete from a where y = 1; insert into a values ('\\n%s', 1); update a set y = 20 where y = 2;"
        "update b set tags = '{a,c}' where id = 1; update b set tags = '{}' where id = 2; delete from b where id = 3"
    )
    result = project.run()
    assert result.caught_up
    assert {e.entity: (e.inserted, e.updated, e.removed, e.gone, e.excluded) for e in result.caught_up.entities} == {
        "a": (2, 0, 2, 2, 0), "b": (1, 0, 5, 5, 1),
    }  # fmt: skip
    assert project.migration.verify().ok
    assert sorted(project.fates("b").items())[0] == ('[1, "a"]', "migrated")


FAULTS = [
    ("gone", "says not what becomes of rows that the source deletes"),
    ("{mark: nowhere}", "has no column 'nowhere'"),
    ("{mark: name}", "takes no mark"),
    ("{mark: made}", "is filled from the source"),
]  # fmt: skip


def test_what_cannot_be_done_with_deleted_rows_is_told_where_it_stands(make_project: MakeProject) -> None:
    project = make_project(
        "create table a (id int primary key, made timestamptz)",
        "create table a (id uuid primary key, name text, made timestamptz)",
    )
    for written, told in FAULTS:
        project.write(f"a: {{from: a, columns: {{made: made}}, deleted: {written}}}")
        with pytest.raises(MappingError, match=told) as found:
            project.migration.plan()
        assert "rowcall.yaml:8:" in str(found.value)
