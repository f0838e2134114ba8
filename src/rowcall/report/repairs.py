"""Repairs for the terminal: what one did or would do, and the list of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC
from itertools import groupby

from rich.table import Table
from rich.text import Text

from rowcall.ledger.repairs import RepairRecord
from rowcall.repair.effect import Effect
from rowcall.repair.offers import Offer
from rowcall.repair.retry import Retried
from rowcall.repair.undo import Undone
from rowcall.report.text import plain_table
from rowcall.report.words import are, count

LONGEST = 60  # characters of a value


def effect_parts(effect: Effect) -> Iterator[Table | str]:
    """A repair: which rows it chose, what becomes of them, some of them before and after."""
    request, done = effect.request, effect.repair is not None
    waits = are(effect.chosen, "waits", "wait")
    yield f"{request.remedy} for {request.cause}: {count(effect.chosen, 'row')} {waits} for a decision"
    if effect.samples:
        yield _samples(effect)
    if effect.decided:
        yield f"{count(effect.decided, 'row')} {are(effect.decided) if done else 'would be'} decided about"
    else:
        yield f"{count(effect.rows, 'row')} {'came' if done else 'would come'} home{_split(effect)}"
    if effect.victims:
        behind = ", ".join(f"{count(rows)} of {entity}" for entity, rows in effect.victims.items())
        yield f"{count(sum(effect.victims.values()), 'victim')} could follow then: {behind}"
    yield from _beside(effect, done)
    yield (
        f"repair {effect.repair}: `rowcall repair undo {effect.repair}` takes it back"
        if done
        else "nothing was changed"
    )


def _beside(effect: Effect, done: bool) -> Iterator[str]:
    """What did not come home, or not as a row of its own, and what was made."""
    if merged := sum(fate.merged for fate in effect.fates.values()):
        yield f"{count(merged)} of these {are(merged) if done else 'would be'} merged: another row stands for each"
    for code, rows in effect.left.items():
        yield f"{count(rows, 'row')} {are(rows, 'stays', 'stay') if done else 'would stay'}: {code}"
    if effect.created:
        made = are(effect.created, "was", "were") if done else "would be"
        yield f"{count(effect.created, 'row')} {made} created, marked as synthetic in the ledger"
    if effect.idle:
        yield f"{count(effect.idle)} of these {are(effect.idle, 'waits', 'wait')} for rows that something else keeps back"
    for code, rows in effect.refused.items():
        yield f"{count(rows, 'row')} could not be created: {code}"
    if effect.unhealed:
        stay = are(effect.unhealed, "stays", "stay")
        yield f"{count(effect.unhealed, 'row')} {stay} as before: the remedy found nothing to heal with"
    if effect.changed:
        yield f"{count(effect.changed, 'row')} changed at the source since: `rowcall run --retry` reads them anew"


def undone_line(undone: Undone) -> str:
    """A repair that was taken back."""
    told = [
        f"{count(rows, 'row')} of {entity} {are(rows)} in quarantine again"
        for entity, rows in undone.rows.items()
        if rows
    ]
    told += [f"{count(undone.decided, 'decision')} taken back"] if undone.decided else []
    told += [f"{count(undone.created, 'created row')} removed"] if undone.created else []
    return f"repair {undone.repair} is undone: {', '.join(told) or 'it had changed no row'}"


def _split(effect: Effect) -> str:
    own = effect.home.get(effect.request.entity, 0)
    return "" if own == effect.rows else ": " + ", ".join(f"{count(n)} of {e}" for e, n in effect.home.items())


def _samples(effect: Effect) -> Table:
    table = plain_table(None, [], [])
    for head in ("key", "column"):
        table.add_column(head, no_wrap=True)
    for head in ("before", "after"):
        table.add_column(head, overflow="fold", min_width=12)
    table.add_column("then", no_wrap=True)
    for s in effect.samples:
        table.add_row(Text(s.key), Text(s.column), Text(_short(s.before)), Text(_short(s.after)), Text(s.fate))
    return table


def _short(value: str | None) -> str:
    text = "NULL" if value is None else value
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def repairs_table(records: Sequence[RepairRecord]) -> Table:
    table = plain_table(None, [], ["id"])
    table.add_column("cause", overflow="fold", min_width=10)
    table.add_column("remedy, state", overflow="fold", min_width=11)
    for head in ("chosen", "home", "made"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("by, when, why", overflow="fold", min_width=16)
    for r in records:
        numbers = (count(r.chosen), count(r.home), count(r.created))
        when = f"{r.applied_at.astimezone(UTC):%Y-%m-%d %H:%M}"
        why = f"{r.actor}, {when}" + (f": {r.reason}" if r.reason else "")
        why += f"; undone by {r.undone_by}" + (f": {r.undone_reason}" if r.undone_reason else "") if r.undone_by else ""
        told = f"{r.remedy}" + (", undone" if r.undone_by else "")
        table.add_row(str(r.id), f"{r.entity}/{r.code}", told, *numbers, Text(why))
    return table


def offers_parts(offers: Sequence[Offer]) -> Iterator[Table | str]:
    """Cause by cause what fits, and what it brings home. What decides fits every cause: it is told once."""
    if not offers:
        yield "no row waits for a decision"
        return
    table = plain_table(None, [], [])
    table.add_column("cause", overflow="fold", min_width=12)
    table.add_column("at", overflow="fold", min_width=8)
    table.add_column("remedy", no_wrap=True)
    for number in ("rows", "home", "victims"):
        table.add_column(number, justify="right", no_wrap=True)
    table.add_column("needs", overflow="fold", min_width=14)
    for (entity, code, column), group in groupby(offers, key=lambda o: (o.entity, o.code, o.column)):
        told = list(group)
        healing = [o for o in told if not o.decides]
        head, rows = [f"{entity}/{code}", column or ""], count(max(o.rows for o in told))
        for o in healing:
            table.add_row(*map(Text, head), Text(o.remedy), rows, *_numbers(o), Text(_needed(o)))
            head, rows = ["", ""], ""
        if not healing:
            table.add_row(*map(Text, head), Text("none fits", style="dim"), rows, "", "", "")
        table.add_section()
    yield table
    yield "every remedy with a number was tried and taken back"
    yield "each cause can be archived, accepted or deferred, too: `rowcall dispose`"


def _numbers(offer: Offer) -> tuple[str, str]:
    if offer.effect is None:
        return "", ""
    victims = sum(offer.effect.victims.values())
    return count(offer.effect.rows), count(victims) if victims else "-"


def _needed(offer: Offer) -> str:
    """What is missing for a trial, in short; of a tried one what keeps rows back."""
    if offer.effect is None:
        return offer.needs.replace("`", "")
    left = [f"{count(rows)} left: {code}" for code, rows in offer.effect.left.items()]
    return "; ".join(left)


def replayed_lines(effect: Effect) -> Iterator[str]:
    """A repair of the project file that a run applied."""
    done = f"{count(effect.decided, 'row')} decided" if effect.decided else f"{count(effect.rows, 'row')} came home"
    yield f"repair {effect.repair}, {effect.request.remedy} for {effect.request.cause}: {done}"


def retried_line(retried: Retried) -> str:
    """What reading the quarantined rows anew came to."""
    parts = {"came home": retried.home, "excluded by a rule now": retried.excluded, "gone at the source": retried.gone}
    told = [f"{count(sum(rows.values()))} {what}" for what, rows in parts.items() if sum(rows.values())]
    new = ", ".join(f"{count(rows, 'row')} of {entity}" for entity, rows in retried.unseen.items())
    advice = (
        f"; {new} came to the source after the run, and rows may lead there: `rowcall run` takes them up" if new else ""
    )
    return f"{count(sum(retried.read.values()), 'quarantined row')} read anew: {', '.join(told) or 'none came home'}{advice}"
