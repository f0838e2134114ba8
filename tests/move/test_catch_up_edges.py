# ruff: noqa: E501
"""Catching up where the target has a will of its own: triggers, rules, cascades, policies, partitions, marks that do not come off."""

from __future__ import annotations

import pytest
from conftest import MakeProject, Project, uid
from psycopg.conninfo import make_conninfo

from rowcall.errors import TargetRefused

UN = "create table if not exists unrelated (); insert into unrelated default values"
CNT = (
    "create table a (id uuid primary key, name text, n int not null default 0); create table b (id uuid primary key, a_id uuid not null references a);"
    "create function cnt() returns trigger language plpgsql as $$ begin update a set n = n + 1 where id = new.a_id; return new; end $$;"
    "create trigger cnt after insert on b for each row execute function cnt();"
)
SRC = (
    "create table a (id int primary key, name text); insert into a select g, 'a' || g from generate_series(1, 5) g;"
    "create table b (id int primary key, a_id int); insert into b select g, g from generate_series(1, 5) g;"
)


def kept(p: Project) -> list[tuple[str, str, str]]:
    sql = "select e.name, k.source_key, k.why from rowcall.kept_row k join rowcall.entity e on e.id = k.entity"
    return sorted(p.target.rows(sql))


def test_a_foreign_key_to_a_partition_keeps_its_rows(make_project: MakeProject) -> None:
    p = make_project(
        "create table a (id int primary key); insert into a select generate_series(1, 5);",
        "create table a (id uuid primary key) partition by hash (id); create table a0 partition of a for values with (modulus 1, remainder 0);"
        "create table app (a_id uuid references a0 on delete cascade);",
    )
    p.write("a: {from: a, deleted: delete}")
    p.run()
    p.target.execute("insert into app values (%s)", [uid("a", 3)])
    p.source.execute("delete from a where id = 3")
    p.run()
    assert p.target.value("select count(*) from app") == 1


def test_a_reference_that_is_null_for_something_else(make_project: MakeProject) -> None:
    p = make_project(
        "create table a (id int primary key, boss int); insert into a values (1, null), (2, 99), (3, 1), (4, 99)",
        "create table a (id uuid primary key, boss uuid references a)",
    )
    p.write("a: {from: a, references: {boss: {to: a, path: boss, missing: null}}}")
    p.run()
    q = "select source_key, value from rowcall.nulled_reference order by 1"
    assert p.target.rows(q) == [("2", "99"), ("4", "99")]
    p.source.execute(
        "update a set boss = 98 where id = 1; update a set boss = null where id = 2; update a set boss = 77 where id = 4"
    )
    p.run()
    assert p.target.rows(q) == [("1", "98"), ("4", "77")]


def test_an_edited_row_that_was_bad_for_a_while(make_project: MakeProject) -> None:
    p = make_project(
        "create table a (id int primary key, doc text, x text); insert into a select g, '{}', 'x' from generate_series(1, 5) g;",
        "create table a (id uuid primary key, doc jsonb, x text)",
    )
    p.write("a: {from: a, columns: {doc: {from: doc, convert: jsonb}, x: x}}")
    p.run()
    p.target.execute("update a set x = 'EDITED' where id = %s", [uid("a", 1)])
    p.source.execute("update a set doc = '[1,' where id = 1")
    p.run()
    p.prove()
    p.source.execute("update a set doc = '{}' where id = 1")
    p.run()
    assert p.migration.verify().ok
    p.prove()
    assert p.target.rows("select source_key, disposition from rowcall.quarantine") == []


def test_a_row_that_comes_back_with_what_the_target_refuses_loses_its_mark(make_project: MakeProject) -> None:
    p = make_project(
        "create table a (id int primary key, n int); insert into a select g, g from generate_series(1, 5) g;",
        "create table a (id uuid primary key, n int check (n < 100), deleted_at timestamptz)",
    )
    p.write("a: {from: a, columns: {n: n}, deleted: {mark: deleted_at}}")
    p.run()
    p.source.execute("delete from a where id = 1")
    p.run()
    p.source.execute("insert into a values (1, 1000)")
    p.run()
    p.source.execute("update a set n = 7 where id = 1")
    p.run()
    assert p.values("a", "n")["1"] == "7"
    assert p.values("a", "deleted_at")["1"] is None


