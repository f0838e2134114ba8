"""The cleaning list, and what a report shows of rows' values."""

from __future__ import annotations

import csv
import io

import pytest
from conftest import MakeProject, Project

from rowcall.explain.samples import mask

SOURCE = """
create table person (code text primary key, mail text, born text, town text);
insert into person values ('ann, "a"', 'ann@example.org', '{"Ann": 1', 'Oslo'), ('bob', 'bob@example.org', '{}', 'Kyiv'),
    (E'line\\nbreak', '=1+1', 'nil', 'Rome');
create table visit (id int primary key, person text); insert into visit values (1, 'bob'), (2, 'ann, "a"'), (3, 'nobody');
"""
TARGET = """
create table person (id uuid primary key, mail varchar(10), born jsonb);
create table visit (id uuid primary key, person_id uuid not null references person);
"""
MAPPING = """
person: {from: person, columns: {mail: mail, born: {from: born, convert: jsonb}}}
visit: {from: visit, references: {person_id: {to: person, path: person}}}
"""


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    made = make_project(SOURCE, TARGET)
    made.write(MAPPING)
    made.foreseen_run()
    return made


def cleaning_list(project: Project, *, show_values: bool = False) -> list[dict[str, str]]:
    text = io.StringIO()
    project.migration.cleaning_list(text.write, show_values=show_values)
    return list(csv.DictReader(io.StringIO(text.getvalue(), newline="")))


def test_one_line_for_each_quarantined_row(project: Project) -> None:
    rows = cleaning_list(project)
    assert {(r["entity"], r["key"]): r["cause"] for r in rows} == {
        ("person", 'ann, "a"'): "malformed_json",
        ("person", "bob"): "too_long",
        ("person", "line\nbreak"): "malformed_json",
        ("visit", "1"): "parent_quarantined",
        ("visit", "2"): "parent_quarantined",
        ("visit", "3"): "dangling_reference",
    }
    ann = next(r for r in rows if r["key"].startswith("ann"))
    assert (ann["column"], ann["evidence"], ann["other_defects"]) == ("born", "truncated", "too_long at mail")
    assert ann["remedies"].split() == ["repair_json", "set_null", "set_value", "archive", "accept"]
    victim = next(r for r in rows if r["entity"] == "visit" and r["key"] == "1")
    assert (victim["root_entity"], victim["root_key"]) == ("person", "bob")
    assert victim["remedies"].split() == ["follow_parent", "link_parent", "archive", "accept"]


def test_values_are_there_only_where_they_were_asked_for(project: Project) -> None:
    assert "value" not in cleaning_list(project)[0]
    values = {r["key"]: r["value"] for r in cleaning_list(project, show_values=True)}
    assert values['ann, "a"'] == '{"Ann": 1'
    assert values["3"] == "nobody"


def test_a_report_masks_samples(project: Project) -> None:
    plain = project.migration.report()
    shown = str(plain.as_json()) + repr(plain)
    for secret in ("example.org", "Ann", "nobody", "bob"):
        assert secret not in shown
    samples = {s.value for c in plain.causes for s in c.samples}
    assert '{"Xxx": 9' in samples
    open_ = project.migration.report(show_values=True)
    assert '{"Ann": 1' in {s.value for c in open_.causes for s in c.samples}
    assert "Ann" not in repr(open_)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("", ""),
        ("Ann-3", "Xxx-9"),
        ("Ωμέγα 12", "Xxxxx 99"),
        ("x" * 61, "x" * 60 + "… (61 characters)"),
        ("_{'}", "_{'}"),
    ],
)
def test_a_mask_keeps_the_shape(text: str, shape: str) -> None:
    assert mask(text) == shape
