# ruff: noqa: E501
"""Catching up row by row: what becomes of deleted rows, of unique values that rows hand on, of ids, of what the target refuses."""

from __future__ import annotations

import pytest
from conftest import MakeProject, Project, uid

from rowcall.errors import MappingError, UsageError
from rowcall.ledger import CatchUpBook


def wal(project: Project) -> int:
    return int(project.target.value("select pg_current_wal_insert_lsn() - '0/0'"))


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


def test_a_source_that_lost_most_of_its_rows(make_project: MakeProject) -> None:
    p = make_project(
        "create table a (id int primary key); insert into a select generate_series(1, 1500)",
        "create table a (id uuid primary key)",
    )
    p.write("a: {from: a, deleted: delete}")
    p.run()
    p.source.execute("delete from a where id > 100")
    with pytest.raises(UsageError, match="1,400 of 1,500 rows of a are gone at the source"):
        p.run()
    assert p.target.value("select count(*) from a") == 1500


def test_rows_that_were_hashed_otherwise(make_project: MakeProject) -> None:
    p = make_project("create table a (id int primary key)", "create table a (id uuid primary key)")
    p.write("a: {from: a}")
    p.run()
    p.target.execute("update rowcall.run set hash_probe = hash_probe + 1")
    p.source.execute("insert into a values (1)")
    with pytest.raises(UsageError, match="hashes otherwise"):
        p.run()
    assert p.target.value("select count(*) from a") == 0


def test_a_row_that_comes_back_is_no_duplicate_of_itself_where_several_fill_one_table(
    make_project: MakeProject,
) -> None:
    made = make_project(
        "create table a (id int primary key, name text); insert into a values (1, 'x'), (2, 'y'); create table b as table a; alter table b add primary key (id)",
        "create table t (id uuid primary key, name text)",
    )
    made.write("a: {from: a, to: t, columns: {name: name}}\nb: {from: b, to: t, columns: {name: name}}")
    made.run()
    for change in ("delete from a where id = 1", "insert into a values (1, 'z')"):
        made.source.execute(change)
        made.run()
    assert made.fates("a") == {"1": "migrated", "2": "migrated"}
    assert made.values("t", "name", "a") == {"1": "z", "2": "y"}
    assert made.migration.verify().ok
