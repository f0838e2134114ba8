"""Tables for the terminal, as rich renderables: the command line prints them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich import box
from rich.table import Table
from rich.text import Text

from rowcall.explain.causes import Cause
from rowcall.explain.proof import QUERY
from rowcall.explain.story import Story, StoryHop
from rowcall.forecast import ForecastDocument
from rowcall.ledger.book import EntitySums
from rowcall.mapping.model import MERGED
from rowcall.report.report import EntityLine, foreseen_line
from rowcall.report.sentences import SESSION, WHY_KEPT
from rowcall.report.words import count, percent, place, speed
from rowcall.rows import Counts
from rowcall.verify.checks import Verification

LONGEST_VALUE = 300  # characters


def entities_table(lines: Sequence[EntityLine], title: str | None = None) -> Table:
    """Entity by entity: source, migrated, quarantined, excluded, rate; a total below."""
    table = plain_table(title, ["entity"], ["source", "migrated", "quarantined", "excluded", "rate", "rows/s"])
    for line in lines:
        _sums(table, line.name, line.counts, percent(line.success_rate), speed(line.rows_per_second))
    table.add_section()
    total = EntityLine("total", sum((line.counts for line in lines), Counts()), 0)
    _sums(table, "total", total.counts, percent(total.success_rate), "")
    return table


def forecast_parts(document: ForecastDocument) -> Iterator[Table | str]:
    """A forecast: the verdicts, why, and whether the run will fit."""
    yield entities_table([foreseen_line(name, counts) for name, counts in document.counts.items()], "Forecast")
    if document.causes:
        yield causes_table(document.causes, "Causes, root first")
    for (entity, rule), rows in document.excluded.items():
        yield f"{entity}: {count(rows, 'row')} excluded by {rule}"
    for told in document.repairs:
        home = count(sum(told["home"].values()), "row")
        done = f"{count(told['decided'], 'row')} decided" if told["decided"] else f"{home} would come home"
        yield f"repair of the project file, {told['remedy']} for {told['entity']}/{told['code']}: {done}"
    e = document.estimate
    yield (
        f"estimate of a run: {e['minutes']:.1f} minutes; in the target {e['target_bytes'] / 2**20:,.0f} MB of disk and as much "
        f"WAL, ROW EXCLUSIVE locks on {e['target_locks']['tables']} tables; in the source ACCESS SHARE on "
        f"{e['source_locks']['tables']}"
    )
    yield from (f"note: {note}" for note in document.notes)
    if document.over_budget:
        yield "the error budget would stop this run"


def status_table(entities: Sequence[EntitySums]) -> Table:
    """A running migration, entity by entity."""
    table = plain_table(None, ["entity"], ["settled", "of", "done", "quarantined", "chunks"])
    for e in entities:
        share = percent(e.rows_read / e.total) if e.total else "-"
        numbers = (
            count(e.rows_read),
            f"{'' if e.counted else '~'}{count(e.total)}",
            share,
            count(e.counts.quarantined),
        )
        table.add_row(Text(e.name), *numbers, f"{e.chunks_settled}/{e.chunks}")
    return table


def verification_table(found: Verification) -> Iterator[Table | str]:
    """The verification: accounts, then references, then the verdict."""
    accounts = plain_table("Accounts", ["entity"], ["source", "migrated", "quar.", "excl.", "missing", "surplus"])
    accounts.add_column("ok")
    for a in found.accounts:
        sums = map(count, (a.source, a.migrated, a.quarantined, a.excluded))
        missing, surplus = a.missing_lines + (a.missing_in_target or 0), a.surplus_lines + a.duplicates
        surplus += 0 if a.occupied else a.foreign_in_target or 0
        accounts.add_row(Text(a.entity), *sums, count(missing), count(surplus), "yes" if a.ok else "NO")
    references = plain_table("References", ["entity", "column"], ["checked", "null", "broken", "wrong"])
    references.add_column("ok")
    for r in found.references:
        numbers = map(count, (r.checked, r.nulls, r.broken, r.wrong))
        references.add_row(Text(r.entity), Text(r.column), *numbers, "yes" if r.ok else "NO")
    yield from (accounts, references)
    if found.source_moved and not found.ok:
        yield "the source moved since the run: differences may be its changes"
    yield (
        "verified: keys and references agree (values are not compared yet)"
        if found.ok
        else "DIFFERENCES were found: `rowcall verify --json` lists keys"
    )


def causes_table(causes: Sequence[Cause], title: str | None = None) -> Table:
    """Causes, root first: what failed, where, how many rows, what they keep back, and whether the proof holds."""
    table = plain_table(title, ["entity", "cause", "where"], ["rows", "roots", "victims"])
    proven = any(cause.proof for cause in causes)
    if proven:
        table.add_column("proof", no_wrap=True)
    decided = any(cause.open != cause.rows for cause in causes)
    if decided:
        table.add_column("open", justify="right", no_wrap=True)
    for cause in causes:
        spots = dict.fromkeys(place(group.column, group.hop) for group in cause.groups)
        told = [Text(_state(cause))] if proven else []
        told += [Text(count(cause.open))] if decided else []
        table.add_row(
            Text(cause.entity),
            Text(cause.code, style="bold" if cause.is_root else ""),
            Text("\n".join(filter(None, spots))),
            count(cause.rows),
            count(cause.roots),
            count(cause.victims) if cause.victims else "-",
            *told,
        )
    return table


def _state(cause: Cause) -> str:
    if cause.proof is None or cause.proof.held is None:
        return "not asked"
    return ("holds" if cause.proof.kind == QUERY else "checked") if cause.proof.held else "DOES NOT HOLD"


def home_lines(causes: Sequence[Cause]) -> Iterator[str]:
    """What to begin with: the causes that keep others back, by the rows that come home."""
    for cause in sorted(causes, key=lambda c: -c.freed):
        if cause.is_root and cause.open and cause.freed > cause.rows:
            these = "this row" if cause.rows == 1 else f"these {count(cause.rows)} rows"
            named = f", {count(cause.parents, 'parent')} named" if cause.parents else ""
            yield f"repair {these} of {cause.entity} ({cause.code}{named}): {count(cause.freed, 'row')} come home"


def proof_lines(causes: Sequence[Cause]) -> Iterator[str]:
    """Proofs that were asked: how many hold, and by what the others differ."""
    for cause in causes:
        if cause.proof and cause.proof.held is False:
            lacks = f"lacks {count(cause.proof.missing, 'rejected key')}" if cause.proof.missing else ""
            more = f"has {count(cause.proof.surplus)} too many" if cause.proof.surplus else ""
            told = f" ({', '.join(cause.proof.examples)})" if cause.proof.examples else ""
            yield f"{cause.entity}/{cause.code} is UNPROVEN: its proof {' and '.join(filter(None, (lacks, more)))}{told}"
    if any(cause.proof and cause.proof.held is False for cause in causes):
        yield "rows that changed at the source since they were judged differ: `rowcall run --retry` reads those in quarantine anew"
    held = sum(1 for cause in causes if cause.proof and cause.proof.held)
    yield f"{held} of {count(len(causes), 'proof')} hold: `rowcall explain ENTITY` prints them"


def cause_lines(causes: Sequence[Cause]) -> Iterator[str]:
    """Of each cause some keys to look at, and its proof to run by hand."""
    for cause in causes:
        keys = ", ".join(repr(key) if " " in key else key for key in cause.examples)
        yield f"{cause.entity} {cause.code}: for example {keys}"
    for cause in causes:
        if cause.proof:
            yield f"\n-- proof of {cause.entity}/{cause.code} ({_state(cause)})"
            yield SESSION if cause.proof.kind == QUERY else ""
            yield cause.proof.text


def story_text(story: Story) -> Text:
    """One row's story, with the values seen: for the screen of who asked for it."""
    text = Text()
    text.append(f"{story.entity} {story.key}", style="bold")
    text.append(f": {story.outcome}" + (f" as {story.target_id}" if story.target_id else ""))
    text.append(f" ({story.cause})\n" if story.cause else "\n")
    if not story.in_source:
        text.append("The row is no longer in the source.\n", style="yellow")
    if story.merged:
        into, key, uid = story.merged
        text.append(f"{into} {key} stands for it, as {uid}; references to it lead there.\n")
    if story.kept:
        text.append(
            f"Its row in the target is not as the source has it, and stays so: {WHY_KEPT[story.kept]}.\n",
            style="yellow",
        )
    for reference, hops in groupby(story.hops, key=lambda hop: hop.reference):
        text.append(f"\n{reference}\n", style="bold")
        text.append("".join(_hop_lines(list(hops))))
    text.append("".join(_fates(story)))
    text.append("".join(_treatments(story)))
    return text


