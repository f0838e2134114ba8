"""What must hold of every run, worked out once more from the ledger's own lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from conftest import Project

from rowcall.explain import Cause, Proof
from rowcall.migration import RunResult
from rowcall.report import Report
from rowcall.rows import Reason

from .made import World

VICTIM = Reason.PARENT_QUARANTINED
Row = tuple[str, str]  # (entity, key)


@dataclass(frozen=True)
class Lost:
    """A quarantined row as the ledger has it."""

    codes: tuple[Reason, ...]
    root: Row
    parent: Row | None
    keepers: frozenset[Row]  # the rows that keep it back, along all its rejections

    @property
    def own(self) -> set[Reason]:
        return {code for code in self.codes if code != VICTIM}


def prepare(project: Project, world: World) -> None:
    """Fresh databases of this world, in the place of those before."""
    for session, sql in ((project.source, world.source_sql), (project.target, world.target_sql)):
        session.execute(
            "set client_min_messages = warning; drop schema if exists public, rowcall cascade; create schema public"
        )
        session.execute(sql)
    project.write(world.mapping, world.more)


def examine(project: Project, world: World) -> tuple[Proof, ...]:
    """check, run, verify, prove, report: and all sums. Hands back the proofs."""
    project.check()
    result = project.run()
    assert result.forecast_matched or not world.foreseeable
    assert project.migration.verify().ok
    causes = project.migration.prove()
    report = project.migration.report()
    lost, fates = read_lost(project), read_fates(project)
    sums_close(result, report, fates)
    causes_add_up(causes, report, lost, fates)
    roots_are_reached(lost, strictly=not world.circles)
    assert {(c.entity, c.code): c.freed for c in causes} == freed(lost)
    if not world.circles:
        assert {(c.entity, c.code): c.victims for c in causes} == victims(lost)
    return proofs_hold(causes, world)


def read_lost(project: Project) -> dict[Row, Lost]:
    sql = (
        "select e.name, q.source_key, q.rejections, q.root_entity, q.root_key, q.parent_entity, q.parent_key "
        "from rowcall.quarantined_row q join rowcall.entity e on e.id = q.entity"
    )
    return {
        (entity, key): Lost(
            tuple(Reason(r["code"]) for r in rejections),
            (root_entity, root_key),
            (parent_entity, parent_key) if parent_entity else None,
            frozenset((r["parent_entity"], r["parent_key"]) for r in rejections if r["code"] == VICTIM.value),
        )
        for entity, key, rejections, root_entity, root_key, parent_entity, parent_key in project.target.rows(sql)
    }


def read_fates(project: Project) -> dict[Row, tuple[str, str | None]]:
    """(entity, key) -> (outcome, cause), of every source row."""
    rows = project.target.rows("select entity, source_key, outcome, cause from rowcall.settlements")
    fates: dict[Row, tuple[str, str | None]] = {(e, k): (outcome, cause) for e, k, outcome, cause in rows}
    assert len(fates) == len(rows), "a row with two lines"
    return fates


def sums_close(result: RunResult, report: Report, fates: dict[Row, tuple[str, str | None]]) -> None:
    """Lines = sums of the entities = totals, in the run's result and in the report."""
    lines = Counter((entity, outcome) for (entity, _), (outcome, _) in fates.items())
    assert result.complete
    for sums, told in zip(result.entities, report.entities, strict=True):
        c = sums.counts
        assert c == told.counts
        assert c.conserved
        assert sums.open == told.open == c.quarantined
        outcomes = ("migrated", "quarantined", "excluded")
        assert (c.migrated, c.quarantined, c.excluded) == tuple(lines[sums.name, o] for o in outcomes)
    assert result.totals == report.counts
    assert result.totals.source == len(fates)
    excluded = Counter((entity, cause) for (entity, _), (outcome, cause) in fates.items() if outcome == "excluded")
    assert excluded == {(entity, rule): rows for entity, rule, rows in report.excluded}


def in_order(row: Row, one: Lost) -> bool:
    """Whether its rejections are in the order of codes; parents that fell by the row itself, in a circle, come last."""
    codes = list(one.codes)
    while one.root == row and len(codes) > 1 and codes[-1] == VICTIM:
        codes.pop()
    return codes == sorted(codes, key=lambda code: code.order)


