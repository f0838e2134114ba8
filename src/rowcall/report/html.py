"""The report as one page that needs nothing but itself: no network, no fonts, no script for what it says.

The page's sentences are those of the Markdown report; its pictures come from `graph`, `flow` and `bars`. The Content Security
Policy in it forbids every request and every script but the one whose hash it names.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from rowcall.explain.causes import Cause
from rowcall.report import sentences, words
from rowcall.report.analysis import analyses
from rowcall.report.bars import shares_bar, sums_bar, time_bar
from rowcall.report.flow import flow_picture
from rowcall.report.graph import bonds, entity_graph
from rowcall.report.report import Report
from rowcall.report.words import ATTRIBUTIONS, MEANINGS, REMEDIES, count, duration, percent, place, rate
from rowcall.rows import Reason
from rowcall.version import __version__

GOOD, BAD, OPEN = "good", "bad", "open"


def html(report: Report, *, show_values: bool = False) -> str:
    """The whole page. `show_values` says that the samples were given unmasked; the page then says so, too."""
    page = _environment().get_template("report.html")
    return page.render(
        report=report,
        show_values=show_values,
        seals=seals(report),
        proofs=sentences.proofs(report),
        causes=tuple(enumerate(report.causes, 1)),
        numbers={(cause.entity, cause.code): n for n, cause in enumerate(report.causes, 1)},
        bonds=bonds(report.edges),
        analyses=analyses(report),
        pictures=_pictures(report),
        foreseen_lines=_foreseen(report),
        version=__version__,
        **_assets(),
    )


@dataclass(frozen=True)
class Seal:
    """One of the page's promises, and whether it is kept."""

    name: str
    said: str
    state: str


def seals(report: Report) -> tuple[Seal, ...]:
    """Whether the sums close, the forecast matched, the target was verified, the proofs held."""
    found, matched, asked = report.verification, report.forecast["matched"], sentences.proofs(report)
    proven = BAD if asked.refuted else OPEN if asked.unasked else GOOD
    return (
        _seal("Sums", report.conserved, "close" if report.complete else "close so far", "do not close", ""),
        _seal("Forecast", matched, "matched", "differs", "none to compare"),
        _seal("Target", found["ok"] if found else None, "verified", "differs", "not verified yet"),
        Seal("Proofs", f"{count(asked.held)} of {count(asked.causes)} held", proven),
    )


def _seal(name: str, kept: bool | None, yes: str, no: str, unknown: str) -> Seal:
    if kept is None:
        return Seal(name, unknown, OPEN)
    return Seal(name, yes, GOOD) if kept else Seal(name, no, BAD)


def _pictures(report: Report) -> dict[str, Any]:
    longest = max((line.seconds or 0.0 for line in report.entities), default=0.0)
    return {
        "total": sums_bar("All entities", report.counts),
        "sums": {line.name: sums_bar(line.name, line.counts) for line in report.entities},
        "times": {line.name: time_bar(line, longest) for line in report.entities},
        "shares": shares_bar(report.attributions),
        "graph": entity_graph(report),
        "flow": flow_picture(report.flows) if report.flows else None,
    }


def _foreseen(report: Report) -> list[tuple[str, int, int]]:
    """(entity, quarantined rows foreseen, quarantined rows) where the two differ."""
    had = {line.name: line.counts.quarantined + report.repaired.get(line.name, 0) for line in report.entities}
    lines: Sequence[Mapping[str, Any]] = report.forecast["entities"]
    pairs = ((line["name"], line["quarantined"], had.get(line["name"], 0)) for line in lines)
    return [pair for pair in pairs if pair[1] != pair[2]] if report.complete else []


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("rowcall.report", "page"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters.update(
        count=count, percent=percent, duration=duration, rate=rate, inline=inline, moment=moment, breakable=breakable
    )
    made.globals.update(
        REMEDIES=REMEDIES,
        attribution=lambda name: ATTRIBUTIONS.get(name, name), meaning=_meaning, place=place,
        **{name: getattr(sentences, name) for name in SENTENCES},
    )  # fmt: skip
    return made


SENTENCES = (
    "behind", "caught_up", "decided", "differences", "foreseen", "going_on", "gone", "headline", "how_to_ask",
    "kept", "next_steps", "priority", "proof_state", "proof_story", "purged", "repaired", "verified",
)  # fmt: skip


def _meaning(cause: Cause) -> str:
    return MEANINGS[Reason(cause.code)]


def inline(said: str) -> Markup:
    """A sentence with its `**bold**` and `` `code` `` as elements; whatever else is in it is escaped first."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(said)))
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text))


def breakable(name: str) -> Markup:
    """A long name that may go on in the next line behind its underscores and dots."""
    return Markup(re.sub(r"([_.])(?=\w)", r"\1<wbr>", str(escape(name))))


def moment(at: str | None) -> Markup:
    """An ISO time for people, with the exact one for machines."""
    if not at:
        return Markup("not finished")
    return Markup('<time datetime="{}">{}</time>').format(at, words.moment(at))


@cache
def _assets() -> dict[str, Markup | str]:
    """The style sheet and the script as the page holds them, and the script's hash for its policy."""
    page = files("rowcall.report") / "page"
    style, script = ((page / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {"style": Markup(style), "script": Markup(script), "digest": digest}
