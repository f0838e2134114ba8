"""Proofs: queries that a hand runs, too, and that tell when they are wrong; and what is checked where no query can tell."""

from __future__ import annotations

import pytest
from conftest import MakeProject, Project

from rowcall.errors import UsageError
from rowcall.explain import Cause

SOURCE = """
create table person (id int primary key, name text, born text);
insert into person select g, 'p' || g, '1990-01-' || lpad((g % 28 + 1)::text, 2, '0') from generate_series(1, 30) g;
update person set born = 'soon' where id in (4, 5);
update person set name = null where id = 5;
create table visit (id int primary key, person_id int, weight numeric);
insert into visit select g, g % 33, g from generate_series(1, 100) g;
"""
TARGET = """
create table person (id uuid primary key, name text not null, born date);
create table visit (id uuid primary key, person_id uuid not null references person, weight numeric(4,1) not null);
"""
MAPPING = """
person: {from: person, columns: {name: name, born: {from: born, convert: date}}}
visit: {from: visit, columns: {weight: weight}, references: {person_id: {to: person, path: person_id, sentinels: [0]}}}
"""


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    made = make_project(SOURCE, TARGET)
    made.write(MAPPING)
    made.foreseen_run()
    return made


def by_cause(causes: tuple[Cause, ...]) -> dict[tuple[str, str], Cause]:
    return {(c.entity, c.code): c for c in causes}


def test_a_proof_is_run_by_hand(project: Project) -> None:
    proofs = project.prove()
    assert set(proofs) == {
        ("person", "null_in_required"), ("person", "not_convertible"),
        ("visit", "dangling_reference"), ("visit", "sentinel_reference"), ("visit", "parent_quarantined"),
    }  # fmt: skip
    for (entity, code), proof in proofs.items():
        assert proof.kind == "query"
        keys = [key for (key,) in project.source.rows(proof.sql)]
        told = "select source_key from rowcall.settlements where entity = %s and cause = %s"
        assert sorted(keys) == sorted(key for (key,) in project.target.rows(told, [entity, code]))
        assert proof.rows == len(keys)


def test_a_run_notes_its_proofs_before_anybody_asks(project: Project) -> None:
    project.run(restart=True)
    kept = project.target.rows("select kind, held, asked_at from rowcall.proof")
    assert kept == [("query", None, None)] * 5
    assert all(c.proof and c.proof.held is None for c in project.migration.causes())


def test_a_source_that_changed_is_told(project: Project) -> None:
    project.source.execute("insert into visit values (1000, 777, 1); update visit set person_id = 1 where id = 4")
    found = by_cause(project.migration.prove())
    dangling, victims = found["visit", "dangling_reference"].proof, found["visit", "parent_quarantined"].proof
    assert dangling is not None
    assert (dangling.held, dangling.missing, dangling.surplus) == (False, 0, 1)
    assert victims is not None
    assert (victims.held, victims.missing, victims.surplus) == (False, 1, 0)
    assert any("transactions ran at the source since the run" in note for note in project.notes)
    assert project.run().exit_code == 3  # which takes up what changed
    project.prove()


def test_a_proof_that_is_known_not_to_hold_ends_a_run_with_5(project: Project) -> None:
    project.prove()
    project.target.execute("update rowcall.proof set held = false, missing = 1 where code = 'dangling_reference'")
    assert project.run().exit_code == 5
    project.prove()
    assert project.run().exit_code == 3


def test_the_proofs_of_one_entity_leave_the_others(project: Project) -> None:
    project.run(restart=True)
    assert {c.entity for c in project.migration.prove(entity="person")} == {"person"}
    sql = "select e.name, bool_and(held) from rowcall.proof p join rowcall.entity e on e.id = p.entity group by 1"
    asked = dict(project.target.rows(sql))
    assert asked == {"person": True, "visit": None}


def test_a_run_that_is_not_over_is_not_proven(project: Project) -> None:
    project.target.execute("update rowcall.run set state = 'interrupted', finished_at = null")
    with pytest.raises(UsageError, match="not complete"):
        project.migration.prove()
    assert all(c.proof and c.proof.sql for c in project.migration.causes())