def causes_add_up(
    causes: tuple[Cause, ...], report: Report, lost: dict[Row, Lost], fates: dict[Row, tuple[str, str | None]]
) -> None:
    """Each quarantined row has one cause, the first of its rejections; rows, roots and shares are those of the rows."""
    quarantined = {row: cause for row, (outcome, cause) in fates.items() if outcome == "quarantined"}
    assert quarantined == {row: one.codes[0].value for row, one in lost.items()}
    assert all(in_order(row, one) for row, one in lost.items())
    rows = Counter((entity, code) for (entity, _), code in quarantined.items())
    assert {(c.entity, c.code): c.rows for c in causes} == rows
    assert len(causes) == len(rows)
    for cause in causes:
        of_it = [row for row, code in quarantined.items() if (row[0], code) == (cause.entity, cause.code)]
        assert cause.roots == len({lost[row].root for row in of_it})
        assert cause.open == sum(group.rows for group in cause.groups) == cause.rows
        assert cause.share == pytest.approx(cause.rows / len(lost))
    assert [(c.entity, c.code, c.rows, c.share, c.freed) for c in report.causes] == [
        (c.entity, c.code, c.rows, c.share, c.freed) for c in causes
    ]
    attributed = Counter[str]()
    for cause in causes:
        attributed[cause.attribution] += cause.rows
    assert {a.name: a.rows for a in report.attributions if a.rows} == attributed
    if lost:
        assert sum(c.share for c in causes) == pytest.approx(1)
        assert sum(a.share for a in report.attributions) == pytest.approx(1)


def above(row: Row, lost: dict[Row, Lost]) -> set[Row]:
    """The row and all that keep it back, however far."""
    found, waiting = {row}, [row]
    while waiting:
        new = lost[waiting.pop()].keepers - found
        found |= new
        waiting += new
    return found


def roots_are_reached(lost: dict[Row, Lost], *, strictly: bool) -> None:
    """Who has a defect of its own is its own root; the root of any other keeps it back and has one. `strictly`: and it is the
    one at which one arrives from parent to parent."""
    for row, one in lost.items():
        assert one.keepers <= lost.keys(), f"{row}: kept back by rows that are not quarantined"
        assert lost[one.root].own, f"{row}: its root {one.root} has no defect of its own"
        assert one.root in above(row, lost), f"{row}: its root {one.root} does not keep it back"
        assert not one.own or one.root == row, f"{row} has a defect of its own, and its root is {one.root}"
        at, walked = row, set[Row]()
        while strictly and not lost[at].own:
            assert at not in walked, f"{row}: its parents go in a circle at {at}"
            walked.add(at)
            parent = lost[at].parent
            assert parent is not None
            assert parent in lost, f"{row}: {parent}, which keeps back {at}, is not quarantined"
            at = parent
        assert not strictly or one.root == at, f"{row}: its root is {one.root}, but its parents lead to {at}"


def freed(lost: dict[Row, Lost]) -> dict[Row, int]:
    """(entity, code) -> rows that come home once this cause is healed: those whose every defect, and every defect of the rows
    that keep them back, however far, is of this cause."""
    found = Counter[Row]()
    for row in lost:
        waits = {(at[0], code.value) for at in above(row, lost) for code in lost[at].own}
        assert waits, f"{row} waits for nothing: healing every cause would not bring it home"
        if len(waits) == 1:
            found.update(waits)
    return {cause: found[cause] for cause in {(entity, one.codes[0].value) for (entity, _), one in lost.items()}}


def victims(lost: dict[Row, Lost]) -> dict[Row, int]:
    """(entity, code) -> rows without a defect of their own that a row of this cause keeps back, along whichever rejection."""
    found = {(entity, one.codes[0].value): 0 for (entity, _), one in lost.items()}
    for row, one in lost.items():
        if not one.own:
            for cause in {(at[0], lost[at].codes[0].value) for at in above(row, lost) if at != row}:
                found[cause] += 1
    return found


def proofs_hold(causes: tuple[Cause, ...], world: World) -> tuple[Proof, ...]:
    """All of them; no query ended in an error, unless an expression of the mapping fails on a row."""
    proofs = {(c.entity, c.code): c.proof for c in causes}
    assert {cause: p for cause, p in proofs.items() if p is None or not p.held} == {}
    asked = tuple(p for p in proofs.values() if p)
    assert world.risky or not [p.sql for p in asked if "ends the query (" in p.sql]
    return asked
