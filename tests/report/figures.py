"""A made-up run of the dispatch database, whole: every part of the document is filled."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from rowcall.explain import Cause, Group
from rowcall.explain.causes import Sample
from rowcall.explain.proof import Proof
from rowcall.ledger.book import SnapshotRecord
from rowcall.report import EntityLine, Report
from rowcall.report.report import Edge, Flow, Progress, RunLine
from rowcall.rows import Counts

HOSTILE = "<script>alert(1)</script>]]>\"'&{{ 7*7 }}"
RUN = RunLine(
    "0bd07964-f69a-4654-a909-6a76627082bc", "complete", "dispatch", "2025-10-18T19:18:09.019083+00:00",
    "2025-10-18T19:18:12.773079+00:00", "0/7C74000", "78" * 32,
)  # fmt: skip
SUMS = {
    "profiles": (430, 0, 7, "operational", 0.02),
    "offices": (64, 0, 0, "operational", 0.02),
    "patients": (2386, 0, 0, "clinical", 0.03),
    "orders": (3855, 5, 0, "clinical", 0.15),
    "cases": (6241, 5, 0, "clinical", 0.07),
    "case_messages": (16_165, 63, 0, "clinical", 0.21),
    "case_states": (5464, 222, 0, "operational", 0.14),
    "case_files": (160_420, 2, 0, "clinical", 1.52),
    "message_attachments": (8703, 0, 0, "clinical", 0.05),
    "operations": (3720, 0, 0, "operational", 0.04),
    "role_permissions": (1346, 0, 0, "operational", 0.07),
    "purchases": (3701, 0, 0, "financial", 0.07),
    "system_messages": (79_000, 1580, 0, "system", 0.77),
}
ORDER = "id -> dispatch_case.instruction_id"
CLIMB = "parent_id* -> dispatch_plan.id until instruction_id is not null, instruction_id -> dispatch_instruction.id"
EDGES = (
    Edge("patients", "office_id", "offices", "office_id -> dispatch_office.id"),
    Edge("orders", "patient_id", "patients", "patient_id -> dispatch_patient.id", 5),
    Edge("orders", "office_id", "offices", "office_id -> dispatch_office.id"),
    Edge("orders", "created_by", "profiles", "created_by_id -> auth_user.id"),
    Edge("cases", "order_id", "orders", "instruction_id -> dispatch_instruction.id", 5),
    Edge("cases", "patient_id", "patients", "patient_id -> dispatch_patient.id"),
    Edge("case_messages", "author_id", "profiles", "author_id -> auth_user.id"),
    Edge("case_messages", "case_id", "cases", f"object_id -> dispatch_plan.id, {CLIMB}, {ORDER}", 56, "dispatch.plan"),
    Edge(
        "case_messages", "case_id", "cases", f"object_id -> dispatch_instruction.id, {ORDER}", 5, "dispatch.instruction"
    ),
    Edge("case_messages", "case_id", "cases", "object_id -> dispatch_case.id", 2, "dispatch.case"),
    Edge("case_states", "case_id", "cases", "case_id -> dispatch_case.id", 181),
    Edge("case_states", "changed_by", "profiles", "changed_by_id -> auth_user.id"),
    Edge("case_files", "case_id", "cases", f"id -> dispatch_file_instruction.file_id, {ORDER}", 1),
    Edge(
        "case_files", "case_id", "cases", f"id -> dispatch_file_plan.file_id, plan_id -> dispatch_plan.id, {CLIMB}", 1
    ),
    Edge("case_files", "uploaded_by", "profiles", "uploaded_by_id -> auth_user.id"),
    Edge("message_attachments", "message_id", "case_messages", "record_id -> dispatch_record.id"),
    Edge("message_attachments", "file_id", "case_files", "file_id -> dispatch_file.id"),
    Edge("operations", "case_id", "cases", "case_id -> dispatch_case.id"),
    Edge("operations", "operator_id", "profiles", "operator_id -> auth_user.id"),
    Edge("role_permissions", "office_id", "offices", "office_id -> dispatch_office.id"),
    Edge("role_permissions", "granted_by", "profiles", "granted_by_id -> auth_user.id"),
    Edge("purchases", "order_id", "orders", "instruction_id -> dispatch_instruction.id"),
    Edge("purchases", "office_id", "offices", "office_id -> dispatch_office.id"),
    Edge("system_messages", "recipient_id", "profiles", "recipient_id -> auth_user.id"),
)
FLOWS = (
    Flow("orders", "dangling_reference", "cases", 5),
    Flow("orders", "dangling_reference", "case_messages", 16),
    Flow("orders", "dangling_reference", "case_files", 1),
)
DANGLING = """with fine as (select id from dispatch_patient)
select i.id::text as source_key
from dispatch_instruction i
where i.patient_id is not null and i.patient_id <> 0
  and not exists (select from fine where fine.id = i.patient_id)"""
JSON = """select id::text as source_key
from dispatch_notification
where template_context is not null
  and not pg_input_is_valid(template_context, 'jsonb')
  and position('\\u0000' in template_context) = 0"""


def proof(sql: str, rows: int) -> Proof:
    return Proof("query", sql, True, rows, asked_at="2025-10-18T19:18:14+00:00")


def causes() -> tuple[Cause, ...]:
    total = sum(sums[1] for sums in SUMS.values())
    return tuple(replace(cause, share=cause.rows / total) for cause in _causes())


def _causes() -> tuple[Cause, ...]:
    cutoff = "select id::text as source_key from dispatch_case_state where created_at > '2025-10-18T00:00:00Z'"
    return (
        Cause(
            "orders", "dangling_reference", 5, 0, 5, 22, 5, (Group("patient_id", 1, "was_deleted", 5),), freed=27,
            proof=proof(DANGLING, 5), remedies=("link_parent", "archive"),
            samples=tuple(
                Sample(str(1040 + n), "patient_id", 1, "2···", "was_deleted", "patient deleted 2019-03-1" + str(n))
                for n in range(3)
            ),
        ),
        Cause(
            "system_messages", "malformed_json", 1164, 0, 1164, 0, 1164,
            (
                Group("context", None, "truncated", 612), Group("context", None, "python_quotes", 420),
                Group("context", None, "empty", 132),
            ),
            freed=1164, proof=proof(JSON, 1164), remedies=("repair_json", "replace_value"),
            samples=(
                Sample("862625", "context", None, "{'···': '···', '···", "python_quotes"),
                Sample("862911", "context", None, '{"···": "···', "truncated", "ends at character 57"),
            ),
        ),
        Cause(
            "system_messages", "null_in_required", 312, 0, 312, 0, 300, (Group("context", None, None, 312),), freed=300,
            proof=proof("select id::text as source_key from dispatch_notification where template_context is null", 312),
        ),
        Cause(
            "case_states", "dangling_reference", 156, 0, 156, 0, 156,
            (Group("case_id", 1, "never_existed", 91), Group("case_id", 1, "was_deleted", 65)), freed=156,
            proof=Proof("query", "select s.id::text as source_key from dispatch_case_state s", False, 161, 2, 7),
        ),
        Cause(
            "system_messages", "unstorable_text", 104, 0, 104, 0, 104, (Group("context", None, None, 104),), freed=104,
            proof=Proof("checked", "-- rowcall asks Postgres anew: jsonb of template_context", True, 104),
        ),
        Cause(
            "case_messages", "dangling_reference", 41, 0, 41, 0, 41, (Group("case_id", 3, "was_deleted", 41),), freed=41,
            proof=Proof("query", "select r.id::text as source_key from dispatch_record r"), remedies=("link_parent",),
        ),
        Cause(
            "case_states", "after_cutoff", 41, 0, 41, 0, 41, (Group("created_at", None, None, 41),), freed=41,
            proof=proof(cutoff, 41),
        ),
        Cause("case_states", "sentinel_reference", 15, 0, 15, 0, 15, (Group("case_id", 1, None, 15),), freed=15),
        Cause("case_states", "null_reference", 10, 0, 10, 0, 10, (Group("case_id", 1, None, 10),), freed=10),
        Cause("case_messages", "cyclic_path", 6, 0, 6, 0, 6, (Group("case_id", 2, None, 6),), freed=6),
        Cause("case_files", "ambiguous_reference", 1, 0, 1, 0, 1, (Group("case_id", 1, None, 1),), freed=1),
        Cause("cases", "parent_quarantined", 5, 0, 5, 17, 5, (Group("order_id", 1, None, 5),)),
        Cause(
            "case_messages", "parent_quarantined", 16, 0, 5, 0, 16,
            (Group("case_id", 4, None, 9), Group("case_id", 2, None, 5), Group("case_id", 1, None, 2)),
        ),
        Cause("case_files", "parent_quarantined", 1, 0, 1, 0, 1, (Group("case_id", 3, None, 1),)),
    )  # fmt: skip


def entities() -> tuple[EntityLine, ...]:
    return tuple(
        EntityLine(
            name, Counts(source, source - bad - out, bad, out), bad - (12 if name == "system_messages" else 0), impact,
            seconds, source / seconds, source,
        )
        for name, (source, bad, out, impact, seconds) in SUMS.items()
    )  # fmt: skip


def account(name: str) -> dict[str, Any]:
    return {"entity": name, "ok": True, "missing_lines": 0}


REPORT = Report(
    RUN,
    entities(),
    causes(),
    {"matched": True, "entities": [{"name": name, "quarantined": sums[1]} for name, sums in SUMS.items()]},
    {"ok": True, "accounts": [account(name) for name in SUMS], "references": [account("x")] * 21, "values": None},
    (("profiles", "not_a_test_account", 7),),
    (("purchases", "office_id", "dangling_reference", 3),),
    (SnapshotRecord(1, datetime(2025, 10, 18, 19, 18, 9, tzinfo=UTC), "0/7C74000", "1:1:", None),),
    {"profiles": ("password", "is_superuser")},
    EDGES,
    FLOWS,
)
GOING_ON = replace(
    REPORT,
    run=replace(RUN, state="running", finished_at=None),
    progress=Progress(79_000, 2_039_588, 41_000.0, 47.8),
    forecast={"matched": None, "entities": []},
    verification=None,
)


def hostile() -> Report:
    """Every name that a user may choose is an attack on the page."""
    line = EntityLine(HOSTILE, Counts(10, 7, 3, 0), 3, HOSTILE, 1.0, 10.0)
    bad = Cause(
        HOSTILE, "dangling_reference", 3, 1.0, 3, 1, 3, (Group(HOSTILE, 1, HOSTILE, 3),), (), 4,
        Proof("query", f"select '{HOSTILE}'", True, 3, asked_at=HOSTILE), (HOSTILE,),
        (Sample(HOSTILE, HOSTILE, 1, HOSTILE, HOSTILE, HOSTILE),),
    )  # fmt: skip
    account = {"entity": HOSTILE, "column": HOSTILE, "ok": False, "broken": 1}
    return Report(
        replace(RUN, project=HOSTILE, id=HOSTILE, source_snapshot_lsn=HOSTILE, mapping_fingerprint=HOSTILE),
        (line,),
        (bad,),
        {"matched": False, "entities": [{"name": HOSTILE, "quarantined": 1}]},
        {"ok": False, "accounts": [account], "references": [account], "values": None},
        ((HOSTILE, HOSTILE, 1),),
        ((HOSTILE, HOSTILE, "null_reference", 1),),
        (SnapshotRecord(1, datetime(2025, 1, 1, tzinfo=UTC), HOSTILE, "", HOSTILE),) * 2,
        {HOSTILE: (HOSTILE,)},
        (Edge(HOSTILE, HOSTILE, HOSTILE, HOSTILE, 3, HOSTILE), Edge(HOSTILE, HOSTILE, HOSTILE + "2", HOSTILE)),
        (Flow(HOSTILE, HOSTILE, HOSTILE, 1),),
    )


def wide(entities: int = 40) -> Report:
    """A schema with many entities: each names its parents among those a few places before it."""
    names = [f"department_entity_{n:02}" for n in range(entities)]
    edges = [
        Edge(name, f"parent_{step}_id", names[n - step], f"parent_{step}_id -> table_{n - step}.id", (n % 5) * n)
        for n, name in enumerate(names)
        for step in (3, 7, 11)
        if n >= step and (n + step) % 3
    ]
    lines = tuple(EntityLine(name, Counts(1000 + n, 1000, n, 0), n, "") for n, name in enumerate(names))
    return replace(REPORT, entities=lines, edges=tuple(edges), flows=(
        Flow(names[0], "dangling_reference", names[9], 1000), Flow(names[1], "null_reference", names[9], 1),
        Flow(names[0], "dangling_reference", names[20], 1), Flow(names[0], "cyclic_path", names[30], 40),
    ))  # fmt: skip
