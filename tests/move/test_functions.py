# ruff: noqa: E501
"""Columns that a function of the project fills: Arrow arrays in, one out; a row on which it fails is quarantined, and no other."""

from __future__ import annotations

import pytest
from conftest import MakeProject, Project, set_chunk_rows

from rowcall.errors import MappingError, UsageError
from rowcall.mapping import without_endpoints

SOURCE = """
create table a (id int primary key, first text, last text, n int, seen date, amount numeric);
insert into a select g, 'First' || g, case when g % 7 = 0 then null else 'Last' || g end, g, '2024-01-01'::date + g, g / 4.0 from generate_series(1, 100) g;
"""
FUNCTIONS = '''
from __future__ import annotations

import sys
from dataclasses import dataclass

from beside import word

import pyarrow as pa
import pyarrow.compute as pc

def full_name(first, last):
    return pc.binary_join_element_wise(first, last, " ", null_handling="skip")

def picky(n):
    """Does not like some rows, and says what they hold."""
    bad = [v for v in n.to_pylist() if v in (13, 77)]
    if bad:
        raise ValueError(f"bad rows: {bad}")
    return pc.add(n, 1)

def kinds(n, seen, amount):
    assert n.type == pa.int32() and seen.type == pa.string() and amount.type == pa.string(), (n.type, seen.type, amount.type)
    return pa.array([f"{a} {b} {c}" for a, b, c in zip(n.to_pylist(), seen.to_pylist(), amount.to_pylist())])

def short(n):
    return n.slice(1)

def no_array(n):
    return 7

def doc(first):
    return pa.array(['{"a": "%s"}' % f if not f.endswith("5") else "[1," for f in first.to_pylist()])

def same(n):
    return pa.array(["all"] * len(n))

def leaves(n):
    sys.exit(0)

def nul(n):
    return pa.array(["a\\0b" if v == 2 else "x" for v in n.to_pylist()])

@dataclass
class Known:
    word: str

def helped(n):
    return pa.array([Known(word()).word] * len(n))

NOTHING = 3
'''


def project(make: MakeProject, kind: str, filler: str) -> Project:
    made = make(SOURCE, f"create table a (id uuid primary key, v {kind})")
    (made.folder / "functions.py").write_text(FUNCTIONS)
    (made.folder / "beside.py").write_text("def word():\n    return 'helped'")
    made.write(f"a: {{from: a, columns: {{v: {filler}}}}}")
    return made


@pytest.mark.parametrize("chunk", [10, 1000])
def test_what_a_function_makes(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    set_chunk_rows(monkeypatch, chunk)
    made = project(make_project, "text not null", "{python: functions.full_name, of: [first, last]}")
    made.foreseen_run()
    values = made.values("a", "v")
    assert (values["1"], values["7"]) == ("First1 Last1", "First7")
    assert made.migration.verify().ok
    assert made.migration.sample("a")


def test_a_row_on_which_it_fails_is_quarantined_and_no_other(make_project: MakeProject) -> None:
    made = project(make_project, "bigint", "{python: functions.picky, of: n, convert: int}")
    made.foreseen_run()
    assert {k: f for k, f in made.fates("a").items() if f != "migrated"} == dict.fromkeys(
        ("13", "77"), "expression_failed"
    )
    assert made.values("a", "v")["99"] == "100"
    (told,) = made.rejections("a", "13")
    assert told["evidence"] == "columns.v (ValueError)"
    assert "bad rows" not in str(told)
    made.source.execute("update a set n = 14 where id = 13")
    made.run()  # and is taken up once it is mended
    assert made.values("a", "v")["13"] == "15"


def test_what_it_makes_is_judged_as_any_text(make_project: MakeProject) -> None:
    made = project(make_project, "jsonb", "{python: functions.doc, of: first, convert: jsonb}")
    made.foreseen_run()
    assert {f for k, f in made.fates("a").items() if k.endswith("5")} == {"malformed_json"}
    assert made.values("a", "v")["2"] == '{"a": "First2"}'


def test_a_unique_value_and_the_types_that_it_gets(make_project: MakeProject) -> None:
    made = project(make_project, "text unique", "{python: functions.same, of: n}")
    made.foreseen_run()
    assert {k for k, f in made.fates("a").items() if f == "migrated"} == {"1"}
    made = project(
        make_project,
        "text",
        "{python: functions.kinds, of: [n, seen, amount], map: {1 2024-01-02 0.25000000000000000000: one}, else: keep}",
    )
    made.foreseen_run()
    assert made.values("a", "v")["1"] == "one"
    assert made.values("a", "v")["4"] == "4 2024-01-05 1.00000000000000000000"


@pytest.mark.parametrize("name", ["short", "no_array", "leaves"])
def test_one_that_does_not_answer_for_each_row(make_project: MakeProject, name: str) -> None:
    made = project(make_project, "text", f"{{python: functions.{name}, of: n}}")
    made.foreseen_run()
    assert set(made.fates("a").values()) == {"expression_failed"}


FAULTS = [
    ("{python: functions.nobody, of: n}", "has no function 'nobody'"),
    ("{python: functions.NOTHING, of: n}", "has no function 'NOTHING'"),
    ("{python: other.f, of: n}", "other.py in the project's folder: No such file"),
    ("{python: broken.f, of: n}", "broken.py cannot be loaded (ZeroDivisionError)"),
    ("{python: ../functions.same, of: n}", "names no function"),
    ("{python: same, of: n}", "names no function"),
    ("{python: functions.same}", "write both"),
    ("{python: functions.same, of: [n, m]}", "has no column 'm'"),
    ("{python: functions.same, of: n, clean: trim}", "needs a value of the row"),
    ("{python: functions.same, of: n, from: n}", "more than one thing"),
]  # fmt: skip


def test_what_is_no_function_is_told(make_project: MakeProject) -> None:
    made = project(make_project, "text", "first")
    (made.folder / "broken.py").write_text("1 / 0")
    for filler, told in FAULTS:
        made.write(f"a: {{from: a, columns: {{v: {filler}}}}}")
        with pytest.raises(MappingError) as found:
            made.migration.plan()
        assert told in str(found.value), (filler, str(found.value))
        assert "rowcall.yaml:8:" in str(found.value)


def test_its_file_is_a_part_of_the_mapping(make_project: MakeProject) -> None:
    made = project(make_project, "text", "{python: functions.same, of: n}")
    made.run()
    (made.folder / "functions.py").write_text(FUNCTIONS.replace('"all"', '"some"'))
    with pytest.raises(UsageError, match="the mapping changed"):
        made.run()
    made.run(restart=True)
    assert set(made.values("a", "v").values()) == {"some"}


def test_it_does_not_travel_to_a_cluster(make_project: MakeProject) -> None:
    made = project(make_project, "text", "{python: functions.same, of: n}")
    with pytest.raises(UsageError, match="which the machines of a cluster do not have"):
        without_endpoints(made.folder / "rowcall.yaml")


def test_a_text_that_postgres_cannot_hold_and_modules_beside_it(make_project: MakeProject) -> None:
    made = project(make_project, "text", "{python: functions.nul, of: n}")
    made.foreseen_run()
    assert {k: f for k, f in made.fates("a").items() if f != "migrated"} == {"2": "expression_failed"}
    made = project(make_project, "text", "{python: functions.helped, of: n}")
    made.foreseen_run()
    assert set(made.values("a", "v").values()) == {"helped"}
