# ruff: noqa: E501
"""References along every kind of path, and how each of them can fail."""

from __future__ import annotations

from conftest import MakeProject, Project, uid

# Ten kinds of notes; what a note's own row and the rows that it leads to look like decides its fate.
SOURCE_SQL = """
create table django_content_type (id int primary key, app_label varchar(9), model varchar(9));
insert into django_content_type values (1, 'app', 'orders'), (2, 'app', 'plan'), (3, 'app', 'other');
create table person (id int primary key, code text unique, gone bool not null default false, age text);
insert into person values (1, 'a1', false, '1'), (2, '2', false, '2'), (3, 'c3', true, '3'), (4, 'd4', false, 'x');
create table orders (id int primary key, person_id int);
insert into orders values (10, 1), (11, 2), (12, 99), (13, 0), (14, null), (15, 3), (16, 4), (17, 1);
create table plan (id int primary key, parent_id int, order_id int);
insert into plan values (20, null, 10), (21, 20, null), (22, 21, null), (23, 24, null), (24, 23, null), (25, 25, null),
    (26, 999, null), (27, 0, null), (28, null, null), (29, 23, null), (30, 28, null), (31, 12, 12), (32, 10, 1000);
create table link (id int primary key, note_id int, person_id int);
insert into link values (1, 100, 1), (2, 101, 1), (3, 101, 1), (4, 102, 1), (5, 102, 2), (6, 103, 1), (7, 103, 99),
    (8, 104, null), (9, 105, null), (10, 105, 2), (11, 106, 3), (12, 107, 4), (13, 108, 3), (14, 108, 1), (15, 110, 0), (16, 111, 99);
create table note (id int primary key, type_id int, object_id int, person_code text, a_id int, b_id int);
"""
TARGET_SQL = """
create table people (id uuid primary key, age int);
create table jobs (id uuid primary key, person_id uuid not null references people);
"""
PARENTS = """
people: {from: person, where: {present: not gone}, columns: {age: {from: age, convert: int}}}
"""


def notes(make_project: MakeProject, rows: str, reference: str, *, nullable: bool = False) -> Project:
    """A project where `notes.to_id` is filled by the reference; person 3 is excluded, person 4 quarantined."""
    null = "" if nullable else "not null"
    project = make_project(
        f"{SOURCE_SQL} insert into note (id, type_id, object_id, person_code, a_id, b_id) values {rows}",
        f"{TARGET_SQL} create table notes (id uuid primary key, to_id uuid {null} references people)",
    )
    project.write(PARENTS + f"notes:\n  from: note\n  references:\n    to_id: {reference}\n")
    project.foreseen_run()
    assert project.migration.verify().ok
    return project


def person(number: int) -> str:
    return str(uid("people", number))


def test_one_hop_to_the_parent(make_project: MakeProject) -> None:
    rows = "(1, 0, 1), (2, 0, 99), (3, 0, 3), (4, 0, 4), (5, 0, null), (6, 0, 0), (7, 0, -1)"
    rows = ", ".join(f"({r.strip('() ')}, null, null, null)" for r in rows.split("), ("))
    project = notes(make_project, rows, "{to: people, path: object_id, sentinels: [0, -1]}")
    assert project.fates("notes") == {
        "1": "migrated",
        "2": "dangling_reference",
        "3": "parent_excluded",
        "4": "parent_quarantined",
        "5": "null_reference",
        "6": "sentinel_reference",
        "7": "sentinel_reference",
    }
    assert project.values("notes", "to_id") == {"1": person(1)}
    assert project.roots("notes")["4"] == ("people", "4")
    assert project.roots("notes")["3"] == ("notes", "3")
    seen = {key: project.rejections("notes", key)[0] for key in "2356"}
    assert [seen[key]["value"] for key in "2356"] == ["99", "3", None, "0"]
    assert {(r["column"], r["reference"], r["hop"]) for r in seen.values()} == {("to_id", "to_id", 1)}


