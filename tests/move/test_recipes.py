# ruff: noqa: E501
"""Columns that are made by the mapping's own words: cleaning, lookups, named formats, time zones, defaults, JSON, maps in files."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import MakeProject, Project, uid

from rowcall.errors import MappingError
from rowcall.mapping import without_endpoints

SOURCE = """
create table status (id int primary key, code text unique, label text);
insert into status values (1, 'o', 'open'), (2, 'c', 'closed');
create table "odd name" ("the id" int primary key, id text, "t.k" text unique);
insert into "odd name" values (7, 'seven', 'x'), (8, null, 'y');
create table a (id int primary key, status_id int, odd int, raw text, day text, made timestamp, at text, n int, kind text, born date);
insert into a values
    (1, 1, 7, E'  Zoë\\t Smith\\u00a0 ', '31.01.2024', '2024-07-01 12:00', '2024-07-01 12:00', 5, 'x', '2024-02-29'),
    (2, 2, 8, E'\\x01', '1.2.2024', '2024-01-01 12:00', '2024-01-01 12:00:30', null, 'y', null),
    (3, 9, null, ' ', '31.02.2024', null, 'soon', 0, '', null),
    (4, null, null, null, '2024-01-31', null, null, null, null, null),
    (5, 1, 7, E'e\\u0301', '01/02/2024', null, '2024-07-01 12:00+05', 1, 'z', null);
