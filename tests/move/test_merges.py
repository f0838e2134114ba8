# ruff: noqa: E501
"""Rows for which another row stands: several of one table, and those of another source."""

from __future__ import annotations

from contextlib import suppress

import pytest
from conftest import MakeProject, Project, uid

from rowcall.errors import MappingError, RepairRefused, UsageError
from rowcall.repair import Request

SOURCE = """
create table account (id int primary key, email text, name text, gone boolean not null default false);
insert into account (id, email, name) values (1, 'ann@x', 'Ann'), (2, 'ben@x', 'Ben'), (3, 'ANN@x', null), (4, null, 'Nil'), (5, 'eve@x', null), (6, 'Eve@x', 'Eve'), (8, 'Old@x', 'Older');
insert into account values (7, 'old@x', 'Old', true);
create table patient (id int primary key, mail text, name text);
insert into patient values (1, 'ben@X', null), (2, 'pat@x', 'Pat'), (3, 'EVE@x', 'Eve'), (4, null, 'Kim'), (5, 'ann@x', 'Ann B.'), (6, 'none@x', null);
create table visit (id int primary key, account_id int, patient_id int);
insert into visit select g, case when g <= 8 then g end, case when g > 8 then g - 8 end from generate_series(1, 14) g;
"""
TARGET = """
create table person (id uuid primary key, email text, name text not null);
create table visit (id uuid primary key, account_id uuid references person, patient_id uuid references person);
"""
VIEWS = """views:
  same: select id, first_value(id) over (partition by lower(email) order by id) as stays from account where email is not null
  mails: select lower(email) as mail, min(id) as account_id from account group by 1
  patient_mails: select id as patient_id, lower(mail) as mail from patient
"""
ACCOUNTS = """
accounts:
  from: account
  to: person
  merge: {to: accounts, path: 'id -> same.id, stays -> account.id'}
  where: {there: not gone}
  columns: {email: email, name: name}
"""
PATIENTS = """
patients:
  from: patient
  to: person
  merge: {to: accounts, path: 'id -> patient_mails.patient_id, mail -> mails.mail, account_id -> account.id'}
  columns: {email: mail, name: name}
"""
VISITS = """
visit: {from: visit, references: {account_id: {to: accounts, path: account_id}, patient_id: {to: patients, path: patient_id}}}
"""
FATES = {
    "accounts": {"1": "migrated", "2": "migrated", "3": "merged", "4": "migrated", "5": "null_in_required", "6": "parent_quarantined", "7": "there", "8": "parent_excluded"},
    "patients": {"1": "merged", "2": "migrated", "3": "parent_quarantined", "4": "migrated", "5": "merged", "6": "null_in_required"},
}  # fmt: skip


@pytest.fixture
def made(make_project: MakeProject) -> Project:
    project = make_project(SOURCE, TARGET)
    project.write(ACCOUNTS + PATIENTS + VISITS, VIEWS)
    return project


def links(made: Project) -> dict[str, str | None]:
    """Visit -> the person that it names."""
    lines = made.target.rows(
        "select target_id::text, entity || ' ' || source_key from rowcall.settlements where target_id is not null"
    )
    known = dict(lines)
    both = (made.values("visit", c) for c in ("account_id", "patient_id"))
    return {k: known.get(v or w or "") for (k, v), (_, w) in zip(*(b.items() for b in both), strict=True)}


LINKS = {"1": "accounts 1", "2": "accounts 2", "3": "accounts 1", "4": "accounts 4", "9": "accounts 2", "10": "patients 2", "12": "patients 4", "13": "accounts 1"}  # fmt: skip


