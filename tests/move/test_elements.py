# ruff: noqa: E501
"""References in each element of a column: of an array, of JSON, of a text."""

from __future__ import annotations

import pytest
from conftest import MakeProject, uid

from move.elements import BY_TYPE, PARENTS, SOURCE, TARGET, codes, p, project
from rowcall.errors import MappingError, UsageError
from rowcall.repair import Request
from rowcall.report.text import story_text


def test_an_array_keeps_its_order_and_its_nulls(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rowcall.move.judging.ELEMENTS", 3)  # so that a batch is judged in several parts
    made = project(
        make_project, "int[]", "uuid[]", ["{1,2}", "{2,null,1,2}", "{}", None, "{3,1}", "{4,99,3,98}", "{{1,2},{4,5}}"],
        "{each: v, to: parent, path: element}",
    )  # fmt: skip
    made.foreseen_run()
    got = made.target.rows(
        "select m.legacy_id::int, t.v::text[] from item t join rowcall.migration_mappings m on m.entity_uuid = t.id order by 1"
    )
    assert [tuple(r) for r in got] == [(1, [p(1), p(2)]), (2, [p(2), None, p(1), p(2)]), (3, []), (4, None)]
    assert made.fates("item") == dict.fromkeys("1234", "migrated") | {
        "5": "parent_quarantined",
        "6": "dangling_reference",
        "7": "not_convertible",
    }
    assert codes(made, 6) == [
        ("dangling_reference", 1, "98"),
        ("dangling_reference", 1, "99"),
        ("parent_quarantined", 1, "3"),
    ]
    assert made.roots("item")["5"] == ("parent", "3")
    assert made.migration.verify().ok
    assert {p.kind for p in made.prove().values()} == {"query"}


def test_what_is_missing_may_become_null_in_its_place(make_project: MakeProject) -> None:
    made = project(
        make_project,
        "int[]",
        "uuid[] not null",
        ["{1,99,2}", "{3}", "{1}", None],
        "{each: v, to: parent, path: element, missing: [dangling_reference, parent_quarantined]}",
    )
    made.foreseen_run()
    got = made.target.rows(
        "select m.legacy_id::int, t.v::text[] from item t join rowcall.migration_mappings m on m.entity_uuid = t.id order by 1"
    )
    assert [tuple(r) for r in got] == [(1, [p(1), None, p(2)]), (2, [None]), (3, [p(1)])]
    assert made.fates("item")["4"] == "null_reference"
    nulled = made.target.rows("select source_key, code, value from rowcall.nulled_reference order by 1")
    assert [tuple(r) for r in nulled] == [("1", "dangling_reference", "99"), ("2", "parent_quarantined", "3")]
    assert made.migration.verify().ok


def test_packed_texts(make_project: MakeProject) -> None:
    rows = ["7:1,8:2", "see 7:4; app.owner:1!", "nothing", "", None, "7:99,9:1,10:1", "app.parent:3"]
    made = project(make_project, "text", "text", rows, f"{{each: {{of: v, packed: '{{type}}:{{id}}'}}, {BY_TYPE}}}")
    made.foreseen_run()
    assert made.values("item", "v") == {
        "1": f"app.parent:{p(1)},app.owner:{uid('owner', 2)}", "2": f"see app.parent:{p(4)}; app.owner:{uid('owner', 1)}!", "3": "nothing", "4": "", "5": None,
    }  # fmt: skip
    assert codes(made, 6) == [("unknown_type", 1, "10"), ("unknown_type", 1, "9"), ("dangling_reference", 1, "99")]
    assert made.fates("item")["7"] == "parent_quarantined"
    assert made.migration.verify().ok
    assert {p.kind for p in made.prove().values()} == {"query"}
    made.target.execute("update item set v = replace(v, %s, %s)", [p(1), p(2)])
    assert not made.migration.verify().ok


def test_packed_elements_of_an_array_and_of_json(make_project: MakeProject) -> None:
    made = project(
        make_project,
        "varchar(20)[]",
        "text[]",
        ["{7:1,8:2}", '{7:4,"what is this"}', '{null,"app.owner:1"}'],
        f"{{each: {{of: v, packed: '{{type}}:{{id}}'}}, {BY_TYPE}}}",
    )
    made.foreseen_run()
    got = made.target.rows(
        "select m.legacy_id::int, t.v from item t join rowcall.migration_mappings m on m.entity_uuid = t.id order by 1"
    )
    assert [tuple(r) for r in got] == [
        (1, [f"app.parent:{p(1)}", f"app.owner:{uid('owner', 2)}"]),
        (3, [None, f"app.owner:{uid('owner', 1)}"]),
    ]
    assert codes(made, 2) == [("not_convertible", None, "what is this")]
    assert made.migration.verify().ok


def test_elements_lead_to_rows_of_the_target(make_project: MakeProject) -> None:
    made = make_project(
        SOURCE.format(type="text[]"),
        TARGET.format(type="uuid[]")
        + "create table country (id uuid primary key default gen_random_uuid(), code text unique); insert into country (code) values ('ch'), ('ca')",
    )
    made.source.execute("insert into item values (1, '{ch,ca}'), (2, '{xx}')")
    made.write("item: {from: item, references: {v: {each: v, to: country by code, path: element}}}")
    made.foreseen_run()
    assert made.fates("item") == {"1": "migrated", "2": "dangling_reference"}
    assert made.target.value(
        "select (select array_agg(code order by o) from unnest(v) with ordinality u (id, o) join country using (id)) from item"
    ) == ["ch", "ca"]
    assert made.migration.verify().ok


def test_a_later_run_follows_the_elements(make_project: MakeProject) -> None:
    made = project(make_project, "int[]", "uuid[]", ["{1,2}", "{3}"], "{each: v, to: parent, path: element}")
    made.run()
    made.source.execute("update parent set name = 'c' where id = 3; update item set v = '{2,4}' where id = 1")
    made.run()
    assert made.fates("item") == {"1": "migrated", "2": "migrated"}
    assert made.target.value("select v::text[] from item where id = %s", [str(uid("item", 1))]) == [p(2), p(4)]
    assert made.migration.verify().ok


def test_the_story_of_a_row_tells_of_each_element(make_project: MakeProject) -> None:
    made = project(
        make_project, "text", "text", ["7:1 7:99 9:5"], f"{{each: {{of: v, packed: '{{type}}:{{id}}'}}, {BY_TYPE}}}"
    )
    made.run()
    story = made.migration.explain("item", "1")
    assert [(h.number, h.seen, h.note) for h in story.hops if h.number] == [
        (1, ("1",), ""),
        (1, ("99",), "no such row"),
    ]
    assert [(f.entity, f.key) for f in story.parents] == [("parent", "1")]
    assert [line.strip() for line in str(story_text(story)).splitlines() if "element" in line][::2] == [
        "element 1",
        "element 2",
        "element 3",
    ]
    offers = {o.remedy for o in made.migration.healing.offers("item", "dangling_reference")}
    assert not {"set_null", "link_parent", "stub_parent"} & offers


def test_elements_follow_a_parent_that_was_healed(make_project: MakeProject) -> None:
    made = project(make_project, "int[]", "uuid[]", ["{1,3}", "{3,99}"], "{each: v, to: parent, path: element}")
    made.run()
    healing = made.migration.healing
    assert healing.apply(Request("parent", "null_in_required", "set_value", {"value": "x"})).rows == 1
    assert {o.remedy: o.brings_home for o in healing.offers("item", "parent_quarantined")}["follow_parent"] == 1
    followed = healing.apply(Request("item", "parent_quarantined", "follow_parent"))
    assert made.fates("item") == {"1": "migrated", "2": "dangling_reference"}
    assert made.target.value("select v::text[] from item") == [p(1), p(3)]
    assert made.migration.verify().ok
    healing.undo(followed.repair or 0)
    assert made.fates("item") == {"1": "parent_quarantined", "2": "dangling_reference"}


MISTAKES = [
    ("int[]", "text[]", "{each: v, to: parent, path: element}", "such elements need uuid"),
    ("int[]", "uuid[]", "{each: v, to: parent, path: id}", "has no column 'id'"),
    ("int[]", "uuid[]", "{each: {of: v, keys: $}, to: parent, path: element}", "v is an array, not JSON: leave `keys` out"),
    ("int[]", "uuid[]", "{each: {of: v, at: $.a}, to: parent, path: element}", "v is an array, not JSON: leave `at` out"),
    ("int", "uuid[]", "{each: v, to: parent, path: element}", "v is integer: write how an element is `packed`"),
    ("text", "text", "{each: v, to: parent, path: element}", "write how an element is `packed`"),
    ("text", "varchar(50)", "{each: {of: v, packed: '{id}'}, to: parent, path: element}", "needs one without a limit"),
    ("text", "text", "{each: {of: v, packed: '{id}'}, to: parent, path: element, missing: null}", "a part of a text cannot become NULL"),
    ("text", "text", "{each: {of: v, packed: '{type}{id}'}, " + BY_TYPE + "}", "a sign between them"),
    ("text", "text", "{each: {of: v, packed: '{type}:{id}'}, to: parent, path: element}", "`{type}` only beside `by_type`"),
    ("jsonb", "jsonb", "{each: {of: v, at: '$.a..b'}, to: parent, path: element}", "cannot read this place in JSON"),
    ("jsonb", "text", "{each: {of: v, at: $.a}, to: parent, path: element}", "what is in JSON stays in JSON"),
    ("jsonb", "jsonb", "{each: {of: v, at: $.a, keys: $.b}, to: parent, path: element}", "write one of both"),
    ("jsonb", "jsonb", "{each: {of: w, at: $.a}, to: parent, path: element}", "item has no column 'w'"),
    ("jsonb", "jsonb", "{each: {at: $.a}, to: parent, path: element}", "`of` is missing"),
]  # fmt: skip


def test_what_cannot_be_is_told(make_project: MakeProject) -> None:
    made = make_project(SOURCE.format(type="int"), TARGET.format(type="text"))
    for given, wanted, reference, wrong in MISTAKES:
        made.source.execute(f"alter table item drop v; alter table item add v {given}")
        made.target.execute(f"alter table item drop v; alter table item add v {wanted}")
        made.write(PARENTS + f"item: {{from: item, references: {{v: {reference}}}}}")
        with pytest.raises(MappingError, match=wrong):
            made.check()


def test_elements_within_a_cycle_need_rows_of_their_own(make_project: MakeProject) -> None:
    made = make_project(SOURCE.format(type="int[]"), TARGET.format(type="uuid[]"))
    made.write("item: {from: item, references: {v: {each: v, to: item, path: element}}}")
    with pytest.raises(UsageError, match=r"rowcall.yaml:\d+:\d+: the elements of v refer to rows that are in a cycle"):
        made.check()


def test_elements_may_name_their_types_where_there_is_no_table_of_them(make_project: MakeProject) -> None:
    made = make_project(SOURCE.format(type="text"), TARGET.format(type="text"))
    made.source.execute(
        "drop table django_content_type; insert into item values (1, 'res.parent,1'), (2, 'res.owner,9'), (3, 'res.else,1 50% \\')"
    )
    made.write(
        PARENTS
        + "item: {from: item, references: {v: {each: {of: v, packed: '{type},{id}'}, by_type: {res.parent: {to: parent, path: element}, res.owner: {to: owner, path: element}}}}}"
    )
    made.foreseen_run()
    assert made.values("item", "v") == {"1": f"res.parent,{p(1)}"}
    assert made.fates("item") == {"1": "migrated", "2": "dangling_reference", "3": "unknown_type"}
    assert made.migration.verify().ok
    assert [h.seen for h in made.migration.explain("item", "1").hops if h.number] == [("1",)]


def test_odd_signs_numbers_and_lines(make_project: MakeProject) -> None:
    made = project(
        make_project,
        "text",
        "text",
        ["→1← →99x←", "see →2."],
        "{each: {of: v, packed: '→{id}'}, to: parent, path: element}",
    )
    made.source.execute("delete from item where id = 1; insert into item values (1, '→1← a_b →2')")
    made.foreseen_run()
    assert made.values("item", "v") == {"1": f"→{p(1)}← a_b →{p(2)}", "2": f"see →{p(2)}."}
    assert made.migration.verify().ok


def test_numeric_elements_and_line_ends(make_project: MakeProject) -> None:
    made = make_project(
        SOURCE.format(type="numeric(10,2)[]").replace("parent (id int", "parent (id numeric(10,2)")
        + "alter table item add w text[];",
        TARGET.format(type="uuid[]") + "alter table item add w text[];",
    )
    made.source.execute("insert into item values (1, '{1,2.00,null}', null), (2, null, array[E'1\\n2', '1'])")
    made.write(
        PARENTS
        + "item: {from: item, references: {v: {each: v, to: parent, path: element}, w: {each: {of: w, packed: '{id}'}, to: parent, path: element}}}"
    )
    made.foreseen_run()
    keys = dict(made.target.rows("select entity_uuid::text, legacy_id from rowcall.migration_mappings"))
    assert [u and keys[u] for u in made.target.value("select v::text[] from item")] == ["1.00", "2.00", None]
    assert codes(made, 2) == [("not_convertible", None, "1\n2")]
    assert made.migration.verify().ok


def test_a_parent_that_came_home_since_leaves_the_null_right(make_project: MakeProject) -> None:
    made = project(
        make_project,
        "int[]",
        "uuid[]",
        ["{1,3}"],
        "{each: v, to: parent, path: element, missing: [parent_quarantined]}",
    )
    made.run()
    made.migration.healing.apply(Request("parent", "null_in_required", "set_value", {"value": "c"}, reason="x"))
    assert made.migration.verify().ok


def test_verification_sees_what_is_not_in_its_place(make_project: MakeProject) -> None:
    made = project(make_project, "int[]", "uuid[]", ["{1,null,2}"], "{each: v, to: parent, path: element}")
    made.run()
    assert made.migration.verify().references[-1].checked == 2
    made.target.execute("create table kept as table item")
    for damage in ("array[null]::uuid[] || v", "array_remove(v, null)", "array[v[1]]", "array_replace(v, v[1], v[3])"):
        made.target.execute(f"update item set v = {damage}")
        assert not made.migration.verify().ok
        made.target.execute("update item set v = kept.v from kept")


def test_a_null_among_packed_elements(make_project: MakeProject) -> None:
    made = project(
        make_project, "text[]", "text[]", ["{user#1,NULL,user#2}", "{NULL}"], "{each: {of: v, packed: 'user#{id}'}, to: parent, path: element}"
    )  # fmt: skip
    made.foreseen_run()
    assert made.values("item", "v") == {"1": f"{{user#{p(1)},NULL,user#{p(2)}}}", "2": "{NULL}"}
    assert made.migration.verify().ok


def test_memory_holds_for_many_elements_of_rows_that_fall(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rowcall.workspace.MEMORY_LIMIT", "100MB")
    made = project(make_project, "int[]", "uuid[]", [], "{each: v, to: parent, path: element}")
    made.source.execute(
        "insert into item select g, array_agg(1 + e % 2) || 77 from generate_series(1, 2000) g, generate_series(1, 300) e group by g"
    )
    assert made.run().open == 2001