def test_each_hop_fails_at_its_own_number(make_project: MakeProject) -> None:
    rows = (
        ", ".join(f"({n}, null, {n}, null, null, null)" for n in range(10, 19)) + ", (19, null, null, null, null, null)"
    )
    project = notes(
        make_project, rows, '{to: people, path: "object_id -> orders.id, person_id -> person.id", sentinels: [0]}'
    )
    assert project.fates("notes") == {
        "10": "migrated",
        "11": "migrated",
        "12": "dangling_reference",
        "13": "sentinel_reference",
        "14": "null_reference",
        "15": "parent_excluded",
        "16": "parent_quarantined",
        "17": "migrated",
        "18": "dangling_reference",
        "19": "null_reference",
    }
    hops = {key: project.rejections("notes", key)[0]["hop"] for key in ("12", "13", "14", "15", "16", "18", "19")}
    assert hops == {"12": 2, "13": 2, "14": 2, "15": 2, "16": 2, "18": 1, "19": 1}
    assert project.values("notes", "to_id") == {"10": person(1), "11": person(2), "17": person(1)}


def test_a_nullable_reference_keeps_only_its_own_null(make_project: MakeProject) -> None:
    rows = "(10, null, 10, null, null, null), (14, null, 14, null, null, null), (12, null, 12, null, null, null), (1, null, null, null, null, null)"
    project = notes(
        make_project, rows, '{to: people, path: "object_id -> orders.id, person_id -> person.id"}', nullable=True
    )
    assert project.fates("notes") == {
        "1": "migrated",
        "10": "migrated",
        "12": "dangling_reference",
        "14": "null_reference",
    }
    assert project.values("notes", "to_id") == {"1": None, "10": person(1)}
    assert project.target.value("select count(*) from rowcall.nulled_reference") == 0


def test_what_missing_concedes_is_null_and_noted(make_project: MakeProject) -> None:
    rows = (
        ", ".join(f"({n}, null, {n}, null, null, null)" for n in range(10, 19)) + ", (19, null, null, null, null, null)"
    )
    project = notes(
        make_project,
        rows,
        '{to: people, path: "object_id -> orders.id, person_id -> person.id", sentinels: [0], missing: null}',
        nullable=True,
    )
    assert project.fates("notes") == {
        **{str(n): "migrated" for n in range(10, 20)},
        "16": "parent_quarantined",
    }
    values = project.values("notes", "to_id")
    assert {k for k, v in values.items() if v} == {"10", "11", "17"}
    noted = project.target.rows(
        "select source_key, target_column, code, hop, value from rowcall.nulled_reference order by 1"
    )
    assert noted == [
        ("12", "to_id", "dangling_reference", 2, "99"),
        ("13", "to_id", "sentinel_reference", 2, "0"),
        ("14", "to_id", "null_reference", 2, None),
        ("15", "to_id", "parent_excluded", 2, "3"),
        ("18", "to_id", "dangling_reference", 1, "18"),
    ]


def test_missing_concedes_only_the_codes_that_it_names(make_project: MakeProject) -> None:
    rows = ", ".join(f"({n}, null, {n}, null, null, null)" for n in (12, 15, 16))
    reference = '{to: people, path: "object_id -> orders.id, person_id -> person.id", missing: [parent_quarantined]}'
    project = notes(make_project, rows, reference, nullable=True)
    assert project.fates("notes") == {"12": "dangling_reference", "15": "parent_excluded", "16": "migrated"}
    assert project.values("notes", "to_id") == {"16": None}


def test_climbing_ends_at_the_condition_in_a_cycle_or_nowhere(make_project: MakeProject) -> None:
    plans = range(20, 34)
    rows = ", ".join(f"({n}, null, {n}, null, null, null)" for n in plans)
    path = "object_id -> plan.id, parent_id* -> plan.id until order_id is not null, order_id -> orders.id, person_id -> person.id"
    project = notes(make_project, rows, f'{{to: people, path: "{path}", sentinels: [0]}}')
    assert project.fates("notes") == {
        "20": "migrated",
        "21": "migrated",
        "22": "migrated",
        "23": "cyclic_path",
        "24": "cyclic_path",
        "25": "cyclic_path",
        "26": "dangling_reference",
        "27": "sentinel_reference",
        "28": "null_reference",
        "29": "cyclic_path",
        "30": "null_reference",
        "31": "dangling_reference",  # plan 31 ends at order 12, whose person is gone
        "32": "dangling_reference",  # order 1000 does not exist
        "33": "dangling_reference",  # no such plan
    }
    hops = {key: project.rejections("notes", key)[0]["hop"] for key in ("23", "26", "27", "28", "30", "31", "32", "33")}
    assert hops == {"23": 2, "26": 2, "27": 2, "28": 2, "30": 2, "31": 4, "32": 3, "33": 1}
    assert project.values("notes", "to_id") == dict.fromkeys(("20", "21", "22"), person(1))