"""


def project(make: MakeProject, kind: str, filler: str, required: bool = False) -> Project:
    made = make(SOURCE, f"create table a (id uuid primary key, v {kind}{' not null' if required else ''})")
    made.write(f"a: {{from: a, columns: {{v: {filler}}}}}")
    return made


MADE: list[tuple[str, str, dict[str, Any]]] = [
    ("text", "{from: raw, clean: [trim, collapse]}", {"1": "Zoë Smith", "2": "\x01", "3": "", "4": None, "5": "e\u0301"}),
    ("text", "{from: raw, clean: [printable, trim, empty]}", {"1": "Zoë\t Smith", "2": None, "3": None, "4": None, "5": "e\u0301"}),
    ("text", "{from: raw, clean: [nfc, upper], default: nobody}", {"1": "  ZOË\t SMITH\u00a0 ", "2": "\x01", "3": " ", "4": "nobody", "5": "É"}),
    ("text", "{sql: upper(kind), clean: lower}", {"1": "x", "2": "y", "3": "", "4": None, "5": "z"}),
    ("text", "{from: status_id, lookup: status.id, take: label}", {"1": "open", "2": "closed", "3": None, "4": None, "5": "open"}),
    ("text", "{from: status_id, lookup: status.id, take: label, default: unknown}", {"1": "open", "2": "closed", "3": "unknown", "4": "unknown", "5": "open"}),
    ("text", "{from: status_id, lookup: status.id, take: code, map: {o: O, c: C, null: N}}", {"1": "O", "2": "C", "3": "N", "4": "N", "5": "O"}),
    ("text", "{from: odd, lookup: odd name.the id, take: id}", {"1": "seven", "2": None, "3": None, "4": None, "5": "seven"}),
    ("int", "{sql: kind, lookup: status.code, take: id, default: 0}", dict.fromkeys("12345", "0")),
    ("int", "{from: n, default: 42}", {"1": "5", "2": "42", "3": "0", "4": "42", "5": "1"}),
    ("timestamptz", "{from: made, zone: Europe/Zurich}", {"1": "2024-07-01 10:00:00+00", "2": "2024-01-01 11:00:00+00", "3": None, "4": None, "5": None}),
    ("timestamptz", "{from: born, zone: Asia/Tokyo}", {"1": "2024-02-28 15:00:00+00", "2": None, "3": None, "4": None, "5": None}),
    ("jsonb", "{json: {id: id, name: {raw: raw, n: n}, two: [kind, {value: [1, null]}], more: {sql: n + 1}}}",
     {"1": '{"id": 1, "two": ["x", [1, null]], "more": 6, "name": {"n": 5, "raw": "  Zoë\\t Smith\u00a0 "}}',
      "2": '{"id": 2, "two": ["y", [1, null]], "more": null, "name": {"n": null, "raw": "\\u0001"}}',
      "3": '{"id": 3, "two": ["", [1, null]], "more": 1, "name": {"n": 0, "raw": " "}}',
      "4": '{"id": 4, "two": [null, [1, null]], "more": null, "name": {"n": null, "raw": null}}',
      "5": '{"id": 5, "two": ["z", [1, null]], "more": 2, "name": {"n": 1, "raw": "e\u0301"}}'}),
]  # fmt: skip


def test_what_a_column_is_made_of(make_project: MakeProject) -> None:
    """Each in a column of its own."""
    kinds = ", ".join(f"v{n} {kind}" for n, (kind, _, _) in enumerate(MADE))
    made = make_project(SOURCE, f"create table a (id uuid primary key, {kinds})")
    fillers = "\n".join(f"    v{n}: {filler}" for n, (_, filler, _) in enumerate(MADE))
    made.write(f"a:\n  from: a\n  columns:\n{fillers}")
    assert made.foreseen_run().complete
    for n, (_, filler, values) in enumerate(MADE):
        assert made.values("a", f"v{n}") == values, filler
    assert made.migration.verify().ok


@pytest.mark.parametrize(
    ("kind", "filler", "values", "rejected"),
    [
        ("date", "{from: day, format: DD.MM.YYYY, convert: date}", {"1": "2024-01-31", "2": "2024-02-01"}, {"3": "out_of_range", "4": "", "5": ""}),
        ("date", "{from: day, format: DD/MM/YYYY, convert: date}", {"5": "2024-02-01"}, dict.fromkeys("1234", "")),
        ("timestamptz", "{from: at, zone: Europe/Zurich, convert: timestamptz}", {"1": "2024-07-01 10:00:00+00", "2": "2024-01-01 11:00:30+00", "4": None}, {"3": "", "5": ""}),
        ("timestamptz", "{from: at, format: 'YYYY-MM-DD HH24:MI', zone: Asia/Tokyo, convert: timestamptz}", {"1": "2024-07-01 03:00:00+00", "4": None}, {"2": "", "3": "", "5": ""}),
        ("timestamp", "{sql: \"'7/4/2024 3:05 PM'\", format: 'MM/DD/YYYY HH12:MI AM', convert: timestamp}", dict.fromkeys("12345", "2024-07-04 15:05:00"), {}),
        ("date", "{sql: \"case when id < 3 then '01112024' else '1112024' end\", format: DDMMYYYY, convert: date}", {"1": "2024-11-01", "2": "2024-11-01"}, dict.fromkeys("345", "")),
        ("timestamp", "{sql: \"'2024-02-03T04:05'\", format: 'YYYY-MM-DDTHH24:MI', convert: timestamp}", dict.fromkeys("12345", "2024-02-03 04:05:00"), {}),
        ("timestamptz", "{from: at, default: '2024-07-01 12:00', zone: Europe/Zurich, convert: timestamptz}", {"1": "2024-07-01 10:00:00+00", "2": "2024-01-01 11:00:30+00", "4": "2024-07-01 10:00:00+00"}, {"3": "", "5": ""}),
        ("time", "{sql: \"'235959.25'\", format: 'HH24MISS.MS', convert: time}", dict.fromkeys("12345", "23:59:59.25"), {}),
    ],
)  # fmt: skip
def test_times_in_a_named_format(
    make_project: MakeProject, kind: str, filler: str, values: dict[str, Any], rejected: dict[str, str]
) -> None:
    made = project(make_project, kind, filler)
    made.foreseen_run()
    assert made.values("a", "v") == values
    assert {k: f for k, f in made.fates("a").items() if f != "migrated"} == {
        key: code or "not_convertible" for key, code in rejected.items()
    }


FAULTS = [
    ("{from: kind, lookup: odd name.t.k, take: the id}", "has no table"),  # a dot in a name is for `sql`
    ("{from: raw, clean: [trim, wash]}", "'wash' cleans nothing"),
    ("{from: status_id, lookup: status.id}", "write both"),
    ("{from: kind, lookup: status.label, take: id}", "is not unique"),
    ("{from: status_id, lookup: nowhere.id, take: id}", "has no table 'nowhere'"),
    ("{from: status_id, lookup: status.id, take: name}", "has no column 'name'"),
    ("{from: status_id, lookup: id, take: label}", "names no column"),
    ("{from: raw, lookup: status.id, take: label}", "the source does not take this SQL"),
    ("{from: n, default: many}", "the source does not take this SQL"),
    ("{from: made, zone: Europe/Zürich}", "there is no time zone"),
    ("{from: n, zone: UTC}", "needs no zone"),
    ("{sql: made, zone: UTC}", "a zone is for a source column"),
    ("{from: status_id, lookup: status.id, take: label, zone: UTC}", "a zone is for a source column"),
    ("{from: day, format: DD.MM.YYYY HH:MI, convert: timestamp}", "has 'HH', which is no part of a time"),
    ("{from: day, format: DD Mon YYYY, convert: date}", "has 'Mon', which is no part of a time"),
    ("{from: day, format: YYYY-MM-DD MI, convert: timestamp}", "has no HH"),
    ("{from: day, format: 'MI:SS', convert: time}", "has no HH"),
    ("{from: made, format: DD.MM.YYYY, convert: date}", "not a text"),
    ("{from: kind, map: nul.csv}", "has a NUL"),
    ("{from: day, format: DD.MM.YYYY}", "write `convert:`"),
    ("{from: day, format: MM.YYYY, convert: date}", "has no DD"),
    ("{from: day, format: DD.DD.MM.YYYY, convert: date}", "has DD twice"),
    ("{json: {a: nothing}}", "has no column 'nothing'"),
    ("{json: {a: 1}}", "is no column"),
    ("{json: {a: {sql: nothing + 1}}}", "does not exist"),
    ("{json: {a: id}, clean: trim}", "is for one value"),
    ("{value: 1, default: 2}", "needs a value of the row"),
    ("{from: kind, map: nowhere.csv}", "No such file"),
    ("{from: kind, map: bad.csv}", "line 3 has 3 cells"),
    ("{from: kind, map: twice.csv}", "line 3 has a source value of a line before it"),
    ("{from: kind, map: bare.csv}", "its first line is not"),
]  # fmt: skip


def test_what_cannot_be_made_is_told(make_project: MakeProject) -> None:
    made = project(make_project, "text", "id")
    files = {
        "nul.csv": "source,target\n\na\0b,c\n",
        "bad.csv": "source,target\na,b\nc,d,e\n",
        "twice.csv": "source,target\na,b\na,c\n",
        "bare.csv": "a,b\n",
    }
    for name, text in files.items():
        (made.folder / name).write_text(text)
    for filler, told in FAULTS:
        made.write(f"a: {{from: a, columns: {{v: {filler}}}}}")
        with pytest.raises(MappingError) as found:
            made.migration.plan()
        assert told in str(found.value), (filler, str(found.value))
        assert "rowcall.yaml:8:" in str(found.value)


def test_a_map_in_a_file(make_project: MakeProject) -> None:
    made = project(make_project, "text", "{from: kind, map: maps/kinds.csv}")
    (made.folder / "maps").mkdir()
    (made.folder / "maps" / "kinds.csv").write_bytes(
        '\ufeffsource,target\r\nx,"an ""x"", or\r\nso"\r\ny,\r\n"",none\r\n'.encode()
    )
    made.foreseen_run()
    assert made.values("a", "v") == {"1": 'an "x", or\r\nso', "2": None, "3": "none", "4": None}
    assert made.fates("a")["5"] == "not_in_enum"
    travels = without_endpoints(made.folder / "rowcall.yaml")  # to a cluster's workers, who have no such file
    assert "kinds.csv" not in travels
    assert '"none"' in travels
    (made.folder / "maps" / "kinds.csv").write_text("source,target\nx,1\n")
    with pytest.raises(Exception, match="the mapping changed"):  # a map's file is a part of the mapping
        made.run()


def test_a_table_that_is_looked_into_is_read_on_the_runs_snapshot_and_taken_up_later(make_project: MakeProject) -> None:
    made = project(make_project, "text", "{from: status_id, lookup: status.id, take: label}")
    assert "public.status" in made.migration.plan().source_tables
    made.run()
    made.source.execute("update status set label = 'done' where id = 2")
    result = made.run()
    assert result.caught_up
    assert [(e.entity, e.updated) for e in result.caught_up.entities] == [("a", 1)]
    assert made.values("a", "v")["2"] == "done"


def test_json_of_many_keys(make_project: MakeProject) -> None:
    keys = ", ".join(f"k{n}: id" for n in range(130))
    made = project(make_project, "jsonb", f"{{json: {{{keys}, all: [{', '.join(['id'] * 130)}]}}}}")
    made.foreseen_run()
    found = made.target.value("select v from a where id = %s", [uid("a", 3)])
    assert found == {f"k{n}": 3 for n in range(130)} | {"all": [3] * 130}
