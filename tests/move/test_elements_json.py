"""References in each element of a column that holds JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import MakeProject, uid

from move.elements import PARENTS, SOURCE, TARGET, codes, p, project
from rowcall.errors import MappingError

DOCUMENTS: list[dict[str, Any]] = [
    {
        "watchers": [
            {"user": 1, "note": 'a "quoted" \\ text é', "n": 1.50},
            {"user": "2"},
            {"user": None},
            {"other": 9},
        ],
        "x": [1],
    },
    {"watchers": []},
    {"watchers": "none"},
    {"other": {"user": 77}},
    {"watchers": [{"user": 1}, {"user": 55}]},
    {"watchers": [{"user": {"deep": 1}}]},
]


@pytest.mark.parametrize(("given", "wanted"), [("jsonb", "jsonb"), ("json", "json"), ("text", "jsonb")])
def test_values_in_json(make_project: MakeProject, given: str, wanted: str) -> None:
    rows = [*map(json.dumps, DOCUMENTS), None]
    made = project(
        make_project, given, wanted, rows, "{each: {of: v, at: '$.watchers[*].user'}, to: parent, path: element}"
    )
    if given == "text":
        made.source.execute("insert into item values (50, '{broken'), (51, '')")
    if given != "jsonb":
        made.source.execute("insert into item values (52, %s)", [r'{"watchers": "\u0000"}'])
    made.foreseen_run()
    got = {k: json.loads(v) if v else v for k, v in made.values("item", "v").items()}
    first = json.loads(json.dumps(DOCUMENTS[0]))
    first["watchers"][0]["user"], first["watchers"][1]["user"] = p(1), p(2)
    assert got == {"1": first, "2": DOCUMENTS[1], "3": DOCUMENTS[2], "4": DOCUMENTS[3], "7": None}
    broken = {"50": "malformed_json", "51": "malformed_json", "52": "unstorable_text"} if given == "text" else {}
    broken |= {"52": "unstorable_text"} if given == "json" else {}
    assert {k: f for k, f in made.fates("item").items() if f != "migrated"} == {
        "5": "dangling_reference",
        "6": "not_convertible",
    } | broken
    assert made.migration.verify().ok


def test_missing_values_in_json_become_null(make_project: MakeProject) -> None:
    made = project(
        make_project,
        "jsonb",
        "jsonb",
        ['{"a": {"b c": 99, "d": "x"}}', '{"a": {"b c": 4}}'],
        "{each: {of: v, at: '$.a.\"b c\"'}, to: parent, path: element, missing: null}",
    )
    made.foreseen_run()
    assert {k: json.loads(v or "") for k, v in made.values("item", "v").items()} == {
        "1": {"a": {"b c": None, "d": "x"}},
        "2": {"a": {"b c": p(4)}},
    }
    assert made.migration.verify().ok


def test_keys_of_json(make_project: MakeProject) -> None:
    rows = [
        '{"by": {"1": {"on": true}, "2": [], "4": null}, "x": 1}',
        '{"by": {}}',
        '{"by": [1]}',
        '{"by": {"1": 1, "77": 2, "oh no\\"": 3}}',
    ]
    made = project(make_project, "jsonb", "jsonb", rows, "{each: {of: v, keys: $.by}, to: parent, path: element}")
    made.foreseen_run()
    got = {k: json.loads(v or "") for k, v in made.values("item", "v").items()}
    assert got == {"1": {"by": {p(1): {"on": True}, p(2): [], p(4): None}, "x": 1}, "2": {"by": {}}, "3": {"by": [1]}}
    assert sorted(v for _, _, v in codes(made, 4)) == ["77", 'oh no"']
    assert made.migration.verify().ok
    made.target.execute(
        "update item set v = jsonb_build_object('by', jsonb_build_object(%s::text, 1)) where id = %s",
        [p(5), str(uid("item", 1))],
    )
    assert not made.migration.verify().ok


def test_json_with_packed_elements_and_a_longer_way(make_project: MakeProject) -> None:
    made = project(
        make_project,
        "jsonb",
        "jsonb",
        ['["model,A", "model,B"]', '["model,D"]', '["model,Z"]'],
        "{each: {of: v, at: '$[*]', packed: 'model,{id}'}, to: parent, path: 'element -> parent.code'}",
    )
    made.foreseen_run()
    assert {k: json.loads(v or "") for k, v in made.values("item", "v").items()} == {
        "1": [f"model,{p(1)}", f"model,{p(2)}"]
    }
    assert made.fates("item") == {"1": "migrated", "2": "ambiguous_reference", "3": "dangling_reference"}
    assert made.migration.verify().ok


def test_two_keys_that_become_one_are_told(make_project: MakeProject) -> None:
    made = project(
        make_project,
        "jsonb",
        "jsonb",
        ['{"1": 1, "2": 2}', '{"4": 1}'],
        "{each: {of: v, keys: $}, to: parent, path: element}",
    )
    made.source.execute("alter table parent add same int; update parent set same = 1 where id = 2")
    made.write(
        PARENTS.replace("from: parent,", "from: parent, merge: {to: parent, path: same},")
        + "item: {from: item, references: {v: {each: {of: v, keys: $}, to: parent, path: element}}}"
    )
    made.foreseen_run()
    assert made.fates("item") == {"1": "duplicate_key", "2": "migrated"}
    assert made.migration.verify().ok


def test_json_that_jsonb_does_not_take(make_project: MakeProject) -> None:
    rows = [r'{"a": 1, "x": "\ud800"}', '{"a": 1, "x": 1e200000}', r'{"a": 1, "x": "\\u0000"}']
    made = project(make_project, "json", "jsonb", rows, "{each: {of: v, at: $.a}, to: parent, path: element}")
    made.foreseen_run()
    assert made.fates("item") == {"1": "unstorable_text", "2": "unstorable_text", "3": "migrated"}
    assert made.migration.verify().ok


def test_a_name_in_json_that_looks_like_every_item(make_project: MakeProject) -> None:
    made = project(
        make_project, "jsonb", "jsonb", ['{"*": {"u": 1}, "a": {"u": 2}}', '{"*": [{"u": 1}]}'],
        """{each: {of: v, at: '$["*"].u'}, to: parent, path: element}""",
    )  # fmt: skip
    made.foreseen_run()
    assert made.target.value("select v from item where id = %s", [str(uid("item", 1))]) == {
        "*": {"u": p(1)},
        "a": {"u": 2},
    }
    assert made.target.value("select v from item where id = %s", [str(uid("item", 2))]) == {"*": [{"u": 1}]}
    assert made.migration.verify().ok


def test_only_json_that_is_no_jsonb_needs_postgres_16(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rowcall.mapping.elements.VALID_FROM", 990000)  # the server is too old
    made = make_project(SOURCE.format(type="text"), TARGET.format(type="text"))
    path = "to: parent, path: element"
    for given, wanted, each in [
        ("text", "text", "{of: v, packed: '<{id}>'}"),
        ("text[]", "uuid[]", "{of: v}"),
        ("jsonb", "jsonb", "{of: v, at: $.a}"),
    ]:
        made.source.execute(f"alter table item drop v; alter table item add v {given}")
        made.target.execute(f"alter table item drop v; alter table item add v {wanted}")
        made.write(PARENTS + f"item: {{from: item, references: {{v: {{each: {each}, {path}}}}}}}")
        made.check()
    for given in ("json", "text"):
        made.source.execute(f"alter table item drop v; alter table item add v {given}")
        made.write(PARENTS + f"item: {{from: item, references: {{v: {{each: {{of: v, at: $.a}}, {path}}}}}}}")
        with pytest.raises(MappingError, match="only Postgres 16"):
            made.check()
