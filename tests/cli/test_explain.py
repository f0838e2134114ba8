"""explain --prove and report, as a user calls them, on the demo."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path

from cli.conftest import here


def test_every_proof_holds_and_psql_gives_the_same_keys(demo: Path) -> None:
    done = here("explain", "--prove", "--json", "-p", demo)
    assert done.code == 0
    answers = json.loads((demo / "answers.json").read_text())
    causes = done.json["causes"]
    assert {(c["entity"], c["code"]) for c in causes} == {(e, code) for e, codes in answers.items() for code in codes}
    for cause in causes:
        proof = cause["proof"]
        assert (proof["kind"], proof["held"], proof["rows"]) == ("query", True, cause["rows"])
        assert len(proof["sql"].encode()) < 100_000  # of one argument Linux takes 128 kB: MAX_ARG_STRLEN
        keys = here("-p", demo, "psql", "source", "-XqAt", "-c", proof["sql"]).out.split()
        assert sorted(map(int, keys)) == answers[cause["entity"]][cause["code"]]


def test_the_evidence_is_that_of_the_planting_list(demo: Path) -> None:
    facts = json.loads((demo / "answers-facts.json").read_text())["evidence"]
    sql = (
        "select entity || ' ' || source_key || ' ' || (rejections->0->>'evidence') from rowcall.quarantine "
        "where rejections->0->>'code' = 'dangling_reference' order by 1"
    )
    told = here("-p", demo, "psql", "target", "-XqAt", "-c", sql).out.split("\n")[:-1]
    planted = [f"{e} {key} {kind}" for e, kinds in facts.items() for kind, keys in kinds.items() for key in keys]
    assert sorted(told) == sorted(planted)


def test_explain_prints_proofs_of_an_entity(demo: Path) -> None:
    text = here("explain", "orders", "-p", demo).out
    assert "-- proof of orders/dangling_reference (holds)" in text
    assert "left join" in text
    assert "orders dangling_reference: for example" in text
    assert "come home" in here("explain", "-p", demo).out


def test_a_proof_is_not_a_rows(demo: Path) -> None:
    done = here("explain", "orders", "1", "--prove", "-p", demo)
    assert done.code == 2
    assert "a proof is a cause's" in done.err


def test_the_cleaning_list_has_every_quarantined_row(demo: Path, tmp_path: Path) -> None:
    file = tmp_path / "cleaning.csv"
    assert here("report", "--format", "csv", "-o", file, "-p", demo).code == 0
    rows = list(csv.DictReader(io.StringIO(file.read_bytes().decode(), newline="")))
    answers = json.loads((demo / "answers.json").read_text())
    planted = Counter((e, code) for e, codes in answers.items() for code, keys in codes.items() for _ in keys)
    assert Counter((r["entity"], r["cause"]) for r in rows) == planted
    assert [p.name for p in tmp_path.iterdir()] == ["cleaning.csv"]


def test_a_file_that_cannot_be_written_leaves_nothing_behind(demo: Path, tmp_path: Path) -> None:
    done = here("report", "--format", "html", "-o", tmp_path / "no" / "such.html", "-p", demo)
    assert done.code == 2
    assert "cannot be written" in done.err
    assert list(tmp_path.iterdir()) == []


def test_values_are_masked_unless_asked_for(demo: Path) -> None:
    masked = here("report", "--format", "json", "-p", demo).json
    shown = here("report", "--format", "json", "--show-values", "-p", demo).json
    values = [
        [s["value"] for c in r["causes"] if c["code"] == "malformed_json" for s in c["samples"] if s["value"]]
        for r in (masked, shown)
    ]
    assert all("order" not in value for value in values[0])
    assert any("order" in value for value in values[1])
    page = here("report", "--format", "html", "-p", demo).out
    assert "'order'" not in page