def test_merged_rows_are_settled_as_such_and_references_lead_to_the_row_that_stays(made: Project) -> None:
    made.foreseen_run()
    assert {name: made.fates(name) for name in FATES} == FATES
    assert links(made) == LINKS
    visits = made.fates("visit")
    assert {k for k, fate in visits.items() if fate == "migrated"} == LINKS.keys()
    assert visits["7"] == "parent_excluded"
    assert {visits[k] for k in ("5", "6", "8", "11", "14")} == {"parent_quarantined"}
    book = made.target.rows(
        "select entity_type, legacy_id, entity_uuid from rowcall.migration_mappings where entity_type <> 'visit'"
    )
    told = {(e, k): str(u) for e, k, u in book}
    assert len(told) == len(book)
    assert told["accounts", "3"] == told["patients", "5"] == str(uid("accounts", 1))
    assert told["patients", "1"] == str(uid("accounts", 2))
    assert len(told) == 8
    assert made.migration.verify().ok
    roots = made.target.rows(
        "select source_key, root_entity, root_key from rowcall.quarantine where source_key in ('3', '6', '11', '14') order by entity, 1"
    )
    assert [tuple(r) for r in roots] == [
        ("6", "accounts", "5"), ("3", "accounts", "5"), ("6", "patients", "6"), ("11", "accounts", "5"), ("14", "patients", "6"), ("6", "accounts", "5"),
    ]  # fmt: skip
    kinds = {(c.entity, c.code): c.proof.kind for c in made.migration.causes() if c.proof}
    assert {"query"} == set(kinds.values()), kinds
    assert ("accounts", "parent_quarantined") in kinds


def test_the_story_of_a_merged_row_and_what_verification_finds(made: Project) -> None:
    made.run()
    story = made.migration.explain("accounts", "3")
    assert (story.outcome, story.cause) == ("excluded", "merged")
    assert story.merged == ("accounts", "1", str(uid("accounts", 1)))
    visit = made.migration.explain("visit", "13")
    assert [(f.outcome, f.target_id) for f in visit.parents] == [("merged", str(uid("accounts", 1)))]
    made.target.execute("create table kept as table rowcall.merged_row")
    for damage in ("delete from rowcall.merged_row", "update rowcall.merged_row set into_key = '2'"):
        made.target.execute(f"{damage} where source_key = '5'")
        assert not made.migration.verify().ok
        made.target.execute("delete from rowcall.merged_row; insert into rowcall.merged_row table kept")
    assert made.migration.verify().ok


def test_what_is_merged_needs_nothing_of_its_own(made: Project) -> None:
    """Neither a value that the target requires, nor one that must be unique."""
    made.target.execute("create unique index on person (lower(email)); alter table person add unique (name)")
    made.source.execute("update account set name = 'Ann' where id = 3; update patient set name = 'Ben' where id = 1")
    made.foreseen_run()
    assert {name: made.fates(name) for name in FATES} == FATES


def test_a_row_is_not_merged_into_one_that_is_merged_itself(make_project: MakeProject) -> None:
    made = make_project(SOURCE, TARGET)
    made.source.execute("alter table account add same_as int; update account set same_as = id - 1 where id in (2, 3)")
    made.write(
        "accounts: {from: account, to: person, merge: {to: accounts, path: same_as}, columns: {email: email, name: name}}"
    )
    for command in (made.check, made.run):
        with pytest.raises(
            UsageError, match=r"rowcall.yaml:\d+:\d+: accounts 3 is merged into accounts 2, which is merged itself"
        ):
            command()
    assert not made.target.value("select count(*) from person")


def test_entities_may_be_merged_one_into_another_into_a_third(make_project: MakeProject) -> None:
    made = make_project(SOURCE, TARGET)
    made.source.execute(
        "create table guest (id int primary key, patient_id int); insert into guest values (1, 5), (2, 2), (3, null), (4, 3)"
    )
    made.source.execute(
        "alter table visit add guest_id int; insert into visit (id, guest_id) select 20 + g, g from generate_series(1, 4) g"
    )
    made.target.execute("alter table visit add guest_id uuid references person")
    guests = "\nguests: {from: guest, to: person, merge: {to: patients, path: patient_id}, columns: {name: {value: guest}}}\n"
    made.write(
        ACCOUNTS
        + PATIENTS
        + guests
        + VISITS.replace("path: patient_id}", "path: patient_id}, guest_id: {to: guests, path: guest_id}"),
        VIEWS,
    )
    made.foreseen_run()
    assert made.fates("guests") == {"1": "merged", "2": "merged", "3": "migrated", "4": "parent_quarantined"}
    got = made.values("visit", "guest_id")
    assert [got.get(str(k)) for k in (21, 22, 23, 24)] == [
        str(uid("accounts", 1)),
        str(uid("patients", 2)),
        str(uid("guests", 3)),
        None,
    ]
    assert made.migration.verify().ok