def test_a_mark_goes_though_the_choice_changed(make_project: MakeProject) -> None:
    p = make_project(
        "create table a (id int primary key, n int); insert into a select g, g from generate_series(1, 5) g;",
        "create table a (id uuid primary key, n int check (n < 100), deleted_at timestamptz)",
    )
    p.write("a: {from: a, columns: {n: n}, deleted: {mark: deleted_at}}")
    p.run()
    p.source.execute("delete from a where id = 1")
    p.run()
    p.write("a: {from: a, columns: {n: n}, deleted: keep}")
    p.source.execute("insert into a values (1, 1)")
    p.run()
    assert p.values("a", "deleted_at")["1"] is None


def test_a_mark_frees_a_unique_value(make_project: MakeProject) -> None:
    p = make_project(
        "create table a (id int primary key, n text unique); insert into a select g, 'n'||g from generate_series(1, 5) g;",
        "create table a (id uuid primary key, n text, deleted_at timestamptz); create unique index on a (n) where deleted_at is null",
    )
    p.write("a: {from: a, columns: {n: n}, deleted: {mark: deleted_at}}")
    p.run()
    p.source.execute("delete from a where id = 1; insert into a values (9, 'n1')")
    p.run()
    assert p.fates("a")["9"] == "migrated"


def test_a_trigger_that_raises_keeps_its_row_alone(make_project: MakeProject) -> None:
    p = make_project(
        "create table a (id int primary key, n text); insert into a select g, 'n'||g from generate_series(1, 5) g;",
        "create table a (id uuid primary key, n text);"
        "create function no() returns trigger language plpgsql as $$ begin if old.n = 'n1' then raise 'never'; end if; return old; end $$;"
        "create trigger no before delete on a for each row execute function no();",
    )
    p.write("a: {from: a, columns: {n: n}, deleted: delete}")
    p.run()
    p.source.execute("delete from a where id < 3; update a set n = 'x' where id = 3")
    p.run()
    assert kept(p)[0][2] == "refused"


def test_no_row_of_a_circle_is_written_by_half(make_project: MakeProject) -> None:
    p = make_project(
        "create table a (id int primary key, code text, boss int); insert into a select g, 'c' || g, g % 6 + 1 from generate_series(1, 6) g",
        "create table a (id uuid primary key, code text unique, boss uuid not null references a, check (code <> 'bad'))",
    )
    p.write("a: {from: a, columns: {code: code}, references: {boss: {to: a, path: boss}}, deleted: delete}")
    p.run()
    p.source.execute("insert into a values (7, 'bad', 1); update a set code = 'd1', boss = 7 where id = 1")
    p.run()
    assert p.migration.verify().ok
    p.prove()
    assert p.values("a", "code")["1"] == "c1"


def test_a_row_that_stayed_for_another_goes_once_that_is_gone(make_project: MakeProject) -> None:
    p = make_project(
        "create table a (id int primary key, doc text); insert into a select g, '{}' from generate_series(1, 5) g;",
        "create table a (id uuid primary key, doc jsonb); create table app (a_id uuid references a)",
    )
    p.write("a: {from: a, columns: {doc: {from: doc, convert: jsonb}}}")
    p.run()
    p.target.execute("insert into app values (%s)", [uid("a", 1)])
    p.source.execute("update a set doc = '[' where id = 1")
    p.run()
    p.target.execute("delete from app")
    p.source.execute(UN)
    p.run()
    assert p.fates("a")["1"] != "migrated"


def test_rows_of_others_in_a_schema_with_a_dot(make_project: MakeProject) -> None:
    p = make_project(
        "create table a (id int primary key); insert into a select generate_series(1, 5);",
        'create table a (id uuid primary key); create schema "my.app"; create table "my.app"."t x" ("a %s {}" uuid references a on delete set null);',
    )
    p.write("a: {from: a, deleted: delete}")
    p.run()
    p.target.execute('insert into "my.app"."t x" values (%s)', [uid("a", 3)])
    p.source.execute("delete from a where id in (2, 3)")
    p.run()
    assert p.target.value("select count(*) from a") == 4


def test_an_edit_is_known_though_a_trigger_wrote_the_row_since(make_project: MakeProject) -> None:
    p = make_project(SRC, CNT)
    p.write("a: {from: a, columns: {name: name}}\nb: {from: b, references: {a_id: {to: a, path: a_id}}}")
    p.run()
    p.target.execute("update a set name = 'EDITED' where id = %s", [uid("a", 1)])
    p.source.execute("insert into b values (6, 1)")
    p.run()
    p.source.execute("update a set name = 'src' where id = 1")
    p.run()
    assert p.values("a", "name")["1"] == "EDITED"