def test_a_proof_does_not_grow_with_the_rows(make_project: MakeProject) -> None:
    sizes = []
    for rows in (10, 20_000):
        project = make_project(SOURCE, TARGET)
        project.source.execute(f"insert into visit select g, 5000 + g, 1 from generate_series(101, {rows + 100}) g")
        project.write(MAPPING)
        project.run()
        sizes.append({cause: len(proof.sql) for cause, proof in project.prove().items()})
    assert sizes[0] == sizes[1]
    assert max(sizes[0].values()) < 8_000


# -- what the source alone cannot tell ----------------------------------------------------------------------------------


def test_refused_rows_are_written_again_and_taken_back(make_project: MakeProject) -> None:
    project = make_project(SOURCE, TARGET.replace("born date", "born date, constraint grown check (name <> 'p7')"))
    project.write(MAPPING)
    project.foreseen_run(matched=False)
    before = project.state({"person": "id", "visit": "id"})
    proofs = project.prove()
    assert proofs["person", "refused_by_target"].kind == "checked"
    assert proofs["visit", "parent_quarantined"].kind == "checked"  # some of them hang on the refused one
    assert proofs["visit", "dangling_reference"].kind == "query"
    assert "only the target knows" in proofs["person", "refused_by_target"].sql
    assert project.state({"person": "id", "visit": "id"}) == before
    project.target.execute("alter table person drop constraint grown")
    refused = by_cause(project.migration.prove())["person", "refused_by_target"].proof
    assert refused is not None
    assert (refused.held, refused.rows, refused.missing) == (False, 0, 1)


def test_two_unique_keys_are_checked_by_the_judge(make_project: MakeProject) -> None:
    project = make_project(
        "create table item (id int primary key, a int, b int); insert into item values (1, 1, 1), (2, 1, 2), (3, 3, 2), (4, 4, 4)",
        "create table item (id uuid primary key, a int unique, b int unique)",
    )
    project.write("item: {from: item, columns: {a: a, b: b}}")
    project.foreseen_run()
    assert project.prove()["item", "duplicate_key"].kind == "checked"
    project.source.execute("update item set a = 9 where id = 2")
    proof = by_cause(project.migration.prove())["item", "duplicate_key"].proof
    assert proof is not None
    assert proof.held is False


def test_one_unique_key_is_a_query(make_project: MakeProject) -> None:
    """Also over a value that is converted: 1.0 and 1.00 are one, and rows that are no numbers do not count."""
    project = make_project(
        "create table item (id int primary key, a text); "
        "insert into item values (1, '1.0'), (2, '1.00'), (3, 'x'), (4, null), (5, null), (10, '1'), (9, '2')",
        "create table item (id uuid primary key, a numeric unique)",
    )
    project.write("item: {from: item, columns: {a: {from: a, convert: numeric}}}")
    project.foreseen_run()
    assert {key for key, fate in project.fates("item").items() if fate == "duplicate_key"} == {"2", "10"}
    assert project.prove()["item", "duplicate_key"].kind == "query"


def test_an_expression_that_fails_ends_the_query(make_project: MakeProject) -> None:
    project = make_project(
        "create table item (id int primary key, n int, t text); "
        "insert into item select g, g % 5, case when g = 7 then 'x' else '1' end from generate_series(1, 20) g",
        "create table item (id uuid primary key, n numeric, t int)",
    )
    project.write("item: {from: item, columns: {n: {sql: 1 / n}, t: {from: t, convert: int}}}")
    project.foreseen_run()
    assert {proof.kind for proof in project.prove().values()} == {"checked"}


def test_an_older_server_is_not_asked_for_values(make_project: MakeProject, postgres_15: str) -> None:
    project = make_project(SOURCE, TARGET, source_dsn=postgres_15)
    project.write(MAPPING)
    project.foreseen_run()
    kinds = {cause: proof.kind for cause, proof in project.prove().items()}
    assert kinds == {
        ("person", "null_in_required"): "query",
        ("person", "not_convertible"): "checked",
        ("visit", "dangling_reference"): "query",
        ("visit", "sentinel_reference"): "query",
        ("visit", "parent_quarantined"): "checked",
    }