def test_climbing_to_the_top(make_project: MakeProject) -> None:
    """Without `until` a climb ends where the column is NULL; here it starts at the entity's own row."""
    project = make_project(
        "create table node (id int primary key, parent_id int);"
        "insert into node values (1, null), (2, 1), (3, 2), (4, 5), (5, 4), (6, 77), (7, 6)",
        "create table tops (id uuid primary key); create table nodes (id uuid primary key, top_id uuid not null references tops)",
    )
    project.write(
        """
        tops: {from: node, where: {top: parent_id is null}}
        nodes:
          from: node
          references:
            top_id: {to: tops, path: "parent_id* -> node.id"}
        """
    )
    project.foreseen_run()
    top = str(uid("tops", 1))
    assert project.values("nodes", "top_id") == {"1": top, "2": top, "3": top}
    assert project.fates("nodes") == {
        **dict.fromkeys("123", "migrated"),
        **dict.fromkeys("45", "cyclic_path"),
        **dict.fromkeys("67", "dangling_reference"),
    }


def test_a_backward_hop_must_name_one_parent(make_project: MakeProject) -> None:
    rows = ", ".join(f"({n}, null, null, null, null, null)" for n in range(100, 112))
    project = notes(
        make_project, rows, '{to: people, path: "id -> link.note_id, person_id -> person.id", sentinels: [0]}'
    )
    assert project.fates("notes") == {
        "100": "migrated",
        "101": "migrated",  # two that agree
        "102": "ambiguous_reference",
        "103": "ambiguous_reference",  # one of them names a person that does not exist
        "104": "null_reference",
        "105": "migrated",  # the other names nobody
        "106": "parent_excluded",
        "107": "parent_quarantined",
        "108": "ambiguous_reference",
        "109": "dangling_reference",  # no row leads back
        "110": "sentinel_reference",
        "111": "dangling_reference",
    }
    assert project.values("notes", "to_id") == {"100": person(1), "101": person(1), "105": person(2)}
    assert project.rejections("notes", "109")[0]["hop"] == 1
    assert project.rejections("notes", "111")[0]["hop"] == 2


def test_content_types_choose_the_path(make_project: MakeProject) -> None:
    rows = """(1, 1, 10, null, null, null), (2, 2, 22, null, null, null), (3, 9, 20, null, null, null), (4, 3, 10, null, null, null),
              (5, 77, 10, null, null, null), (6, null, 10, null, null, null), (7, 2, 10, null, null, null), (8, 1, null, null, null, null)"""
    project = make_project(
        f"{SOURCE_SQL} insert into note (id, type_id, object_id, person_code, a_id, b_id) values {rows}",
        f"{TARGET_SQL} create table notes (id uuid primary key, to_id uuid not null references people, kind text)",
    )
    project.write(
        PARENTS
        + """
notes:
  from: note
  columns:
    kind: {content_type: type_id}
  references:
    to_id:
      type: type_id
      to: people
      by_type:
        app.orders: "object_id -> orders.id, person_id -> person.id"
        app.plan: "object_id -> plan.id, parent_id* -> plan.id until order_id is not null, order_id -> orders.id, person_id -> person.id"
""",
        "content_types: {formerly: {app.plan: [9]}}",
    )
    project.foreseen_run()
    assert project.fates("notes") == {
        "1": "migrated",
        "2": "migrated",
        "3": "migrated",
        "4": "unknown_type",
        "5": "unknown_type",
        "6": "null_reference",
        "7": "dangling_reference",
        "8": "null_reference",
    }
    assert project.values("notes", "kind") == {"1": "app.orders", "2": "app.plan", "3": "app.plan"}
    assert project.codes("notes", "5") == ["unknown_type", "unknown_type"]
    assert project.migration.verify().ok


