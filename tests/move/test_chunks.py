# ruff: noqa: E501
"""However an entity is cut into chunks, every row is judged once: keys of every kind, skew, and rows that move in between."""

from __future__ import annotations

from contextlib import suppress

import pytest
from conftest import MakeProject, Project, set_chunk_rows

from rowcall.errors import BudgetExceeded, Interrupted, MappingError
from rowcall.progress import Progress

TARGET = "create table t (id uuid primary key, body text{unique})"
MAPPING = "t: {from: t, columns: {body: body}}"
# name -> (the columns, the key among them, their values for g from 1 on): keys that arithmetic cannot cut.
KEYS = {
    "text": ("k text", "k", "'k' || md5(g::text)"),
    "uuid": ("k uuid", "k", "md5(g::text)::uuid"),
    "composite": ("a text, b bigint", "a, b", "chr(97 + g % 26), g"),
    "sparse": ("k bigint", "k", "g * 100000 - 5000000"),
    "numeric": ("k numeric(20, 4)", "k", "g * 1.01"),
}
# Wide rows: few of them find room on a page.
FILLER = "repeat('x', 500 + g % 7)"


def made(make_project: MakeProject, key: str = "text", rows: int = 400, unique: str = "") -> Project:
    columns, by, values = KEYS[key]
    project = make_project(
        f"create table t ({columns}, body text, primary key ({by}));"
        f"insert into t select {values}, g || ' ' || {FILLER} from generate_series(1, {rows}) g",
        TARGET.format(unique=unique),
    )
    project.write(MAPPING)
    return project


def fresh(make_project: MakeProject, project: Project, unique: str = "") -> str:
    """The state that an undisturbed run on the same source reaches."""
    undisturbed = make_project(target_sql=TARGET.format(unique=unique), source_of=project.source_dsn)
    undisturbed.write(MAPPING)
    assert undisturbed.run().complete
    return undisturbed.state({"t": "id"})


def interrupted(project: Project, rows: int, ends: bool = True) -> None:
    """Runs until so many rows are done, then Ctrl-C."""

    def on_progress(progress: Progress) -> None:
        if progress.rows >= rows:
            raise KeyboardInterrupt

    with suppress(Interrupted):
        project.run(on_progress=on_progress)
    assert project.migration.status().state == ("interrupted" if ends else "complete")


def change(project: Project, statements: str) -> None:
    """At the source, one by one: VACUUM wants no transaction."""
    for statement in statements.split("; "):
        project.source.execute(statement)


def chunks(project: Project) -> list[tuple[int | None, int | None]]:
    """(first page, rows read) of each chunk, in their order."""
    return list(project.target.rows("select first_page, rows_read from rowcall.chunk order by id"))


@pytest.fixture(autouse=True)
def _small(small_chunks: None) -> None:
    pass


@pytest.mark.parametrize("key", KEYS)
def test_keys_that_are_not_dense_are_cut_by_pages(make_project: MakeProject, key: str) -> None:
    project = made(make_project, key)
    assert project.foreseen_run().totals.migrated == 400
    found = chunks(project)
    assert [page for page, _ in found] == list(range(len(found)))
    assert len(found) > 20
    assert max(rows or 0 for _, rows in found) < 20
    assert project.migration.verify().ok


def test_dense_integers_are_cut_by_arithmetic(make_project: MakeProject) -> None:
    project = make_project(
        "create table t (k int primary key, body text); insert into t select g, 'x' from generate_series(-150, 149) g",
        TARGET.format(unique=""),
    )
    project.write(MAPPING)
    assert project.foreseen_run().totals.migrated == 300
    assert {page for page, _ in chunks(project)} == {None}
    assert len(chunks(project)) == 30
    assert {rows for _, rows in chunks(project)} == {10}
    assert project.migration.verify().ok


