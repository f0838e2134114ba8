# ruff: noqa: E501
"""How ids are made: of the key, of a time, by chance, kept, or shared with a parent."""

from __future__ import annotations

from uuid import UUID

import pytest
from conftest import MakeProject, Project, uid

from rowcall.errors import MappingError, UsageError
from rowcall.repair import Request

SOURCE = """
create table person (id int primary key, ext uuid, code text, made timestamptz, boss_id int);
insert into person values
    (1, 'aaaaaaaa-0000-4000-8000-000000000001', 'AAAAAAAA-0000-4000-8000-000000000001', '2024-05-06 07:08:09.123456+00', null),
    (2, 'aaaaaaaa-0000-4000-8000-000000000002', 'no uuid', '2024-05-06 07:08:09.123456+00', 1),
    (3, null, null, null, 2), (4, 'aaaaaaaa-0000-4000-8000-000000000001', 'x', '1961-01-01', 3), (5, gen_random_uuid(), 'x', 'infinity', 3);
create table doctor (id int primary key, person_id int, title text);
insert into doctor values (1, 1, 'a'), (2, 2, 'b'), (3, 2, 'c'), (4, 99, 'd'), (5, null, 'e');
create table visit (id int primary key, doctor_id int);
insert into visit values (1, 1), (2, 2), (3, 4);
"""
TARGET = """
create table person (id uuid primary key, boss_id uuid references person);
create table doctor (id uuid primary key references person, title text);
create table visit (id uuid primary key, doctor_id uuid references doctor);
"""


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    return make_project(SOURCE, TARGET)


def ids(project: Project, table: str) -> dict[str, UUID]:
    rows = project.target.rows(
        "select source_key, target_id from rowcall.settlements where entity = %s and target_id is not null", [table]
    )
    found = dict(rows)
    assert set(found.values()) == {one for (one,) in project.target.rows(f"select id from {table}")}
    return found


def milliseconds(one: UUID) -> int:
    return one.int >> 80


@pytest.mark.parametrize("cyclic", [False, True])
def test_uuid7_sorts_by_a_time_and_is_the_same_again(project: Project, cyclic: bool) -> None:
    boss = ", references: {boss_id: {to: person, path: boss_id}}" if cyclic else ""
    project.write(f"person: {{from: person, ids: {{uuid7: made}}{boss}}}")
    project.foreseen_run()
    found = ids(project, "person")
    assert {one.version for one in found.values()} == {7}
    at = {key: milliseconds(one) for key, one in found.items()}
    assert at == {"1": 1714979289123, "2": 1714979289123, "3": 0, "4": 0, "5": 0}
    assert len(set(found.values())) == 5
    if cyclic:
        assert project.values("person", "boss_id")["2"] == str(found["1"])
    project.migration.undo()
    project.run()
    assert ids(project, "person") == found
    assert project.migration.verify().ok


@pytest.mark.parametrize("cyclic", [False, True])
def test_uuid4_is_known_to_the_crosswalk_alone(project: Project, cyclic: bool) -> None:
    boss = ", references: {boss_id: {to: person, path: boss_id}}" if cyclic else ""
    project.write(
        f"person: {{from: person, ids: uuid4{boss}}}\nvisit: {{from: visit, references: {{doctor_id: {{to: doctor, path: doctor_id, missing: [dangling_reference, parent_quarantined]}}}}}}\n"
        "doctor: {from: doctor, references: {id: {to: person, path: person_id}}}"
    )
    project.foreseen_run()
    found = ids(project, "person")
    assert {one.version for one in found.values()} == {4}
    assert ids(project, "doctor")["1"] == found["1"]
    assert not set(found.values()) & {uid("person", key) for key in found}
    assert project.migration.verify().ok


def test_a_kept_uuid_is_judged_as_any_value(project: Project) -> None:
    project.write(
        "person: {from: person, columns: {id: ext}, references: {boss_id: {to: person, path: boss_id, missing: [parent_quarantined]}}}"
    )
    project.foreseen_run()
    assert project.fates("person") == {
        "1": "migrated",
        "2": "migrated",
        "3": "null_in_required",
        "4": "duplicate_key",
        "5": "migrated",
    }
    assert str(ids(project, "person")["2"]) == "aaaaaaaa-0000-4000-8000-000000000002"
    assert project.migration.verify().ok


