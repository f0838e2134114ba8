# ruff: noqa: E501
"""References to rows that are in the target already, found by a column of theirs."""

from __future__ import annotations

import pytest
from conftest import MakeProject, Project, uid

from rowcall.errors import MappingError, SourceUnreadable
from rowcall.report.text import story_text

SOURCE = """
create table writer (id int primary key, mail text, code numeric);
insert into writer values (1, 'ann@x', 1.0), (2, 'ben@x', 2), (3, 'nobody@x', 9), (4, null, null), (5, 'two@x', 3);
create table note (id int primary key, writer_id int, mail text, nr int);
insert into note values (1, 1, 'ben@x', 1), (2, 2, null, 2), (3, 3, 'ANN@x', 7), (4, 4, 'none', null), (5, 99, 'ann@x', 1), (6, null, '', 3), (7, 5, 'two@x', 1);
"""
TARGET = """
create table profiles (id uuid primary key default gen_random_uuid(), email text, legacy_id int unique, code numeric);
insert into profiles (email, legacy_id, code) values ('ann@x', 1, 1), ('ben@x', 2, 2.00), ('two@x', 3, 3), ('two@x', 4, 4);
create table note (id uuid primary key, author uuid references profiles, owner uuid references profiles);
"""
ONE = "note: {from: note, references: {author: {to: profiles by email, path: 'writer_id -> writer.id, mail'}}}"


@pytest.fixture
def made(make_project: MakeProject) -> Project:
    return make_project(SOURCE, TARGET)


def authors(made: Project, column: str = "author") -> dict[str, str | None]:
    """Key -> the profile's number, or why there is none."""
    profiles = dict(made.target.rows("select id::text, legacy_id::text from profiles"))
    found = {key: value and profiles[value] for key, value in made.values("note", column).items()}
    return found | {key: fate for key, fate in made.fates("note").items() if fate != "migrated"}


def test_rows_of_the_target_are_found_by_a_column(made: Project) -> None:
    made.write(ONE)
    made.foreseen_run()
    assert authors(made) == {
        "1": "1", "2": "2", "3": "dangling_reference", "4": "null_reference", "5": "dangling_reference", "6": None, "7": "ambiguous_reference",
    }  # fmt: skip
    assert {(r["code"], r["hop"], r["value"]) for r in made.rejections("note", "3")} == {
        ("dangling_reference", 2, "nobody@x")
    }
    assert made.migration.verify().ok
    assert {p.kind for p in made.prove().values()} == {"checked"}
    assert made.target.value("select count(*) from profiles") == 4
    assert list(made.migration.plan().source_tables) == ["public.note", "public.writer"]


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("{to: profiles by email, path: mail, missing: null}", {"1": "2", "2": None, "3": None, "4": None, "5": "1", "6": None, "7": "ambiguous_reference"}),
        ("{to: profiles by legacy_id, path: nr, missing: null}", {"1": "1", "2": "2", "3": None, "4": None, "5": "1", "6": "3", "7": "1"}),
        ("{to: public.profiles BY code, path: 'writer_id -> writer.id, code', missing: null}", {"1": "1", "2": "2", "3": None, "4": None, "5": None, "6": None, "7": "3"}),
        ("{to: profiles by legacy_id, path: nr, sentinels: [7], missing: [sentinel_reference]}", {"1": "1", "2": "2", "3": None, "4": None, "5": "1", "6": "3", "7": "1"}),
        ("{to: profiles by legacy_id, paths: [nr, 'id -> writer.id, code'], missing: null}", {"1": "1", "2": "2", "4": None} | dict.fromkeys("3567", "ambiguous_reference")),
    ],
)  # fmt: skip
def test_which_row_is_found(made: Project, reference: str, found: dict[str, str | None]) -> None:
    made.write(f"note: {{from: note, references: {{author: {reference}}}}}")
    made.foreseen_run()
    assert authors(made) == found
    assert made.migration.verify().ok


def test_a_later_look_finds_what_came_and_what_is_wrong(made: Project) -> None:
    made.write(ONE)
    made.run()
    made.target.execute("insert into profiles (email, legacy_id) values ('nobody@x', 5)")
    made.run(retry=True)
    assert authors(made)["3"] == "5"
    assert made.migration.verify().ok
    made.target.execute(
        "update note set author = (select id from profiles where legacy_id = 4) where author = (select id from profiles where legacy_id = 1)"
    )
    assert not made.migration.verify().ok


def test_a_catch_up_looks_again(made: Project) -> None:
    made.write(ONE)
    made.run()
    made.source.execute("update note set writer_id = 2 where id = 1; insert into note values (8, 1)")
    made.run()
    assert (authors(made)["1"], authors(made)["8"]) == ("2", "1")
    assert made.migration.verify().ok


def test_the_story_of_a_row_looks_into_the_target(made: Project) -> None:
    made.write(ONE)
    made.run()
    story = made.migration.explain("note", "1")
    assert [(h.text, h.found) for h in story.hops] == [("writer_id -> writer.id", 1), ("mail -> profiles.email", 1)]
    assert [(f.entity, f.outcome) for f in story.parents] == [("profiles by email", "in the target already")]
    assert made.migration.explain("note", "3").hops[-1].note == "no such row"