@pytest.mark.parametrize(
    ("values", "by_pages"), [("g", False), ("2000 - g", False), ("g * 149 % 2000", True), ("g % 10 * 200 + g / 10", True)],
    ids=["in order", "in reverse", "scattered", "interleaved"],
)  # fmt: skip
def test_dense_integers_in_another_order_than_the_rows(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, values: str, by_pages: bool
) -> None:
    """A range of keys would read nearly every page."""
    set_chunk_rows(monkeypatch, 100)
    for module in ("plan.chunks", "move.chunking"):
        monkeypatch.setattr(f"rowcall.{module}.SAMPLE", 100)
    project = make_project(
        f"create table t (k int primary key, body text); insert into t select {values}, {FILLER} from generate_series(0, 1999) g",
        TARGET.format(unique=""),
    )
    project.write(MAPPING)
    assert project.foreseen_run().totals.migrated == 2000
    assert [page is not None for page, _ in chunks(project)] == [by_pages] * len(chunks(project))
    assert len(chunks(project)) >= 20
    assert project.migration.verify().ok


def test_integers_at_both_ends_of_their_type(make_project: MakeProject) -> None:
    project = make_project(
        """create table t (k bigint primary key, body text);
           insert into t select -9223372036854775808 + g, 'low' from generate_series(0, 99) g;
           create table u (k smallint primary key); insert into u select g from generate_series(-32768, 32767) g""",
        "create table t (id uuid primary key, body text); create table u (id uuid primary key)",
    )
    project.write("t: {from: t, columns: {body: body}}")
    assert project.foreseen_run().totals.migrated == 100
    project.source.execute("insert into t select 9223372036854775807 - g, 'high' from generate_series(0, 99) g")
    project.run(restart=True)
    assert project.migration.verify().ok


@pytest.mark.parametrize(("apart", "most"), [(3, 40), (300, 100)])
def test_a_crowd_of_keys_does_not_make_a_large_chunk(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, apart: int, most: int
) -> None:
    """Half of the rows side by side, the others far apart: by arithmetic at most four times the rows asked for."""
    project = make_project(
        f"create table t (k int primary key, body text); insert into t select g, {FILLER} from generate_series(1, 500) g;"
        f"insert into t select 500 + g * {apart}, {FILLER} from generate_series(1, 500) g",
        TARGET.format(unique=""),
    )
    project.write(MAPPING)
    assert project.foreseen_run().totals.migrated == 1000
    assert max(rows or 0 for _, rows in chunks(project)) <= most
    assert len(chunks(project)) >= 10


@pytest.mark.parametrize("key", KEYS)
def test_an_empty_table(make_project: MakeProject, key: str) -> None:
    project = made(make_project, key, rows=0)
    assert project.foreseen_run().totals.source == 0
    assert chunks(project) == [(None, 0)]


def test_pages_that_hold_nothing_any_more(make_project: MakeProject) -> None:
    project = made(make_project)
    project.source.execute("delete from t where split_part(body, ' ', 1)::int not in (7, 390)")
    assert project.foreseen_run().totals.migrated == 2
    assert project.migration.verify().ok


@pytest.mark.parametrize(
    "made_as",
    [
        "create table t (k text primary key, body text) partition by range (k);"
        "create table t1 partition of t for values from (minvalue) to ('k8'); create table t2 partition of t for values from ('k8') to (maxvalue);"
        "insert into t select 'k' || md5(g::text), 'x' from generate_series(1, 100) g",
        "create table t (k text primary key, body text); create table more () inherits (t);"
        "insert into t select 'k' || md5(g::text), 'x' from generate_series(1, 50) g;"
        "insert into more select 'm' || md5(g::text), 'x' from generate_series(1, 50) g",
    ],
    ids=["partitioned", "inherited"],
)  # fmt: skip
def test_what_is_no_single_heap_is_cut_exactly(make_project: MakeProject, made_as: str) -> None:
    project = make_project(made_as, TARGET.format(unique=""))
    project.write(MAPPING)
    assert project.foreseen_run().totals.migrated == 100
    assert chunks(project) == [(None, 10)] * 10
    assert project.migration.verify().ok