def test_a_uuid_that_is_a_text_is_converted(project: Project) -> None:
    project.write("person: {from: person, columns: {id: {from: code, convert: uuid}}}")
    project.foreseen_run()
    assert project.fates("person") == {
        "1": "migrated",
        "2": "not_convertible",
        "3": "null_in_required",
        "4": "not_convertible",
        "5": "not_convertible",
    }


def test_a_reference_hands_its_uuid_on(project: Project) -> None:
    """Inheritance, and 1:1: the row has the uuid of its parent, and none where there is none."""
    project.write(
        "person: {from: person, where: {known: id <> 1}}\n"
        "doctor: {from: doctor, columns: {title: title}, references: {id: {to: person, path: person_id}}}\n"
        "visit: {from: visit, references: {doctor_id: {to: doctor, path: doctor_id, missing: [parent_quarantined]}}}"
    )
    project.foreseen_run()
    assert project.fates("doctor") == {
        "1": "parent_excluded", "2": "migrated", "3": "duplicate_key", "4": "dangling_reference", "5": "null_reference",
    }  # fmt: skip
    assert ids(project, "doctor") == {"2": uid("person", 2)}
    assert project.values("visit", "doctor_id") == {"1": None, "2": str(uid("person", 2)), "3": None}
    assert project.migration.verify().ok


@pytest.mark.parametrize(
    ("entity", "told"),
    [
        ("ids: uuid6", "write uuid5 (the default), uuid4, or"),
        ("ids: {uuid7: code}", "code is text, not a time"),
        ("ids: {uuid7: maid}", "has no column 'maid'"),
        ("ids: uuid4, columns: {id: ext}", "`columns` says where id comes from, too"),
        ("columns: {id: {sql: gen_random_uuid()}}", "keeps a uuid of the source"),
        ("columns: {id: id}", "integer"),
    ],
)
def test_faults(project: Project, entity: str, told: str) -> None:
    project.write(f"person: {{from: person, {entity}}}")
    with pytest.raises(MappingError, match=r"rowcall\.yaml:8:") as error:
        project.check()
    assert told in str(error.value)


def test_rows_of_a_cycle_need_ids_that_are_known_before(project: Project) -> None:
    project.write(
        "person: {from: person, columns: {id: {from: code, convert: uuid}}, references: {boss_id: {to: person, path: boss_id}}}"
    )
    with pytest.raises(UsageError, match="is in a cycle of references"):
        project.check()


def test_a_repair_may_set_an_id(project: Project) -> None:
    project.write("person: {from: person, columns: {id: ext}, references: {boss_id: {to: person, path: boss_id}}}")
    project.run()
    given = "bbbbbbbb-0000-4000-8000-000000000001"
    request = Request("person", "null_in_required", "set_value", {"value": given}, "", follow=True)
    effect = project.migration.healing.apply(request)
    assert effect.home == {"person": 2}
    assert str(ids(project, "person")["3"]) == given
    assert project.values("person", "boss_id")["5"] == given
    assert project.migration.verify().ok
    project.migration.healing.undo(effect.repair or 0)


def test_an_id_is_never_null_whatever_its_column_allows(project: Project) -> None:
    project.target.execute("create table serial (n serial primary key, uid uuid unique)")
    project.write("serial: {from: person, id: uid, columns: {uid: ext}}")
    project.foreseen_run()
    assert project.fates("serial")["3"] == "null_in_required"
    project.write(
        "serial: {from: doctor, id: uid, references: {uid: {to: person, path: person_id, missing: null}}}\nperson: {from: person}"
    )
    with pytest.raises(MappingError, match="NOT NULL"):
        project.check()


def test_uuid4_is_another_one_after_undo(project: Project) -> None:
    project.write("person: {from: person, ids: uuid4}")
    migration = project.migration
    migration.run()
    first = ids(project, "person")
    migration.undo()
    migration.run()
    assert not set(first.values()) & set(ids(project, "person").values())