def test_several_ways_to_merged_rows_mean_one(make_project: MakeProject) -> None:
    made = make_project(SOURCE, TARGET)
    made.source.execute(
        "create table tie (id int primary key, visit_id int, account_id int); insert into tie values (1, 1, 1), (2, 1, 3), (3, 2, 1), (4, 2, 2)"
    )
    made.write(
        ACCOUNTS
        + "\nvisit: {from: visit, references: {account_id: {to: accounts, path: 'id -> tie.visit_id, account_id -> account.id', missing: [dangling_reference]}}}",
        VIEWS,
    )
    made.foreseen_run()
    assert made.values("visit", "account_id")["1"] == str(uid("accounts", 1))
    assert made.fates("visit")["2"] == "ambiguous_reference"
    assert made.migration.verify().ok


def test_once_the_row_that_stays_is_healed_the_others_are_merged(made: Project) -> None:
    made.run()
    repair = made.migration.healing.apply(
        Request("accounts", "null_in_required", "set_value", {"value": "Eve"}, reason="asked")
    )
    assert made.fates("accounts")["5"] == "migrated"
    made.run(retry=True)
    assert (made.fates("accounts")["6"], made.fates("patients")["3"]) == ("merged", "merged")
    assert links(made) == LINKS | {"5": "accounts 5", "6": "accounts 5", "11": "accounts 5"}
    assert made.migration.verify().ok
    with pytest.raises(RepairRefused, match="merged"):
        made.migration.healing.undo(repair.repair or 0)
    made.migration.undo()
    assert not made.target.value("select count(*) from person")


def test_merged_rows_follow_the_row_that_stays(made: Project) -> None:
    made.run()
    healing = made.migration.healing
    healed = healing.apply(Request("accounts", "null_in_required", "set_value", {"value": "Eve"}))
    followed = [
        healing.apply(Request(entity, "parent_quarantined", "follow_parent"))
        for entity in ("accounts", "patients", "visit")
    ]
    assert (made.fates("accounts")["6"], made.fates("patients")["3"]) == ("merged", "merged")
    assert links(made) == LINKS | {"5": "accounts 5", "6": "accounts 5", "11": "accounts 5"}
    assert made.migration.verify().ok
    for effect in (*reversed(followed), healed):
        healing.undo(effect.repair or 0)
    assert (made.fates("accounts")["6"], made.fates("patients")["3"]) == ("parent_quarantined", "parent_quarantined")
    assert links(made) == LINKS


@pytest.mark.parametrize(
    ("change", "sixth"),
    [
        ("update account set email = 'ann@x' where id = 6", "merged"),
        ("update account set name = 'E' where id = 5", "merged"),
        ("delete from account where id = 5", "migrated"),
    ],
    ids=["merged into another", "its defect is mended", "it stays itself"],
)
def test_undo_leaves_alone_what_is_merged_without_the_repair(made: Project, change: str, sixth: str) -> None:
    made.run()
    request = Request("accounts", "null_in_required", "set_value", {"value": "Eve"}, reason="asked", follow=True)
    repair = made.migration.healing.apply(request)
    made.source.execute(change)
    made.run()
    fates = made.fates("accounts"), made.fates("patients")
    assert (fates[0]["6"], fates[1]["3"]) == (sixth, "merged")
    with suppress(RepairRefused):
        made.migration.healing.undo(repair.repair or 0)
    assert made.migration.verify().ok