def test_undo_knows_it_too(make_project: MakeProject) -> None:
    p = make_project(SRC, CNT)
    p.write("a: {from: a, columns: {name: name}}\nb: {from: b, references: {a_id: {to: a, path: a_id}}}")
    p.run()
    p.target.execute("update a set name = 'EDITED' where id = %s", [uid("a", 1)])
    with pytest.raises(TargetRefused):
        p.migration.undo()
    p.source.execute("insert into b values (6, 1)")
    p.run()
    with pytest.raises(TargetRefused):
        p.migration.undo()
    assert p.values("a", "name")["1"] == "EDITED"


def test_a_counter_of_the_target(make_project: MakeProject) -> None:
    p = make_project(
        SRC, CNT.replace("after insert", "after insert or delete").replace("new.a_id", "coalesce(new.a_id, old.a_id)")
    )
    p.write(
        "a: {from: a, columns: {name: name}, deleted: delete}\nb: {from: b, deleted: delete, references: {a_id: {to: a, path: a_id}}}"
    )
    p.run()
    p.source.execute(
        "delete from b where id = 1; delete from a where id = 1; insert into b values (7, 2); delete from b where id = 3"
    )
    p.run()
    assert kept(p) == []
    assert p.migration.verify().ok
    p.source.execute("delete from a where id = 3; update a set name = 'x'")
    p.run()
    assert kept(p) == []
    p.migration.undo()
    assert p.target.value("select count(*) from a") == 0


def test_verify_knows_what_was_kept(make_project: MakeProject) -> None:
    p = make_project(
        SRC,
        "create table a (id uuid primary key, name text); create table b (id uuid primary key, a_id uuid not null references a, note text)",
    )
    p.write(
        "a: {from: a, columns: {name: name}, deleted: delete}\nb: {from: b, deleted: delete, references: {a_id: {to: a, path: a_id}}}"
    )
    p.run()
    p.target.execute("update b set note = 'EDITED' where id = %s", [uid("b", 1)])
    p.source.execute("update b set a_id = 2 where id = 1")
    p.run()
    assert kept(p)
    v = p.migration.verify()
    assert v.ok, v


def test_a_rule_that_does_more(make_project: MakeProject) -> None:
    p = make_project(
        SRC,
        "create table a (id uuid primary key, name text); create table lg (x uuid);"
        "create rule r as on delete to a do also insert into lg values (old.id)",
    )
    p.write("a: {from: a, columns: {name: name}, deleted: delete}")
    p.run()
    p.source.execute("delete from a where id = 1")
    p.run()
    assert p.target.value("select count(*) from a") == 4


def test_a_rule_that_does_nothing_instead(make_project: MakeProject) -> None:
    p = make_project(
        SRC,
        "create table a (id uuid primary key, name text); create table lg (x uuid);"
        "create rule r as on delete to a do instead nothing",
    )
    p.write("a: {from: a, columns: {name: name}, deleted: delete}")
    p.run()
    p.source.execute("delete from a where id = 1")
    p.run()
    assert kept(p)[0][2] == "refused"