def _treatments(story: Story) -> Iterator[str]:
    """What repairs did with the row."""
    for t in story.treatments:
        became = "came home" if t.home else f"left for {t.left_for}" if t.left_for else "decided"
        became = "merged" if t.left_for == MERGED else became
        given = f"{t.column} became {plain(t.given) if t.given else 'NULL'}, " if t.column else ""
        undone = ", undone" if t.state == "undone" else ""
        why = f": {t.reason}" if t.reason else ""
        yield f"repair {t.repair} ({t.remedy}, {t.actor}, {t.at:%Y-%m-%d %H:%M}{undone}): {given}{became}{why}\n"


def plain(value: str) -> str:
    """A row's value for the terminal: on one line, without what would steer the screen, and not all of a long one."""
    cut = value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]}… ({len(value):,} characters)"
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
    return shown if shown.strip() == shown and shown else repr(shown)


def _hop_lines(hops: Sequence[StoryHop]) -> Iterator[str]:
    """The hops of one reference, for each element where there are several; where there are several ways, each further one begins
    with "or"."""
    for before, hop in zip((None, *hops), hops, strict=False):
        if hop.element and (before is None or before.element != hop.element):
            yield f"  element {hop.element}\n"
        elif before and before.number and hop.number == 1:
            yield "  or\n"
        seen = (" -> " if hop.climb else ", ").join("NULL" if value is None else plain(value) for value in hop.seen)
        rest = "; ".join(filter(None, (count(hop.found, "row") if hop.number else "", hop.note)))
        yield f"  {hop.number or ' '} {hop.text}: {seen}   ({rest})\n"