def test_a_view_has_no_key_that_the_catalog_knows(make_project: MakeProject) -> None:
    project = make_project(
        f"create materialized view t as select 'k' || md5(g::text) as k, {FILLER} as body from generate_series(1, 200) g;"
        "create unique index on t (k)",
        TARGET.format(unique=""),
    )
    project.write("t: {from: t, key: k, columns: {body: body}}")
    with pytest.raises(MappingError, match="may be NULL"):
        project.run()


# What happens at the source between an interrupted run and its continuation; n is the row's number.
CHANGES = {
    "nothing": "select 1",
    "settled rows": "update t set body = body || '!' where n in (3, 4, 25)",
    "open rows": "update t set body = body || '!' where n > 150",
    "all rows": "update t set body = body || '!'",
    "deleted": "delete from t where n % 5 = 0",
    "new rows in the gaps": "delete from t where n % 2 = 0; vacuum t; insert into t select 'n' || g, repeat('y', 400), g from generate_series(1001, 1050) g",
    "compacted": "delete from t where n between 10 and 45; vacuum full t",
    "rewritten": "vacuum full t",
    "in another order": "create index by_body on t (md5(body)); cluster t using by_body",
    "moved, then rewritten": "update t set body = body || '!' where n % 3 = 0; delete from t where n % 7 = 0; create index by_body on t (md5(body)); cluster t using by_body",
    "keys that change": "update t set k = 'z' || k where n % 10 = 0",
    "everything is gone": "delete from t",
}  # fmt: skip


TOGETHER = (
    "settled rows",
    "in another order",
    "moved, then rewritten",
    "keys that change",
)  # tried with unique values, too


@pytest.mark.parametrize(("name", "unique"), [(n, "") for n in CHANGES] + [(n, " unique") for n in TOGETHER])
def test_rows_that_move_between_an_interruption_and_its_continuation(
    make_project: MakeProject, name: str, unique: str
) -> None:
    project = made(make_project, rows=200, unique=unique)
    change(project, "alter table t add n int; update t set n = split_part(body, ' ', 1)::int; vacuum full t")
    interrupted(project, 70)
    change(project, CHANGES[name])
    interrupted(project, 120, ends=name != "everything is gone")
    project.source.execute("cluster t using t_pkey")
    result = project.run()
    assert result.complete
    assert all(e.counts.conserved for e in result.entities)
    assert project.state({"t": "id"}) == fresh(make_project, project, unique)
    assert project.migration.verify().ok


def test_settled_rows_stay_settled_where_the_table_was_rewritten(make_project: MakeProject) -> None:
    """None of them is judged again, though they stand among the others now."""
    project = made(make_project)
    interrupted(project, 150)
    before = dict(project.target.rows("select id, xmin::text from t"))
    assert 150 <= len(before) < 400
    change(project, "create index by_body on t (md5(body)); cluster t using by_body")
    project.notes.clear()
    assert project.run().complete
    assert not [note for note in project.notes if "source changed" in note]
    after = dict(project.target.rows("select id, xmin::text from t"))
    assert len(after) == 400
    assert before.items() <= after.items()
    assert project.target.value("select sum(cardinality(without)) from rowcall.chunk") == len(before)


def test_an_expression_that_fails_among_moved_rows(make_project: MakeProject) -> None:
    project = made(make_project)
    change(project, "update t set body = '0 ' || body where split_part(body, ' ', 1)::int % 40 = 0; vacuum full t")
    project.write("t: {from: t, columns: {body: {sql: \"(1 / split_part(body, ' ', 1)::int)::text\"}}}")
    interrupted(project, 100)
    change(project, "create index by_body on t (md5(body)); cluster t using by_body")
    result = project.run()
    assert (result.totals.migrated, result.totals.quarantined) == (390, 10)
    assert project.target.value("select count(*) from rowcall.quarantine where payload->>'body' like '0 %'") == 10
    assert project.migration.verify().ok