def test_rows_that_a_policy_hides_are_not_lost(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    p = make_project(
        SRC,
        "create table a (id uuid primary key, name text);"
        "create table app (a_id uuid references a on delete cascade); alter table app enable row level security;",
    )
    p.target.execute("do $$ begin create role mig nologin; exception when duplicate_object then null; end $$")
    db = p.target.value("select current_database()")
    p.target.execute(
        f"grant create on database {db} to mig; grant all on schema public to mig; alter table a owner to mig; grant select, references on app to mig"
    )

    monkeypatch.setenv(p.variable("target"), make_conninfo(p.target_dsn, options="-c role=mig"))
    p.write("a: {from: a, columns: {name: name}, deleted: delete}")
    p.run()
    p.target.execute("insert into app values (%s)", [uid("a", 1)])
    p.source.execute("delete from a where id = 1")
    with pytest.raises(TargetRefused):
        p.run()
    assert p.target.value("select count(*) from app") == 1


def test_a_mark_that_the_target_refuses(make_project: MakeProject) -> None:
    p = make_project(
        "create table a (id int primary key, n int); insert into a select g, g from generate_series(1, 5) g;",
        "create table a (id uuid primary key, n int, dead boolean not null default false, check (not (dead and n = 1)))",
    )
    p.write("a: {from: a, columns: {n: n}, deleted: {mark: dead}}")
    p.run()
    p.source.execute("delete from a where id in (1, 2)")
    p.run()
    assert kept(p) == [("a", "1", "refused")]


def test_a_mark_that_a_trigger_swallows(make_project: MakeProject) -> None:
    p = make_project(
        "create table a (id int primary key, n int); insert into a select g, g from generate_series(1, 5) g;",
        "create table a (id uuid primary key, n int, dead boolean not null default false);"
        "create function no() returns trigger language plpgsql as $$ begin if new.dead and new.n = 1 then return null; end if; return new; end $$;"
        "create trigger no before update on a for each row execute function no();",
    )
    p.write("a: {from: a, columns: {n: n}, deleted: {mark: dead}}")
    p.run()
    p.source.execute("delete from a where id in (1, 2)")
    p.run()
    assert p.target.rows("select source_key, became from rowcall.gone_row order by 1") == [
        ("1", "kept"),
        ("2", "marked"),
    ]


def test_an_edit_is_known_though_a_cascade_wrote_the_row_since(make_project: MakeProject) -> None:
    p = make_project(
        "create table a (id int primary key, code text); insert into a select g, 'c' || g from generate_series(1, 5) g;"
        "create table b (id int primary key, a_id int, s text); insert into b select g, g, 's' from generate_series(1, 5) g;",
        "create table a (id uuid primary key, code text unique); create table b (id uuid primary key, a_id uuid not null references a, s text, seen text references a (code) on update cascade)",
    )
    p.write(
        "a: {from: a, deleted: delete, columns: {code: code}}\nb: {from: b, columns: {s: s}, deleted: delete, references: {a_id: {to: a, path: a_id}}}"
    )
    p.run()
    p.target.execute("update b set s = 'EDITED', seen = 'c1' where id = %s", [uid("b", 1)])
    p.source.execute("update a set code = 'x1' where id = 1")
    p.run()
    p.source.execute("update b set s = 'src' where id = 1")
    p.run()
    assert p.values("b", "s")["1"] == "EDITED"


@pytest.mark.parametrize(
    "edit",
    ["update a set s = 'mine' where id = %s", "delete from a where id = %s", "update a set s = 'new' where id = %s"],
)
def test_the_source_wins_where_it_is_told_to(make_project: MakeProject, edit: str) -> None:
    p = make_project(
        "create table a (id int primary key, s text); insert into a select g, 's' from generate_series(1, 5) g;",
        "create table a (id uuid primary key, s text)",
    )
    p.write("a: {from: a, columns: {s: s}}")
    p.run()
    p.target.execute(edit, [uid("a", 1)])
    p.target.execute("update a set s = 'other' where id = %s", [uid("a", 2)])
    p.source.execute("update a set s = 'new' where id = 1")
    p.run()
    assert kept(p) == [("a", "1", "removed" if "delete" in edit else "edited")]
    p.run(overwrite=True)
    assert kept(p) == []
    assert p.values("a", "s") == {"1": "new", "2": "other", "3": "s", "4": "s", "5": "s"}
    p.source.execute("update a set s = 'newer' where id = 1")
    p.run()
    assert p.values("a", "s")["1"] == "newer"
    assert p.migration.verify().ok


def test_a_row_with_the_uuid_of_its_parent_that_has_another_parent_now(make_project: MakeProject) -> None:
    p = make_project(
        "create table a (id int primary key); insert into a select generate_series(1, 5);"
        "create table b (id int primary key, a_id int, s text); insert into b select g, g, 's' from generate_series(1, 3) g;"
        "create table c (id int primary key, b_id int); insert into c select g, g from generate_series(1, 3) g;",
        "create table a (id uuid primary key); create table b (id uuid primary key references a, s text);"
        "create table c (id uuid primary key, b_id uuid not null references b)",
    )
    p.write(
        "a: {from: a}\nb: {from: b, columns: {s: s}, references: {id: {to: a, path: a_id}}}\n"
        "c: {from: c, references: {b_id: {to: b, path: b_id}}}"
    )
    p.run()
    p.source.execute(
        "update b set a_id = 5 where id = 1; update b set s = 'new' where id = 2; insert into c values (4, 1)"
    )
    p.run()
    assert kept(p) == [("b", "1", "refused")]
    assert p.values("b", "s") == {"1": "s", "2": "new", "3": "s"}
    assert p.values("c", "b_id")["4"] == p.values("c", "b_id")["1"] == str(uid("a", 1))
    assert p.migration.verify().ok
