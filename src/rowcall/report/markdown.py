"""The report as Markdown for people: what came of the migration, why rows stayed behind, what to do next.

It shows no row's values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rowcall.explain.causes import Cause
from rowcall.report.report import EntityLine, Report
from rowcall.report.words import ATTRIBUTIONS, MEANINGS, count, duration, percent, place, rate
from rowcall.rows import Reason

MOST_GROUPS = 20


def markdown(report: Report) -> str:
    """The whole document."""
    parts = (_summary, _entities, _causes, _excluded, _nulled, _timing, _forecast, _verification, _not_mapped, _next)
    return "\n".join(line for part in parts for line in part(report)) + "\n"


def _summary(report: Report) -> Iterator[str]:
    run, c = report.run, report.counts
    yield f"# Migration report: {_cell(run.project)}\n"
    yield _headline(report) + "\n"
    parts = (f"**{count(rows)}** {name}" for name, rows in asdict(c).items() if name != "source")
    broken = "" if report.conserved else " **(the sums do not close)**"
    yield f"**{count(c.source)}** source rows = {' + '.join(parts)}{broken}\n"
    finished = run.finished_at or "not finished"
    yield f"- Run `{run.id}`, {run.state}; started {run.started_at}, finished {finished}"
    if run.source_snapshot_lsn:
        yield f"- Source read at about {run.source_snapshot_lsn} (position in its write-ahead log)"
    if len(report.snapshots) > 1:
        yield f"- The run was continued: {len(report.snapshots)} snapshots of the source were read"
    yield f"- Mapping `{run.mapping_fingerprint[:12]}`\n"


def _headline(report: Report) -> str:
    if not report.complete:
        return f"The run is **{report.run.state}**; the figures are those of the chunks that are settled."
    if not report.conserved:
        return "The run is over, but **the sums do not close**."
    if not report.open:
        return "The run is **complete**: every source row is accounted for, and nothing is open."
    return (
        f"The run is **complete**: every source row is accounted for; {count(report.open, 'row')} "
        f"{'is' if report.open == 1 else 'are'} open in quarantine."
    )


def _entities(report: Report) -> Iterator[str]:
    yield "## Completeness by entity\n"
    heads = ["entity", ">source", ">migrated", ">quarantined", ">excluded", ">open", ">rate", "impact"]
    yield from _table(heads, map(_entity, report.entities))


def _entity(line: EntityLine) -> tuple[str, ...]:
    c = line.counts
    numbers = map(count, (c.source, c.migrated, c.quarantined, c.excluded, line.open))
    return line.name, *numbers, percent(line.success_rate), line.impact


def _causes(report: Report) -> Iterator[str]:
    yield "## Causes\n"
    if not report.causes:
        yield "No row is in quarantine.\n"
        return
    yield "Roots first: a row's own defect, then the rows that are kept back only by their parents.\n"
    rows = [
        (c.entity, f"`{c.code}`", count(c.rows), percent(c.share), count(c.roots), count(c.victims))
        for c in report.causes
    ]
    yield from _table(["entity", "cause", ">rows", ">share", ">roots", ">keeps back"], rows)
    yield from _attributions(report.causes)
    for number, cause in enumerate(report.causes, 1):
        yield from _cause(number, cause)


def _attributions(causes: Sequence[Cause]) -> Iterator[str]:
    """Whose fault it was, by share of all quarantined rows."""
    shares: dict[str, float] = {}
    for cause in causes:
        shares[cause.attribution] = shares.get(cause.attribution, 0) + cause.share
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    yield "Attributed to " + ", ".join(f"{ATTRIBUTIONS[name]} ({percent(share)})" for name, share in ordered) + ".\n"


def _cause(number: int, cause: Cause) -> Iterator[str]:
    yield f"### {number}. {_cell(cause.entity)}: `{cause.code}`, {count(cause.rows, 'row')}\n"
    yield MEANINGS[Reason(cause.code)] + _behind(cause) + "\n"
    groups = [(place(g.column, g.hop), g.evidence or "", count(g.rows)) for g in cause.groups[:MOST_GROUPS]]
    yield from _table(["where", "evidence", ">rows"], groups)
    if len(cause.groups) > MOST_GROUPS:
        yield f"... and {count(len(cause.groups) - MOST_GROUPS, 'more group')}\n"


def _behind(cause: Cause) -> str:
    behind = ""
    if not cause.is_root:
        behind = f" Behind them {'is' if cause.roots == 1 else 'are'} {count(cause.roots, 'root row')}."
    if cause.victims:
        behind += f" They keep back {count(cause.victims, 'other row')}."
    decided = cause.rows - cause.open
    return behind + (f" {count(decided)} of them {'is' if decided == 1 else 'are'} decided." if decided else "")


def _excluded(report: Report) -> Iterator[str]:
    if report.excluded:
        yield "## Excluded by rule\n"
        yield from _table(["entity", "rule", ">rows"], [(e, f"`{rule}`", count(n)) for e, rule, n in report.excluded])


def _nulled(report: Report) -> Iterator[str]:
    if report.nulled:
        yield "## References that became NULL\n"
        yield "The mapping lets these references be NULL where they lead nowhere; their rows migrated.\n"
        rows = [(e, f"`{column}`", f"`{code}`", count(n)) for e, column, code, n in report.nulled]
        yield from _table(["entity", "column", "because of", ">rows"], rows)


def _timing(report: Report) -> Iterator[str]:
    yield "## Time\n"
    rows = [(e.name, duration(e.seconds), rate(e.rows_per_second)) for e in report.entities]
    yield from _table(["entity", ">work", ">speed"], rows)
    yield "Work is the time of all chunks together; several run at once.\n"


def _forecast(report: Report) -> Iterator[str]:
    matched = report.forecast["matched"]
    if matched is not None:
        yield "## Forecast\n"
        if matched:
            yield "The run came out exactly as `rowcall check` had foreseen.\n"
        else:
            yield "The run **differs** from what `rowcall check` had foreseen.\n"
            yield "The source or the mapping changed in between, or the target refused rows.\n"


def _verification(report: Report) -> Iterator[str]:
    yield "## Verification\n"
    found = report.verification
    if not found:
        yield "The target has not been verified yet: `rowcall verify`.\n"
        return
    yield ("The target agrees with the source" if found["ok"] else "**The target differs from the source**") + (
        f": {count(len(found['accounts']), 'entity account')} and "
        f"{count(len(found['references']), 'reference column')} were checked.\n"
    )
    if found.get("source_moved") and not found["ok"]:
        yield "Transactions ran at the source since the run, so differences may be theirs.\n"
    wrong = [check for check in [*found["accounts"], *found["references"]] if not check["ok"]]
    if wrong:
        rows = [(check["entity"], check.get("column", ""), _differences(check)) for check in wrong]
        yield from _table(["entity", "column", "differences"], rows)


def _differences(check: dict[str, Any]) -> str:
    names = (
        "missing_lines", "surplus_lines", "duplicates", "without_payload", "missing_in_target", "foreign_in_target",
        "broken", "wrong",
    )  # fmt: skip
    found = [f"{count(check[name])} {name.replace('_', ' ')}" for name in names if check.get(name)]
    return ", ".join(found) or "the sums do not close"


def _not_mapped(report: Report) -> Iterator[str]:
    left = [(entity, ", ".join(f"`{c}`" for c in columns)) for entity, columns in report.not_mapped.items() if columns]
    if left:
        yield "## Columns that the mapping leaves behind\n"
        yield from _table(["entity", "source columns"], left)


def _next(report: Report) -> Iterator[str]:
    yield "## What happens next\n"
    yield from (f"- {step}" for step in next_steps(report))


def next_steps(report: Report) -> list[str]:
    """What to do now, most urgent first."""
    steps = []
    if not report.complete:
        steps.append("`rowcall run` continues the run where it stopped.")
    if not report.conserved or (report.verification and not report.verification["ok"]):
        steps.append("Do not use the target before the differences above are understood.")
    if roots := [c for c in report.causes if c.is_root and c.open]:
        steps.append(
            f"Begin with `{roots[0].entity}/{roots[0].code}`: `rowcall explain {roots[0].entity}` shows it, "
            "and with a key it tells that row's path hop by hop."
        )
    if any(c.open and not c.is_root for c in report.causes):
        steps.append("Rows that are kept back by their parents need nothing of their own: heal the roots.")
    if report.complete and not report.verification:
        steps.append("`rowcall verify` checks the target against the source.")
    return steps or ["Nothing is left to do."]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A Markdown table and an empty line; a head that begins with ">" stands over numbers."""
    yield "| " + " | ".join(head.removeprefix(">") for head in heads) + " |"
    yield "|" + "|".join("---:" if head.startswith(">") else "---" for head in heads) + "|"
    for row in rows:
        yield "| " + " | ".join(_cell(cell) for cell in row) + " |"
    yield ""


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
