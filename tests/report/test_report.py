"""The report, built from made-up figures: its JSON, its Markdown, its tables."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from report.figures import GOING_ON
from report.figures import REPORT as WHOLE
from rowcall.explain import Cause, Group
from rowcall.explain.proof import Proof
from rowcall.ledger.book import SnapshotRecord
from rowcall.report import EntityLine, Report, causes_table, entities_table, foreseen_line, markdown
from rowcall.report.report import RunLine
from rowcall.report.sentences import next_steps
from rowcall.report.words import MEANINGS, percent, place
from rowcall.rows import Counts, Reason

RUN = RunLine(
    "an-id", "complete", "little", "2025-10-18T00:00:00+00:00", "2025-10-18T00:01:00+00:00", "0/1A", "ab" * 32
)
VERIFIED: dict[str, Any] = {"ok": True, "accounts": [{"ok": True}], "references": [], "values": None}
CAUSES = (
    Cause("orders", "dangling_reference", 2, 0.25, 2, 6, 2, (Group("patient_id", 1, "was_deleted", 2),)),
    Cause("notes", "parent_quarantined", 6, 0.75, 2, 0, 6, (Group("order_id", 3, None, 6),)),
)
REPORT = Report(
    RUN,
    (
        EntityLine("orders", Counts(100, 97, 2, 1), 2, "core", 0.5, 200.0),
        EntityLine("notes", Counts(1_000_000, 999_994, 6, 0), 6, "clinical", 125.0, 8000.0),
        EntityLine("empty", Counts(), 0, "", 0.0, None),
    ),
    CAUSES,
    {"matched": True, "entities": []},
    None,
    (("orders", "not_deleted", 1),),
    (("notes", "author_id", "dangling_reference", 3),),
    (SnapshotRecord(1, datetime(2025, 10, 18, tzinfo=UTC), "0/1A", "1:1:", None),),
    {"notes": ("draft|text",)},
)


def test_the_document_is_the_contracts() -> None:
    document = json.loads(json.dumps(REPORT.as_json()))
    contract = ("schema_version", "run", "totals", "entities", "causes", "forecast", "verification", "repairs")
    assert tuple(document)[: len(contract)] == contract
    assert document["schema_version"] == 1
    run = {"id", "state", "started_at", "finished_at", "source_snapshot_lsn", "mapping_fingerprint"}
    assert run <= document["run"].keys()
    assert document["totals"] == {
        "source": 1_000_100,
        "migrated": 1_000_091,
        "quarantined": 8,
        "excluded": 1,
        "open": 8,
    }
    line = {
        "name": "orders", "source": 100, "migrated": 97, "quarantined": 2, "excluded": 1, "open": 2, "impact": "core",
        "success_rate": 97 / 99, "seconds": 0.5, "rows_per_second": 200.0, "expected": None,
    }  # fmt: skip
    assert document["entities"][0] == line
    assert document["entities"][2]["success_rate"] is None
    cause = {"entity", "code", "attribution", "rows", "share", "roots", "victims", "groups", "proof", "remedies"}
    assert all(cause <= one.keys() for one in document["causes"])
    assert document["forecast"] == {"matched": True, "entities": []}
    assert document["repairs"] == []


def test_the_markdown_tells_all() -> None:
    text = markdown(REPORT)
    heads = [line for line in text.splitlines() if line.startswith("#")]
    assert heads == [
        "# Migration report: little",
        "## Completeness by entity",
        "## Impact",
        "## What to do first",
        "## Causes",
        "### 1. orders: `dangling_reference`, 2 rows",
        "### 2. notes: `parent_quarantined`, 6 rows",
        "## Excluded by rule",
        "## References that became NULL",
        "## Time",
        "## Forecast",
        "## Verification",
        "## Columns that the mapping leaves behind",
        "## What happens next",
    ]
    assert "**1,000,100** source rows = **1,000,091** migrated + **8** quarantined + **1** excluded" in text
    assert "| notes | 1,000,000 | 999,994 | 6 | 0 | 6 | 99.999% | clinical |" in text
    assert "These rows keep back 6 other rows." in text
    assert "Attributed to relationships between rows (75.00%), the source's data (25.00%)." in text
    assert r"`draft\|text`" in text


def test_the_markdown_tells_what_the_page_tells() -> None:
    text = markdown(WHOLE)
    assert "- **5 of 14 proofs held, 1 does not hold, 8 have not been asked yet**" in text
    assert "| financial | 3,701 | 3,701 | 0 | 0 | 0 | purchases |" in text
    assert "7. Repair these 5 rows of orders (`dangling_reference`): 27 rows come home." in text
    assert "| orders | `dangling_reference` | 5 | 0.27% | 5 | 22 | 27 | held |" in text
    assert (
        "**Does not hold**: the query on the source returned 161 keys; 2 rejected keys are missing, 7 too many." in text
    )
    assert "Proof: **Not asked yet**: no proof was made for this cause." in text
    assert "- `archive`: keep payload and rejections in an archive, or as notes in the target\n" in text
    assert "| orders | `dangling_reference` | case_messages | 16 |" in text
    assert "- case_messages → cases → orders → patients → offices" in text
    assert "| `case_id` | cases | dispatch.case | `object_id -> dispatch_case.id` | 2 |" in text
    assert "## Progress" not in text
    assert "about 47.8 s are left." in markdown(GOING_ON)
    proofs = [cause.proof.text for cause in WHOLE.causes if cause.proof]
    assert re.findall(r"^```sql\n(.*?)\n```$", text, re.DOTALL | re.MULTILINE) == proofs


def test_no_proof_ends_its_own_block() -> None:
    cause = replace(CAUSES[0], proof=Proof("query", "select '\n```\n# hello' -- ````"))
    text = markdown(replace(REPORT, causes=(cause,)))
    assert "`````sql\nselect '\n```\n# hello' -- ````\n;\n`````\n" in text


@pytest.mark.parametrize("report", [REPORT, WHOLE, GOING_ON])
def test_every_table_of_the_markdown_is_even(report: Report) -> None:
    lines = markdown(report).replace(r"\|", "").splitlines()
    tables = [(before, line) for before, line in pairwise(lines) if line.startswith("|")]
    for before, line in tables:
        assert before == "" or not before.startswith("|") or before.count("|") == line.count("|")


def test_a_run_that_is_not_over() -> None:
    run = replace(RUN, state="interrupted", finished_at=None)
    report = replace(REPORT, run=run, causes=(), forecast={"matched": None, "entities": []})
    text = markdown(report)
    assert "The run is **interrupted**" in text
    assert "not finished" in text
    assert "## Forecast" not in text
    assert next_steps(report) == ["`rowcall run` continues the run where it stopped."]
    assert report.as_json()["run"]["finished_at"] is None


def test_nothing_open_nothing_to_do() -> None:
    report = replace(REPORT, entities=(EntityLine("a", Counts(1, 1), 0),), causes=(), verification=VERIFIED)
    assert "nothing is open" in markdown(report)
    assert next_steps(report) == ["Nothing is left to do."]


def test_sums_that_do_not_close_are_said() -> None:
    report = replace(REPORT, entities=(EntityLine("a", Counts(3, 1, 1, 0), 1),))
    assert "**the sums do not close**" in markdown(report)
    assert any("Do not use the target" in step for step in next_steps(report))


def test_differences_of_the_verification_are_listed() -> None:
    account = {"entity": "notes", "ok": False, "missing_lines": 2, "missing_in_target": None, "surplus_lines": 0}
    found = {"ok": False, "accounts": [account], "references": [], "values": None, "source_moved": True}
    text = markdown(replace(REPORT, verification=found))
    assert "| notes |  | 2 missing lines |" in text
    assert "Transactions ran at the source since the run" in text


def shown(table: Table) -> str:
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    return console.export_text()


def test_the_tables_of_the_terminal() -> None:
    entities = shown(entities_table(REPORT.entities, "after the run")).splitlines()
    assert [line.split()[0] for line in entities if "%" in line] == ["orders", "notes", "total"]
    assert entities[-2].split() == ["total", "1,000,100", "1,000,091", "8", "1", "99.999%"]
    causes = shown(causes_table(CAUSES))
    assert "patient_id, hop 1" in causes
    assert causes.index("dangling_reference") < causes.index("parent_quarantined")


def test_names_are_no_markup() -> None:
    assert "[red]x" in shown(entities_table([foreseen_line("[red]x", Counts(1, 1))]))


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "-"),
        (0, "0.00%"),
        (1, "100.00%"),
        (0.99612, "99.61%"),
        (160_418 / 160_420, "99.999%"),
        (1 / 160_420, "0.001%"),
        (1 - 1e-9, "> 99.999%"),
        (1e-9, "< 0.001%"),
    ],
)
def test_a_rate_never_looks_whole_that_is_not(share: float | None, text: str) -> None:
    assert percent(share) == text


def test_every_reason_has_a_sentence() -> None:
    assert set(MEANINGS) == set(Reason)
    assert place("case_id", None) == "case_id"