def test_undo_after_pages_were_planned_anew(make_project: MakeProject) -> None:
    """Triggers of rows that are gone may have written others: their numbers outlive the chunks."""
    project = made(make_project)
    interrupted(project, 150)
    project.source.execute("update t set body = body || '!'")
    interrupted(project, 50)
    project.source.execute("vacuum full t")
    project.run()
    assert project.migration.undo() == {"t": 400}
    assert project.target.value("select count(*) from t") == 0


@pytest.mark.parametrize("unique", ["", " unique"])
def test_children_follow_when_parents_come_late(make_project: MakeProject, unique: str) -> None:
    """A new parent, after all parents were settled, brings its children home."""
    columns = f"create table p (k text primary key, body text); insert into p select 'p' || g, {FILLER} from generate_series(1, 100) g;"
    project = make_project(
        columns
        + "create table c (k int primary key, p_k text); insert into c select g, 'p' || g from generate_series(1, 200) g",
        f"create table p (id uuid primary key, body text{unique}); create table c (id uuid primary key, p_id uuid references p)",
    )
    project.write("p: {from: p, columns: {body: k}}\nc: {from: c, references: {p_id: {to: p, path: p_k}}}")
    interrupted(project, 101)
    assert project.fates("c")
    project.source.execute("insert into p select 'p' || g, 'late' from generate_series(101, 150) g")
    result = project.run()
    assert {e.name: e.counts.migrated for e in result.entities} == {"p": 150, "c": 150}
    assert project.migration.verify().ok


@pytest.mark.parametrize(("budget", "stops"), [("11%", False), ("9%", True)])
def test_a_budget_is_a_share_of_counted_rows(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, budget: str, stops: bool
) -> None:
    """An estimate that is far off neither stops a run nor lets it go on."""
    for module in ("plan.chunks", "move.chunking"):
        monkeypatch.setattr(f"rowcall.{module}.SAMPLE", 1)
    project = made(make_project)
    change(project, "update t set body = 'bad' where split_part(body, ' ', 1)::int % 10 = 0; vacuum full t")
    project.write("t: {from: t, rules: {good: body <> 'bad'}, columns: {body: body}}", more=f"error_budget: {budget}")
    if stops:
        with pytest.raises(BudgetExceeded, match="36 allowed"):
            project.run()
    else:
        assert project.run().totals.quarantined == 40


def test_an_estimate_is_called_one_until_the_rows_are_read(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("plan.chunks", "move.chunking"):
        monkeypatch.setattr(f"rowcall.{module}.SAMPLE", 4)
    project = made(make_project)
    interrupted(project, 100)
    status = project.migration.status()
    assert "of about" in status.told()
    assert [e["counted"] for e in status.as_json()["entities"]] == [False]
    assert project.migration.report().entities[0].expected is None
    seen = list[Progress]()
    project.run(on_progress=seen.append)
    assert all(p.rows <= p.total for p in seen)
    assert (seen[-1].rows, seen[-1].total) == (400, 400)
    status = project.migration.status()
    assert (status.rows, status.expected) == (400, 400)
    assert project.migration.report().entities[0].expected == 400


def test_the_lowest_key_stays_by_pages_too(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    project = made(make_project, "sparse", unique=" unique")
    project.source.execute("update t set body = 'same' where k in (-4700000, -4600000, 30000000, 35000000)")
    project.foreseen_run()
    found = {key for key, cause in project.fates("t").items() if cause == "duplicate_key"}
    assert found == {"-4600000", "30000000", "35000000"}
    set_chunk_rows(monkeypatch, 1_000_000)
    assert project.state({"t": "id"}) == fresh(make_project, project, " unique")
