"""The report as Markdown for people: what came of the migration, why rows stayed behind, what to do next.

It shows no row's values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from rowcall.explain.causes import Cause
from rowcall.explain.proof import Proof
from rowcall.report import sentences
from rowcall.report.analysis import Analysis, analyses
from rowcall.report.report import Edge, EntityLine, Report
from rowcall.report.words import ATTRIBUTIONS, MEANINGS, REMEDIES, count, duration, moment, percent, place, rate
from rowcall.rows import Reason

MOST_GROUPS = 20


def markdown(report: Report) -> str:
    """The whole document."""
    parts = (
        _summary, _deferred, _progress, _entities, _impact, _first, _causes, _flows, _ways, _drifts, _excluded, _nulled,
        _repairs, _catch_ups, _timing, _forecast, _verification, _not_mapped, _next,
    )  # fmt: skip
    return "\n".join(line for part in parts for line in part(report)) + "\n"


def _summary(report: Report) -> Iterator[str]:
    run, c = report.run, report.counts
    yield f"# Migration report: {_cell(run.project)}\n"
    yield sentences.headline(report) + "\n"
    parts = (f"**{count(rows)}** {name}" for name, rows in asdict(c).items() if name != "source")
    broken = "" if report.conserved else " **(the sums do not close)**"
    yield f"**{count(c.source)}** source rows = {' + '.join(parts)}{broken}\n"
    finished = f"finished {moment(run.finished_at)}" if run.finished_at else "not finished"
    yield f"- Run `{run.id}`, {run.state}; started {moment(run.started_at)}, {finished}"
    if run.source_snapshot_lsn:
        yield f"- Source read at about {run.source_snapshot_lsn} (position in its write-ahead log)"
    if len(report.snapshots) > 1:
        yield f"- The run was continued: {len(report.snapshots)} snapshots of the source were read"
    yield f"- Mapping `{run.mapping_fingerprint[:12]}`"
    if report.causes:
        asked = sentences.proofs(report)
        yield f"- {asked}" if asked.held == asked.causes else f"- **{asked}**"
    yield ""


def _deferred(report: Report) -> Iterator[str]:
    """What has to wait stands before everything else."""
    if report.deferred:
        yield "## Deferred\n"
        yield from (f"- {sentences.decided(decision)}" for decision in report.deferred)
        yield ""


def _repairs(report: Report) -> Iterator[str]:
    if report.repairs:
        yield "## Repairs and decisions\n"
        yield from (f"- {sentences.repaired(record)}" for record in report.repairs)
        yield from (f"- {sentences.purged(purge)}" for purge in report.purges)
        yield ""
        rows = [(d.entity, f"`{d.code}`", d.disposition, count(d.rows), d.by or "", d.reason) for d in report.decisions]
        yield from _table(["entity", "cause", "decided", ">rows", "by", "why"], rows)


def _catch_ups(report: Report) -> Iterator[str]:
    if report.catch_ups:
        yield "## Catching up with the source\n"
        for record in report.catch_ups:
            yield f"- {record.id}. {sentences.caught_up(record)}"
            yield from (f"  - {line}" for line in sentences.caught(record))
        yield from (f"- **{sentences.kept(aside)}**" for aside in report.kept)
        yield from (f"- {sentences.gone(aside)}" for aside in report.gone)
        yield ""


def _progress(report: Report) -> Iterator[str]:
    if report.progress:
        yield "## Progress\n"
        yield sentences.going_on(report.progress) + "\n"


def _entities(report: Report) -> Iterator[str]:
    yield "## Completeness by entity\n"
    heads = ["entity", ">source", ">migrated", ">quarantined", ">excluded", ">open", ">rate", "impact"]
    yield from _table(heads, map(_entity, report.entities))


def _entity(line: EntityLine) -> tuple[str, ...]:
    c = line.counts
    numbers = map(count, (c.source, c.migrated, c.quarantined, c.excluded, line.open))
    return line.name, *numbers, percent(line.success_rate), line.impact


def _impact(report: Report) -> Iterator[str]:
    if any(impact.name for impact in report.impacts):
        yield "## Impact\n"
        heads = ["impact", ">source", ">migrated", ">quarantined", ">excluded", ">open", "entities"]
        rows = [
            (i.name or "no label", *map(count, asdict(i.counts).values()), count(i.open), ", ".join(i.entities))
            for i in report.impacts
        ]
        yield from _table(heads, rows)


def _first(report: Report) -> Iterator[str]:
    if report.priorities:
        yield "## What to do first\n"
        yield from (f"{n}. {sentences.priority(cause)}" for n, cause in enumerate(report.priorities, 1))
        yield ""


def _causes(report: Report) -> Iterator[str]:
    yield "## Causes\n"
    if not report.causes:
        yield "No row is in quarantine.\n"
        return
    yield "Roots first: a row's own defect, then the rows that are kept back only by their parents.\n"
    heads = ["entity", "cause", ">rows", ">share", ">roots", ">keeps back", ">frees", "proof"]
    yield from _table(heads, map(_cause_line, report.causes))
    yield from _attributions(report)
    for number, cause in enumerate(report.causes, 1):
        yield from _cause(number, cause)


def _cause_line(c: Cause) -> tuple[str, ...]:
    numbers = count(c.rows), percent(c.share), count(c.roots), count(c.victims), count(c.freed)
    return c.entity, f"`{c.code}`", *numbers, sentences.proof_state(c.proof)


def _attributions(report: Report) -> Iterator[str]:
    """Whose fault it was, by share of all quarantined rows."""
    shares = (f"{ATTRIBUTIONS[share.name]} ({percent(share.share)})" for share in report.attributions if share.rows)
    yield "Attributed to " + ", ".join(shares) + ".\n"


def _cause(number: int, cause: Cause) -> Iterator[str]:
    yield f"### {number}. {_cell(cause.entity)}: `{cause.code}`, {count(cause.rows, 'row')}\n"
    yield f"{MEANINGS[Reason(cause.code)]} {sentences.behind(cause)}".rstrip() + "\n"
    groups = [(place(g.column, g.hop), g.evidence or "", count(g.rows)) for g in cause.groups[:MOST_GROUPS]]
    yield from _table(["where", "evidence", ">rows"], groups)
    if len(cause.groups) > MOST_GROUPS:
        yield f"... and {count(len(cause.groups) - MOST_GROUPS, 'more group')}\n"
    if cause.samples:
        yield "Samples:\n"
        seen = [
            (_code(s.key), place(s.column, s.hop), _code(s.value or ""), _code(s.detail or s.evidence or ""))
            for s in cause.samples
        ]
        yield from _table(["key", "where", "value seen", "told"], seen)
    yield f"Proof: {sentences.proof_story(cause)}\n"
    if cause.proof:
        yield from _proof(cause.proof)
    if cause.remedies:
        yield "Remedies that fit:\n"
        yield from (f"- `{remedy}`: {REMEDIES.get(remedy, '')}" for remedy in cause.remedies)
        yield ""


def _proof(proof: Proof) -> Iterator[str]:
    """The SQL in a block whose fence is longer than any that the SQL itself holds."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", proof.text)), 0)
    yield f"{fence}sql\n{proof.text}\n{fence}\n"
    yield sentences.how_to_ask(proof) + "\n"


