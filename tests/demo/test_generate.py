"""The demo's database: its figures, its answer sheet against an independent count, and that chance repeats itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from rowcall.demo import ENTITIES, facts, generate
from rowcall.demo.generate import Keys
from rowcall.errors import UsageError
from rowcall.postgres.connect import Session

from .conftest import NewDatabase

ORACLE = Path(__file__).with_name("oracle.sql").read_text("utf-8")
CAUSES = {
    "orders": {"dangling_reference": 5},
    "cases": {"parent_quarantined": 5},
    "case_messages": {"dangling_reference": 41, "parent_quarantined": 16, "cyclic_path": 6},
    "case_states": {"dangling_reference": 156, "after_cutoff": 41, "null_reference": 10, "sentinel_reference": 15},
    "case_files": {"parent_quarantined": 1, "ambiguous_reference": 1},
    "system_messages": {"null_in_required": 312, "malformed_json": 1164, "unstorable_text": 104},
}
ROWS = {
    "django_content_type": 51,
    "dispatch_record": 16165,
    "dispatch_case_state": 5464,
    "dispatch_file": 160420,
    "dispatch_operation": 3720,
    "dispatch_role_permission": 1346,
    "dispatch_purchase": 3701,
    "dispatch_message_attachment": 8703,
    "dispatch_notification": 79000,
}


def made(session: Session, scale: str, seed: int) -> Keys:
    with session.transaction():
        return generate(session, scale, seed)


def recomputed(session: Session) -> Keys:
    sheet: Keys = {entity: {} for entity in ENTITIES}
    for entity, cause, keys in session.rows(ORACLE):
        sheet[entity][cause] = keys
    return sheet


def counts(sheet: Keys) -> dict[str, dict[str, int]]:
    return {entity: {cause: len(keys) for cause, keys in causes.items()} for entity, causes in sheet.items() if causes}


def tables(session: Session) -> list[str]:
    query = "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1"
    return [name for (name,) in session.rows(query)]


def contents(session: Session) -> dict[str, str]:
    """A hash of each table's rows."""
    hashed = "select md5(string_agg(t::text, chr(10) order by t::text)) from {} as t"
    return {table: session.value(hashed.format(table)) for table in tables(session)}


@pytest.fixture(scope="module")
def seed_scale(new_database: NewDatabase) -> tuple[Session, Keys]:
    session = new_database("legacy")
    return session, made(session, "seed", 42)


def test_the_default_seed_has_the_figures_of_the_contract(seed_scale: tuple[Session, Keys]) -> None:
    session, sheet = seed_scale
    assert counts(sheet) == CAUSES
    assert {table: session.value(f"select count(*) from {table}") for table in ROWS} == ROWS
    assert recomputed(session) == sheet


def test_what_was_planted_for_the_remedies(seed_scale: tuple[Session, Keys]) -> None:
    session, sheet = seed_scale
    told = facts(session)
    recoverable = told["recoverable"]["case_messages"]
    assert len(recoverable["link_parent"]) == 32
    assert recoverable["follow_parent"] == sheet["case_messages"]["parent_quarantined"]
    named = session.rows(
        "select r.id from dispatch_record as r join dispatch_plan as p on p.id = r.object_id"
        " join dispatch_case as c on c.is_general and c.patient_id = p.patient_id where r.id = any(%s) order by 1",
        [sheet["case_messages"]["dangling_reference"] + sheet["case_messages"]["cyclic_path"]],
    )
    assert [key for (key,) in named] == recoverable["link_parent"]
    assert len(told["excluded"]["profiles"]["not_a_test_account"]) == 7
    evidence = told["evidence"]["case_states"]
    assert sorted([*evidence["never_existed"], *evidence["was_deleted"]]) == sheet["case_states"]["dangling_reference"]


def test_the_two_files_of_the_report(seed_scale: tuple[Session, Keys]) -> None:
    session, sheet = seed_scale
    query = "select id from dispatch_file where filename = %s"
    lost, torn = "136062118_shell_occlusion_l.stl.stl", "treatment_auxiliary_002.stl"
    assert session.rows(query, [lost]) == [(sheet["case_files"]["parent_quarantined"][0],)]
    assert session.rows(query, [torn]) == [(sheet["case_files"]["ambiguous_reference"][0],)]


def test_planted_rows_lie_scattered(seed_scale: tuple[Session, Keys]) -> None:
    session, sheet = seed_scale
    keys = sheet["case_states"]["dangling_reference"]
    last = session.value("select max(id) from dispatch_case_state")
    quarters = {key * 4 // (last + 1) for key in keys}
    assert quarters == {0, 1, 2, 3}


def test_no_foreign_key_and_every_sequence_ahead(seed_scale: tuple[Session, Keys]) -> None:
    session, _ = seed_scale
    assert session.value("select count(*) from pg_constraint where contype = 'f'") == 0
    for table in tables(session):
        sequence = session.value("select pg_get_serial_sequence(%s, 'id')", [table])
        given, used = (session.value(f"select max({c}) from {t}") for c, t in (("last_value", sequence), ("id", table)))
        assert given >= used, table


@pytest.mark.parametrize("seed", [42, 7, -3])
def test_small_has_every_cause_and_its_sheet_is_right(new_database: NewDatabase, seed: int) -> None:
    session = new_database("legacy")
    sheet = made(session, "small", seed)
    assert {entity: set(causes) for entity, causes in counts(sheet).items()} == {e: set(c) for e, c in CAUSES.items()}
    assert recomputed(session) == sheet


def test_the_same_seed_gives_the_same_rows_and_another_gives_others(new_database: NewDatabase) -> None:
    first, again, other = (new_database("legacy") for _ in range(3))
    sheet = made(first, "small", 7)
    assert made(again, "small", 7) == sheet
    assert contents(again) == contents(first)
    another = made(other, "small", 8)
    assert counts(another) != counts(sheet)
    here, there = contents(first), contents(other)
    assert [table for table in here if here[table] == there[table]] == ["auth_group", "django_content_type"]


@pytest.mark.parametrize(("scale", "seed"), [("huge", 42), ("small", 2**63)])
def test_a_wrong_choice_is_told(scale: str, seed: int) -> None:
    class Nobody:
        def execute(self, sql: str, /) -> object:
            raise AssertionError

        def rows(self, sql: str, /) -> list[tuple[object, ...]]:
            raise AssertionError

    with pytest.raises(UsageError):
        generate(Nobody(), scale, seed)
