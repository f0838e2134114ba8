# ruff: noqa: E501
"""Unique keys of the target, judged over the whole entity and the rows that are already there: the lowest source key stays."""

from __future__ import annotations

import pytest
from conftest import MakeProject, Project


def people(make_project: MakeProject, target: str, before: str = "", **more: str) -> Project:
    """Fifty people: emails of 41 to 45 are those of 1 to 5 in capitals, 46 to 48 have 7's, 49 and 50 have none."""
    project = make_project(
        """create table person (id int primary key, email text, first text, last text, number text);
           insert into person select g, 'e' || g || '@x', 'f' || g % 25, 'l' || g % 2, g::text from generate_series(1, 50) g;
           update person set email = 'E' || id - 40 || '@X' where id between 41 and 45;
           update person set email = 'e7@x' where id between 46 and 48;
           update person set email = null where id > 48""",
        f"{target}; {before}",
    )
    project.write(
        "person: {from: person, columns: {email: {sql: lower(email)}, first: first, last: last, number: {from: number, convert: int}}}"
    )
    return project


def duplicates(project: Project) -> set[str]:
    return {key for key, fate in project.fates("person").items() if fate == "duplicate_key"}


TABLE = "create table person (id uuid primary key, email text, first text, last text, number int, {})"


def test_the_lowest_key_stays_whatever_the_chunks(make_project: MakeProject, small_chunks: None) -> None:
    project = people(make_project, TABLE.format("unique (email)"))
    project.foreseen_run()
    assert duplicates(project) == {"41", "42", "43", "44", "45", "46", "47", "48"}
    assert set(project.evidence("person").values()) == {"email"}


def test_nulls_are_equal_only_where_the_key_says_so(make_project: MakeProject, small_chunks: None) -> None:
    project = people(make_project, TABLE.format("unique nulls not distinct (email)"))
    project.foreseen_run()
    assert duplicates(project) == {"41", "42", "43", "44", "45", "46", "47", "48", "50"}


def test_composite_and_several_keys(make_project: MakeProject, small_chunks: None) -> None:
    project = people(make_project, TABLE.format("unique (first, last), unique (email), unique (number)"))
    project.foreseen_run()
    # 26 to 50 have the first name of 1 to 25 and another last name, for 25 is odd.
    assert duplicates(project) == {"41", "42", "43", "44", "45", "46", "47", "48"}


def test_a_key_over_mapped_values(make_project: MakeProject) -> None:
    project = people(make_project, TABLE.format("unique (first)"))
    project.foreseen_run()
    assert duplicates(project) == {str(n) for n in range(26, 51)}


def test_rows_of_the_target_come_first(make_project: MakeProject, small_chunks: None) -> None:
    before = (
        "insert into person (id, email, number) values (gen_random_uuid(), 'e9@x', 10), (gen_random_uuid(), null, null)"
    )
    project = people(make_project, TABLE.format("unique (email), unique (number)"), before)
    project.foreseen_run()
    assert duplicates(project) == {"9", "10", "41", "42", "43", "44", "45", "46", "47", "48"}
    assert project.evidence("person")["10"] == "number"
    assert project.target.value("select count(*) from person") == 42
    assert project.migration.undo() == {"person": 40}
    assert project.target.value("select string_agg(email, ',') from person") == "e9@x"


def test_a_uuid_that_is_already_there(make_project: MakeProject) -> None:
    from conftest import uid

    project = people(
        make_project, TABLE.format("unique (email)"), f"insert into person (id) values ('{uid('person', 3)}')"
    )
    project.foreseen_run()
    assert project.fates("person")["3"] == "duplicate_key"
    project.migration.undo()
    assert project.target.value("select count(*) from person") == 1


def test_a_row_with_another_defect_does_not_use_up_its_value(make_project: MakeProject, small_chunks: None) -> None:
    project = people(make_project, TABLE.format("unique (email)"))
    project.source.execute("update person set number = 'seven' where id = 7")
    project.foreseen_run()
    assert project.fates("person")["7"] == "not_convertible"
    assert "46" not in duplicates(project)
    assert {"47", "48"} <= duplicates(project)


@pytest.mark.parametrize("collation", ["", 'collate "C"'])
def test_equal_means_equal_to_the_target(make_project: MakeProject, collation: str) -> None:
    """Numbers are equal whatever their form; texts differ by trailing blanks and by composition of letters."""
    project = make_project(
        """create table v (id int primary key, n text, t text);
           insert into v values (1, '1.0', 'a'), (2, '1.00', 'a '), (3, '1', 'é'), (4, '2', E'e\\u0301'), (5, '-0', 'A'), (6, '0', 'b')""",
        f"create table v (id uuid primary key, n numeric unique, t text {collation} unique)",
    )
    project.write("v: {from: v, columns: {n: {from: n, convert: numeric}, t: t}}")
    result = project.foreseen_run(matched=True)
    assert result.complete
    assert {k for k, fate in project.fates("v").items() if fate != "migrated"} == {"2", "3", "6"}


def test_values_that_are_equal_in_other_bytes(make_project: MakeProject) -> None:
    project = make_project(
        """create table v (id int primary key, f float8, p bpchar(5), i interval, z timetz);
           insert into v values (1, '-0', 'a', '1 mon', '12:00+00'), (2, '0', 'b', '30 days', '13:00+01'), (3, 'NaN', 'c', '1 day', '14:00+00'),
             (4, '1', 'd', '24:00:00', '15:00+00')""",
        "create table v (id uuid primary key, f float8 unique, p bpchar(5) unique, i interval unique, z timetz unique)",
    )
    project.write("v: {from: v, columns: {f: f, p: p, i: i, z: z}}")
    project.check()
    assert project.run().complete
    fates = project.fates("v")
    assert (fates["1"], fates["2"]) == ("migrated", "duplicate_key")
    # The last resort is the target's own index: an interval's equality is not that of its parts.
    assert {fates["3"], fates["4"]} == {"migrated", "refused_by_target"}


def test_a_value_stays_with_the_lowest_row_that_stays_itself(make_project: MakeProject, small_chunks: None) -> None:
    """Row 2 loses `a` to row 1, so that it cannot keep `b` from row 3."""
    project = make_project(
        "create table v (id int primary key, a int, b int); insert into v values (1, 1, 1), (2, 1, 2), (3, 3, 2), (4, 4, 2),"
        "(5, 3, 5), (6, 6, 5)",
        "create table v (id uuid primary key, a int unique, b int unique)",
    )
    project.write("v: {from: v, columns: {a: a, b: b}}")
    project.foreseen_run()
    fates = {key: fate for key, fate in project.fates("v").items() if fate != "migrated"}
    assert fates == {"2": "duplicate_key", "4": "duplicate_key", "5": "duplicate_key"}


def test_a_unique_index_that_is_not_foreseen_is_told(make_project: MakeProject) -> None:
    project = make_project(
        "create table person (id int primary key, mail text); insert into person values (1, 'a@x'), (2, 'A@x')",
        "create table person (id uuid primary key, mail text); create unique index low on person (lower(mail));"
        "create unique index part on person (mail) where mail <> ''; create unique index plain on person (mail)",
    )
    project.write("person: {from: person, columns: {mail: mail}}")
    told = [note for note in project.check().notes if "unique index" in note]
    assert told == [
        "public.person: the unique index low is over expressions; its duplicates are not foreseen, either",
        "public.person: the unique index part is over some rows alone; its duplicates are not foreseen, either",
    ]
    assert project.run().complete
    assert project.fates("person") == {"1": "migrated", "2": "refused_by_target"}