MOVES: dict[str, tuple[str, dict[tuple[str, str], str], dict[str, str]]] = {
    "merged anew": ("update account set email = 'ann@X' where id = 2", {("accounts", "2"): "merged", ("patients", "1"): "null_in_required"}, {"2": "accounts 1", "9": ""}),
    "parted": ("update account set email = 'new@x', name = 'New' where id = 3", {("accounts", "3"): "migrated"}, {"3": "accounts 3"}),
    "another stays": ("update patient set mail = 'ben@x' where id = 5", {}, {"13": "accounts 2"}),
    "healed": ("update account set name = 'E' where id = 5", {("accounts", "5"): "migrated", ("accounts", "6"): "merged", ("patients", "3"): "merged"}, {"5": "accounts 5", "6": "accounts 5", "11": "accounts 5"}),
    "broken": ("update account set name = null where id = 2", {("accounts", "2"): "null_in_required", ("patients", "1"): "parent_quarantined"}, {"2": "", "9": ""}),
    "the row that stays is gone": ("delete from account where id = 2", {("patients", "1"): "null_in_required"}, {"2": "", "9": ""}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("move", "ids"),
    [
        *((move, "uuid5") for move in MOVES if move not in ("parted", "healed")),
        ("parted", "uuid4"),
        ("healed", "uuid4"),
    ],
)
def test_a_later_run_merges_and_parts(made: Project, move: str, ids: str) -> None:
    made.write(
        (ACCOUNTS + PATIENTS + VISITS).replace("to: person\n", f"to: person\n  deleted: delete\n  ids: {ids}\n"), VIEWS
    )
    made.run()
    change, fates, moved = MOVES[move]
    made.source.execute(change)
    made.run()
    expected = {(e, k): f for e, all_ in FATES.items() for k, f in all_.items()} | fates
    found = {(e, k): f for e in FATES for k, f in made.fates(e).items()}
    assert {k: f for k, f in expected.items() if k in found} == found
    assert links(made) == {k: v for k, v in (LINKS | moved).items() if v}
    assert made.migration.verify().ok
    before = made.target.rows("select * from rowcall.merged order by entity, source_key")
    made.run()
    assert made.target.rows("select * from rowcall.merged order by entity, source_key") == before


def test_a_row_that_a_rule_excludes_is_not_merged_too(made: Project) -> None:
    """Though its way finds another row: neither is what leads to it."""
    made.source.execute(
        "update account set gone = true where id = 3; insert into patient values (9, null, 'x'); insert into visit values (30, 3, null)"
    )
    made.foreseen_run()
    assert (made.fates("accounts")["3"], made.fates("visit")["30"]) == ("there", "parent_excluded")
    made.source.execute("insert into visit values (31, 1, null)")
    made.run()
    assert made.fates("visit")["30"] == "parent_excluded"
    assert made.migration.verify().ok


def test_what_a_repair_freed_stays_merged_and_can_be_taken_back(made: Project) -> None:
    made.run()
    request = Request("accounts", "null_in_required", "set_value", {"value": "Eve"}, reason="asked", follow=True)
    repair = made.migration.healing.apply(request)
    healed = LINKS | {"5": "accounts 5", "6": "accounts 5", "11": "accounts 5"}
    assert (made.fates("accounts")["6"], made.fates("patients")["3"], links(made)) == ("merged", "merged", healed)
    assert made.target.value("select count(*) from rowcall.quarantine where disposition = 'repaired'") == 6
    made.source.execute("insert into visit values (31, 1, null)")
    made.run()
    assert (made.fates("patients")["3"], links(made)) == ("merged", healed | {"31": "accounts 1"})
    assert made.migration.verify().ok
    made.migration.healing.undo(repair.repair or 0)
    assert (made.fates("accounts")["6"], made.fates("patients")["3"]) == ("parent_quarantined", "parent_quarantined")
    assert links(made) == LINKS | {"31": "accounts 1"}
    assert made.migration.verify().ok
    assert {p.held for p in made.prove().values()} == {True}


def test_a_planned_repair_is_foreseen_with_what_it_merges(made: Project) -> None:
    made.write(
        ACCOUNTS + PATIENTS + VISITS,
        VIEWS
        + "repairs:\n  - {cause: accounts/null_in_required, remedy: set_value, set: {value: Eve}, follow: true, reason: x}",
    )
    made.check()
    result = made.run()
    assert result.forecast_matched
    assert links(made) == LINKS | {"5": "accounts 5", "6": "accounts 5", "11": "accounts 5"}


def test_what_the_target_refuses_later_keeps_back_those_for_which_it_stands(make_project: MakeProject) -> None:
    """In a circle, whose writing may begin again; and the accounts are whole."""
    made = make_project(
        "create table usr (id int primary key, mail text, boss int); insert into usr values (1, 'a', null), (2, 'a', 4), (3, 'a', 4), (4, 'b', 2), (5, 'b', null)",
        "create table person (id uuid primary key, mail text unique, boss uuid references person)",
    )
    made.write(
        "users: {from: usr, to: person, merge: {to: users, path: 'id -> same.id, stays -> usr.id'}, columns: {mail: mail}, references: {boss: {to: users, path: boss}}}",
        "views: {same: 'select id, first_value(id) over (partition by mail order by id) as stays from usr'}",
    )
    made.run()
    made.source.execute("delete from usr where id = 1")
    made.run()  # 2 would stand now, and its mail is that of the row of 1, which is kept
    assert {made.fates("users")[k] for k in "23"} <= {"refused_by_target", "duplicate_key", "parent_quarantined"}
    assert (
        made.target.value(
            "select count(*) from rowcall.settlements s where cause = 'merged' and not exists (select from rowcall.merged m where m.source_key = s.source_key and m.target_id is not null)"
        )
        == 0
    )
    assert made.migration.verify().ok


MISTAKES = [
    ("accounts: {from: account, to: person, merge: {to: accounts}, columns: {name: name}}", "`path` is missing"),
    ("accounts: {from: account, to: person, merge: {to: person, path: id}, columns: {name: name}}", "there is no entity 'person'"),
    ("accounts: {from: account, to: person, merge: {to: visit, path: id}, columns: {name: name}}\nvisit: {from: visit}", "visit fills another table"),
    ("accounts: {from: account, to: person, where: {merged: gone}, merge: {to: accounts, path: id}, columns: {name: name}}", "'merged' names the rows"),
    ("accounts: {from: {base: account, query: select * from account, absent: merged}, to: person, merge: {to: accounts, path: id}, columns: {name: name}}", "'merged' names the rows"),
    ("accounts: {from: account, to: person, merge: {to: accounts, path: id, missing: null}, columns: {name: name}}", "there is no key 'missing' here"),
    ("accounts: {from: account, to: person, merge: {to: accounts, path: id}, columns: {name: name}, references: {id: {to: accounts, path: id}}}", "that of a parent"),
]  # fmt: skip


def test_mistakes_are_told(make_project: MakeProject) -> None:
    made = make_project(SOURCE, TARGET)
    for entities, wrong in MISTAKES:
        made.write(entities)
        with pytest.raises(MappingError, match=wrong):
            made.check()


def test_ways_to_rows_that_are_one_mean_one_whatever_becomes_of_it(made: Project) -> None:
    """The target refuses the account that would stand; a patient leads to it and to its twin, and so does a visit."""
    made.target.execute("alter table person add check (name <> 'Ann')")
    made.source.execute("create table tie (patient_id int, account_id int); insert into tie values (5, 1), (5, 3)")
    made.source.execute("create table way (visit_id int, account_id int); insert into way values (4, 3), (4, 1)")
    merge = "merge: {to: accounts, path: 'id -> tie.patient_id, account_id -> account.id'}"
    patients = PATIENTS.replace(PATIENTS[PATIENTS.index("merge:") : PATIENTS.index("\n  columns")], merge)
    visits = "\nvisit: {from: visit, references: {account_id: {to: accounts, path: 'id -> way.visit_id, account_id -> account.id', missing: [dangling_reference]}}}"
    made.write(ACCOUNTS + patients + visits, VIEWS)
    made.foreseen_run(matched=False)
    assert (made.fates("accounts")["1"], made.fates("accounts")["3"]) == ("refused_by_target", "parent_quarantined")
    assert (made.fates("patients")["5"], made.fates("visit")["4"]) == ("parent_quarantined", "parent_quarantined")
    assert made.migration.verify().ok


def test_entities_are_not_merged_in_a_circle(made: Project) -> None:
    made.write(
        ACCOUNTS.replace("{to: accounts, path: 'id -> same.id, stays -> account.id'}", "{to: patients, path: id}")
        + PATIENTS,
        VIEWS,
    )
    with pytest.raises(
        MappingError,
        match="accounts into patients into accounts: rows that are merged in a circle have none that stays",
    ):
        made.check()