def test_several_ways_must_agree(make_project: MakeProject) -> None:
    rows = """(1, null, null, null, 1, 1), (2, null, null, null, 1, 2), (3, null, null, null, 1, null), (4, null, null, null, null, 2),
              (5, null, null, null, null, null), (6, null, null, null, 1, 99), (7, null, null, null, 99, 99), (8, null, null, null, 3, 3),
              (9, null, null, null, 0, 2), (10, null, null, null, 4, 4)"""
    project = notes(make_project, rows, "{to: people, paths: [a_id, b_id], sentinels: [0]}")
    assert project.fates("notes") == {
        "1": "migrated",
        "2": "ambiguous_reference",
        "3": "migrated",
        "4": "migrated",
        "5": "null_reference",
        "6": "ambiguous_reference",
        "7": "dangling_reference",
        "8": "parent_excluded",
        "9": "migrated",
        "10": "parent_quarantined",
    }
    assert project.values("notes", "to_id") == {"1": person(1), "3": person(1), "4": person(2), "9": person(2)}


def test_text_and_number_meet_as_text(make_project: MakeProject) -> None:
    rows = "(1, null, null, '1', null, null), (2, null, null, '01', null, null), (3, null, null, 'x', null, null), (4, null, null, ' 1', null, null)"
    project = notes(make_project, rows, '{to: people, path: "person_code -> person.id"}')
    assert project.fates("notes") == {"1": "migrated", **dict.fromkeys("234", "dangling_reference")}


def test_a_hop_may_land_on_any_unique_column(make_project: MakeProject) -> None:
    rows = "(1, null, null, 'a1', null, null), (2, null, 2, null, null, null), (3, null, null, 'c3', null, null), (4, null, null, 'A1', null, null)"
    project = notes(make_project, rows, '{to: people, path: "person_code -> person.code"}')
    assert project.fates("notes") == {
        "1": "migrated", "2": "null_reference", "3": "parent_excluded", "4": "dangling_reference"
    }  # fmt: skip
    assert project.values("notes", "to_id") == {"1": person(1)}


def test_keys_of_every_kind(make_project: MakeProject, small_chunks: None) -> None:
    """Text keys in an odd order, uuid keys, numeric keys and composite ones, over several chunks, as parents and by themselves."""
    project = make_project(
        """create table t (k text primary key); insert into t select 'k' || g from generate_series(1, 30) g;
           insert into t values ('É'), ('a''b'), ('"q"'), (' '), (''), (E'a\\tb'), ('Z'), ('z'), ('_'), ('ß'), ('1e1'), ('{}'), ('NULL');
           create table u (k uuid primary key, t_k text); insert into u select md5(k)::uuid, k from t;
           create table n (k numeric(20,2) primary key, u_k uuid); insert into n select row_number() over () * 1.10, k from u;
           create table c (a text, b int, n_k numeric, primary key (a, b));
           insert into c select case when k < 20 then 'a' else 'b "' end, k::int, k from n;
           create table d (k date primary key); insert into d select date '1999-12-25' + g from generate_series(0, 24) g;
           create table v (k varchar(9) collate "C" primary key); insert into v select 'V' || g from generate_series(1, 25) g""",
        """create table t (id uuid primary key); create table u (id uuid primary key, t_id uuid not null references t);
           create table n (id uuid primary key, u_id uuid not null references u);
           create table c (id uuid primary key, n_id uuid not null references n);
           create table d (id uuid primary key); create table v (id uuid primary key)""",
    )
    project.write(
        """
        t: {from: t}
        u: {from: u, references: {t_id: {to: t, path: t_k}}}
        n: {from: n, references: {u_id: {to: u, path: u_k}}}
        c: {from: c, references: {n_id: {to: n, path: n_k}}}
        d: {from: d}
        v: {from: v}
        """
    )
    result = project.foreseen_run()
    assert result.totals.quarantined == 0
    assert {e.name: e.counts.migrated for e in result.entities} == {
        "t": 43,
        "u": 43,
        "n": 43,
        "c": 43,
        "d": 25,
        "v": 25,
    }
    assert project.migration.verify().ok
    assert str(uid("t", "a'b")) in {i for (i,) in project.target.rows("select id::text from t")}
    assert str(uid("n", "1.10")) in {i for (i,) in project.target.rows("select id::text from n")}