def _fates(story: Story) -> list[str]:
    lines = ["\n"]
    for fate in story.parents:
        became = fate.outcome or "not in the ledger"
        became += f" into {fate.cause}" if fate.outcome == MERGED else ""
        became += f" as {fate.target_id}" if fate.target_id else f" ({fate.cause})" if fate.cause else ""
        lines.append(f"{fate.reference} ends at {fate.entity} {fate.key}: {became}\n")
    for found in story.rejections:
        where = place(found.get("reference") or found.get("column"), found.get("hop"))
        seen = "" if found.get("value") is None else f": saw {plain(found['value'])}"
        told = ": ".join(filter(None, (found.get("evidence"), found.get("detail"))))
        evidence = f" [{told}]" if told else ""
        lines.append(f"rejected: {found['code']}" + (f" at {where}" if where else "") + f"{seen}{evidence}\n")
    lines += [f"{n['column']} became NULL: {n['code']}, as the mapping says\n" for n in story.nulled]
    if len(story.chain) > 1:
        links = " <- ".join(f"{link.entity} {link.key} ({link.code})" for link in story.chain)
        lines.append(f"kept back by its root: {links}\n")
    return lines


def plain_table(title: str | None, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in texts:
        table.add_column(name, overflow="fold", no_wrap=name != "where")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _sums(table: Table, name: str, counts: Counts, share: str, fast: str) -> None:
    numbers = (counts.source, counts.migrated, counts.quarantined, counts.excluded)
    table.add_row(Text(name), *map(count, numbers), share, fast)