def _flows(report: Report) -> Iterator[str]:
    if report.flows:
        yield "## From roots to victims\n"
        rows = [(f.root_entity, f"`{f.root_code}`", f.entity, count(f.rows)) for f in report.flows]
        yield from _table(["root", "its cause", "keeps back rows of", ">rows"], rows)


def _ways(report: Report) -> Iterator[str]:
    """Relationship chains: the entities that each one hangs on, and its ways to its parents in the source."""
    if report.edges:
        yield "## Relationship chains\n"
        for analysis in analyses(report):
            yield from _ways_of(analysis)


def _ways_of(analysis: Analysis) -> Iterator[str]:
    if analysis.edges:
        yield f"### {_cell(analysis.line.name)}\n"
        yield from (f"- {' → '.join(map(_cell, chain))}" for chain in analysis.chains)
        yield ""
        rows = [(f"`{e.column}`", e.to, e.content_type or "", f"`{e.path}`", _failed(e)) for e in analysis.edges]
        yield from _table(["column", "parent", "content type", "path in the source", ">failed"], rows)


def _failed(edge: Edge) -> str:
    return "-" if edge.rejected is None else count(edge.rejected)


def _drifts(report: Report) -> Iterator[str]:
    if report.drifts:
        yield "## Content types whose id changed\n"
        yield from _table(
            ["entity", "column", "content type", ">id", ">rows", "from", "to"],
            [
                (d.entity, f"`{d.column}`", d.content_type, f"{d.id}{' (formerly)' if d.former else ''}", count(d.rows),
                 f"{d.by} {d.first}", str(d.last))
                for d in report.drifts
            ],
        )  # fmt: skip


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
    if foreseen := sentences.foreseen(report):
        yield f"## Forecast\n\n{foreseen}\n"


def _verification(report: Report) -> Iterator[str]:
    yield f"## Verification\n\n{sentences.verified(report)}\n"
    if rows := list(sentences.differences(report)):
        yield from _table(["entity", "column", "differences"], rows)


def _not_mapped(report: Report) -> Iterator[str]:
    left = [(entity, ", ".join(f"`{c}`" for c in columns)) for entity, columns in report.not_mapped.items() if columns]
    if left:
        yield "## Columns that the mapping leaves behind\n"
        yield from _table(["entity", "source columns"], left)


def _next(report: Report) -> Iterator[str]:
    yield "## What happens next\n"
    yield from (f"- {step}" for step in sentences.next_steps(report))


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A Markdown table and an empty line; a head that begins with ">" stands over numbers."""
    yield "| " + " | ".join(head.removeprefix(">") for head in heads) + " |"
    yield "|" + "|".join("---:" if head.startswith(">") else "---" for head in heads) + "|"
    for row in rows:
        yield "| " + " | ".join(_cell(cell) for cell in row) + " |"
    yield ""


def _code(text: str) -> str:
    """What a row holds, as code: it is not to be taken for markup."""
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    inner = f" {text} " if text.startswith("`") or text.endswith("`") else text
    return f"{fence}{inner}{fence}" if text.strip() else text


def _cell(text: str) -> str:
    parts = re.split(r"(`+[^`]*`+)", re.sub(r"[\r\n]", " ", text))  # code as it is, but for the table's own sign
    plain = [
        p if p.startswith("`") else p.replace("\\", "\\\\").replace("<", "&lt;").replace("](", "]\\(") for p in parts
    ]
    return "".join(plain).replace("|", "\\|")