def test_only_remedies_that_need_no_parent_fit(made: Project) -> None:
    made.write(ONE)
    made.run()
    healing = made.migration.healing
    fits = {o.remedy for code in ("dangling_reference", "ambiguous_reference") for o in healing.offers("note", code)}
    assert "set_null" in fits
    assert not {"link_parent", "pick_parent", "stub_parent"} & fits


MISTAKES = [
    ("note: {from: note, references: {author: {to: profile by email, path: mail}}}", "the target has no table 'profile': did you mean 'profiles'"),
    ("note: {from: note, references: {author: {to: profiles by mail, path: mail}}}", "profiles has no column 'mail'"),
    ("note: {from: note, references: {author: {to: profiles by legacy_id, path: 'mail -> writer.mail'}}}", "the path ends in writer"),
    ("note: {from: note, references: {author: {to: profiles by email, path: mail}}}\nprofiles: {from: writer, columns: {email: mail}}", "profiles is filled by profiles: write `to: profiles`"),
    ("note: {from: note, merge: {to: profiles by email, path: mail}}", "rows are merged into those of an entity"),
]  # fmt: skip


def test_what_cannot_be_looked_up_is_told(made: Project) -> None:
    for entities, wrong in MISTAKES:
        made.write(entities)
        with pytest.raises(MappingError, match=wrong):
            made.check()


def test_two_columns_of_one_table_and_a_row_that_comes_later(made: Project) -> None:
    made.write(
        "note: {from: note, references: {author: {to: profiles by email, path: mail, missing: null}, owner: {to: profiles by legacy_id, path: nr, missing: null}}}"
    )
    made.source.execute("delete from note where id = 7")
    made.foreseen_run()
    assert (authors(made)["1"], authors(made, "owner")["1"]) == ("2", "1")
    made.target.execute("insert into profiles (email, legacy_id) values ('none', 7)")
    assert made.migration.verify().ok


@pytest.mark.parametrize("missing", ["", ", missing: [dangling_reference]"])
def test_rows_stay_whose_row_of_the_target_is_found_no_more(make_project: MakeProject, missing: str) -> None:
    made = make_project(
        """create table note (id int primary key, mail text, body text); create table reply (id int primary key, note_id int);
        insert into note select g, case g when 5 then 'nobody@x' else 'ann@x' end, 'b' from generate_series(1, 5) g;
        insert into reply select g, g from generate_series(1, 4) g""",
        TARGET.replace("owner uuid references profiles", "body text")
        + "create table reply (id uuid primary key, note uuid not null references note)",
    )
    made.write(
        f"note: {{from: note, columns: {{body: body}}, references: {{author: {{to: profiles by email, path: mail{missing}}}}}}}\n"
        "reply: {from: reply, references: {note: {to: note, path: note_id}}}"
    )
    made.run()
    written = "select count(author) from note"
    assert made.target.value(written) == 4
    made.target.execute("update profiles set email = 'new@x' where email = 'ann@x'")
    made.source.execute(
        "insert into note values (6, 'ben@x', 'b'); update note set mail = 'gone@x', body = 'c' where id = 4; update note set body = 'c' where id = 5"
    )
    result = made.run()
    assert [(aside.entity, aside.why, aside.rows) for aside in result.kept] == [("note", "unfound", 4)]
    assert (made.target.value(written), len(made.fates("reply")), set(made.fates("reply").values())) == (
        5,
        4,
        {"migrated"},
    )
    assert made.fates("note")["5"] == ("migrated" if missing else "dangling_reference")
    assert made.target.value("select count(*) from note where body = 'c'") == bool(
        missing
    )  # row 5 was NULL there before
    assert "is not found any more" in str(story_text(made.migration.explain("note", "1")))
    made.target.execute("update profiles set email = 'ann@x' where email = 'new@x'")
    made.source.execute("update note set mail = 'ann@x' where id = 4")
    assert made.run().kept == ()
    assert made.target.value("select body from note where id = %s", [str(uid("note", 4))]) == "c"
    assert made.migration.verify().ok
    made.target.execute("update profiles set email = 'new@x' where email = 'ann@x'")
    assert made.run(overwrite=True).kept == ()
    assert made.target.value(written) == 1
    assert (made.fates("note")["1"], made.fates("reply")["1"]) == (
        ("migrated",) * 2 if missing else ("dangling_reference", "parent_quarantined")
    )
    assert made.migration.verify().ok


def test_whoever_locks_the_rows_of_the_target_is_not_waited_for(made: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rowcall.move.worker.LOCK_PATIENCE", "100ms")
    made.write(ONE, "load: live")
    with made.target.transaction():
        made.target.execute("lock table profiles in access exclusive mode")
        with pytest.raises(SourceUnreadable, match="target: somebody holds or waits for an exclusive lock"):
            made.run()
    made.run()
    assert made.migration.verify().ok


def test_another_reference_that_is_null_is_no_hindrance(make_project: MakeProject) -> None:
    made = make_project(
        "create table note (id int primary key, mail text, writer text); insert into note values (1, 'ann@x', 'nobody@x')",
        TARGET,
    )
    one = "{to: profiles by email, path: %s, missing: [dangling_reference]}"
    made.write(f"note: {{from: note, references: {{author: {one % 'mail'}, owner: {one % 'writer'}}}}}")
    made.run()
    made.target.execute("update profiles set email = 'new@x' where email = 'ann@x'")
    made.source.execute("create table other (n int)")
    made.run()
    assert made.target.value("select count(author) from note") == 1
