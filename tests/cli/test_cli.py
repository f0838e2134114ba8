"""Commands, exit codes and JSON keys as the contract has them."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from cli.conftest import here, rowcall
from rowcall.postgres.embedded import EmbeddedServers

ENTITY_KEYS = {
    "name", "source", "migrated", "quarantined", "excluded", "open", "success_rate", "impact", "seconds", "rows_per_second",
}  # fmt: skip
CAUSE_KEYS = {"entity", "code", "attribution", "rows", "share", "roots", "victims", "groups", "proof", "remedies"}


def test_demo_ends_equal_to_its_answer_sheet(demo: Path) -> None:
    told = json.loads((demo / "demo.out.json").read_text())
    assert told["equal"] is True
    assert told["differences"] == []
    for name in ("rowcall.yaml", "answers.json", "report.json", "report.md", "report.html"):
        assert (demo / name).stat().st_size > 0


def test_demo_refuses_a_folder_of_others(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    done = rowcall("demo", tmp_path, "--scale", "small")
    assert done.code == 2
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    assert rowcall("demo", tmp_path / "new", "--scale", "huge").code == 2


def test_a_project_is_that_of_its_call(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert here("-p", demo, "plan", "--quiet").code == 0
    assert here("plan", "--quiet").code == 2


def test_report_json_has_the_contracts_keys(demo: Path) -> None:
    report = here("report", "--format", "json", "-p", demo).json
    assert report["schema_version"] == 1
    assert {"id", "state", "started_at", "finished_at", "source_snapshot_lsn", "mapping_fingerprint"} <= set(
        report["run"]
    )
    assert set(report["totals"]) == {"source", "migrated", "quarantined", "excluded", "open"}
    assert all(set(e) >= ENTITY_KEYS for e in report["entities"])
    assert all(set(c) >= CAUSE_KEYS for c in report["causes"])
    assert report["forecast"]["matched"] is True
    assert set(report["verification"]) >= {"ok", "accounts", "references", "values"}
    assert report["repairs"] == []


def test_sums_of_the_report_close(demo: Path) -> None:
    report = json.loads((demo / "report.json").read_text())
    for line in [*report["entities"], report["totals"]]:
        assert line["source"] == line["migrated"] + line["quarantined"] + line["excluded"]
    for key in ("source", "migrated", "quarantined", "excluded", "open"):
        assert sum(e[key] for e in report["entities"]) == report["totals"][key]
    assert sum(c["rows"] for c in report["causes"]) == report["totals"]["quarantined"]
    assert abs(sum(c["share"] for c in report["causes"]) - 1) < 1e-9


def test_run_again_changes_nothing_and_keeps_its_exit_code(demo: Path) -> None:
    query = "select count(*), md5(string_agg(t::text, '' order by t::text)) from rowcall.settlement t"
    before = here("-p", demo, "psql", "target", "-qAtc", query).out
    done = here("run", "--json", "-p", demo)
    assert done.code == 3
    assert done.json["complete"] is True
    assert done.json["totals"]["open"] > 0
    assert here("-p", demo, "psql", "target", "-qAtc", query).out == before


def test_check_says_what_the_run_did(demo: Path) -> None:
    done = here("check", "--json", "-p", demo)
    assert done.code == 3
    run = here("run", "--json", "-p", demo).json
    told = {e["name"]: (e["migrated"], e["quarantined"], e["excluded"]) for e in done.json["entities"]}
    assert told == {e["name"]: (e["migrated"], e["quarantined"], e["excluded"]) for e in run["entities"]}
    assert done.json["estimate"]["rows"] == run["totals"]["source"]
    assert any("refused_by_target" in note for note in done.json["notes"])


@pytest.mark.parametrize("words", [["status"], ["plan"], ["explain"], ["verify"], ["report"]])
def test_looking_ends_with_zero_and_prints_one_document(demo: Path, words: list[str]) -> None:
    done = here(*words, "--json", "-p", demo)
    assert done.code == 0
    assert isinstance(done.json, dict)
    quiet = here(*words, "--quiet", "-p", demo)
    assert quiet.code == 0
    assert quiet.err == ""
    assert quiet.out != ""


def test_plan_prints_the_judge(demo: Path) -> None:
    entity = here("plan", "--json", "-p", demo).json["entities"][0]["name"]
    done = here("plan", "--sql", entity, "-p", demo)
    assert done.code == 0
    assert "with j as (" in done.out
    unknown = here("plan", "--sql", "nobody", "-p", demo)
    assert unknown.code == 2
    assert entity in unknown.err


def test_explain_one_row_hop_by_hop(demo: Path) -> None:
    sql = "select entity || ' ' || source_key from rowcall.settlements where cause = 'parent_quarantined' order by 1 limit 1"
    entity, key = here("-p", demo, "psql", "target", "-qAtc", sql).out.split()
    story = here("explain", entity, key, "--json", "-p", demo).json
    assert story["outcome"] == "quarantined"
    assert story["hops"]
    assert story["root"]["entity"] != entity
    assert here("explain", entity, "no-such-key", "-p", demo).code == 2


def test_usage_and_mapping_errors_end_with_two(demo: Path, tmp_path: Path) -> None:
    assert rowcall("fly").code == 2
    assert here("run", "--fast", "-p", demo).code == 2
    missing = here("check", cwd=tmp_path)
    assert missing.code == 2
    assert "rowcall.yaml" in missing.err
    broken = tmp_path / "rowcall.yaml"
    broken.write_text("rowcall: 1\nsource: {embedded: legacy}\ntarget: {embedded: target}\nentities:\n  a: [")
    done = here("check", cwd=tmp_path)
    assert done.code == 2
    assert done.err.startswith("rowcall.yaml:")


def test_project_option_stands_before_or_behind_the_command(demo: Path) -> None:
    assert here("-p", demo, "status", "--json").json == here("status", "--json", "-p", demo / "rowcall.yaml").json
    assert here("status", "--json", cwd=demo).code == 0


def test_psql_gets_its_arguments_verbatim(demo: Path) -> None:
    done = here("-p", demo, "psql", "source", "-qAt", "-F", "|", "-c", "select 1, 'a b'", "-v", "x=1")
    assert (done.code, done.out) == (0, "1|a b\n")
    assert here("-p", demo, "psql", "source", "-c", "select 1/0").code == 1
    assert here("-p", demo, "psql", "--", "nowhere").code == 2


def test_psql_shows_no_dsn_to_other_users(demo: Path) -> None:
    """Nothing of the connection stands in an argument vector."""
    seen = rowcall("-p", demo, "psql", "source", "-qAtc", r"\! tr '\0' ' ' < /proc/$PPID/cmdline")
    assert seen.code == 0
    assert "psql" in seen.out
    assert "passfile" not in seen.out
    assert "host" not in seen.out


def test_a_dsn_of_the_user_wins(demo: Path) -> None:
    done = here("status", "-p", demo, env={"ROWCALL_TARGET": "host=127.0.0.1 port=1 dbname=x user=y password=hunter2"})
    assert done.code == 1
    assert "hunter2" not in done.err + done.out
    pooler = here("status", "-p", demo, env={"ROWCALL_TARGET": "host=127.0.0.1 port=6543 dbname=x"})
    assert pooler.code == 2
    assert "5432" in pooler.err


def test_other_seeds_and_hand_made_damage(tmp_path: Path) -> None:
    """What is broken by hand before the run is reported, with the right codes, roots and victims."""
    folder = tmp_path / "demo"
    assert rowcall("demo", folder, "--scale", "small", "--seed", "7", "--no-run", "--quiet").code == 0
    try:
        assert rowcall("servers", "start", "-p", folder).code == 0
        answers = json.loads((folder / "answers.json").read_text())
        damage = """
            with gone as (delete from dispatch_instruction where id in (
                select c.instruction_id from dispatch_case c join dispatch_instruction i on i.id = c.instruction_id
                join dispatch_patient p on p.id = i.patient_id order by md5(c.id::text) limit 3) returning id)
            select 'cases', 'dangling_reference', c.id from dispatch_case c join gone g on g.id = c.instruction_id;
            with hit as (update dispatch_case_state set case_id = 0 where id in (
                select s.id from dispatch_case_state s join dispatch_case c on c.id = s.case_id
                where s.created_at < '2025-01-01' order by md5(s.id::text) limit 10) returning id)
            select 'case_states', 'sentinel_reference', id from hit;
            with hit as (update dispatch_notification set template_context = '{"broken": ' where id in (
                select id from dispatch_notification where template_context like '{"%}' and template_context not like '%NaN%'
                and template_context not like '%u0000%' order by md5(id::text) limit 5) returning id)
            select 'system_messages', 'malformed_json', id from hit;"""
        told = here("-p", folder, "psql", "source", "-qAt", "-F", " ", "-c", damage)
        assert told.code == 0
        check, run = here("check", "--json", "-p", folder), here("run", "--json", "-p", folder)
        assert (check.code, run.code) == (3, 3)
        assert run.json["forecast"]["matched"] is True
        sql = "select entity, cause, source_key from rowcall.settlements where outcome = 'quarantined'"
        lines = here("-p", folder, "psql", "target", "-qAt", "-F", " ", "-c", sql).out.splitlines()
        found = {tuple(line.split()) for line in lines}
        planted = {tuple(line.split()) for line in told.out.splitlines()}
        assert len(planted) == 18
        assert planted <= found
        known = {(e, c, str(k)) for e, causes in answers.items() for c, keys in causes.items() for k in keys}
        # Beyond the planted rows there are only those that hang on the three deleted orders.
        assert {cause for _, cause, _ in found - planted - known} <= {"dangling_reference", "parent_quarantined"}
        roots = "select count(*) from rowcall.quarantine where root_entity = 'cases' and entity <> 'cases'"
        victims = int(here("-p", folder, "psql", "target", "-qAtc", roots).out)
        causes = here("explain", "--json", "-p", folder).json["causes"]
        assert victims == next(
            c["victims"] for c in causes if (c["entity"], c["code"]) == ("cases", "dangling_reference")
        )
        assert here("verify", "--quiet", "-p", folder).code == 0
        assert here("undo", "--quiet", "-p", folder).code == 0
        assert here("status", "--json", "-p", folder).json["state"] == "not begun"
        assert here("report", "-p", folder).code == 2
    finally:
        EmbeddedServers(folder).stop()
        EmbeddedServers(folder).remove()


def test_servers_stop_with_the_command_that_started_them(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    assert rowcall("demo", folder, "--scale", "small", "--no-run", "--quiet").code == 0
    servers = EmbeddedServers(folder)
    try:
        assert here("status", "-p", folder).code == 0
        time.sleep(0.2)
        token = str(servers.outside if servers.outside.exists() else servers.folder)
        running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        assert not [line for line in running.splitlines() if token in line and "postgres" in line.split()[0]]
    finally:
        servers.remove()
