"""The picture of the page on scaling: for each set-up a bar of its phases, in SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape

from bench.picture import BAR, STEP, TOP, WIDTH
from bench.plant import Outcome
from bench.simulate import duration

LABELS, FIGURES = 150, 90  # pixels: the names on the left, the times on the right
STYLE = """text { font: 14px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #24292f } .figure { fill: #57606a }
.start { fill: #afb8c1 } .rows { fill: #1a7f64 } .keys { fill: #57606a }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .figure { fill: #9198a1 }
.start { fill: #484f58 } .rows { fill: #3fb68b } .keys { fill: #9198a1 } }"""


def picture(title: str, outcomes: Mapping[str, Outcome]) -> str:
    """Bars as long as the share of each phase in its own run: the runs differ too much for one measure of time."""
    height = TOP * 2 + STEP * (len(outcomes) + 1)
    names = [phase.name for phase in next(iter(outcomes.values())).phases]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        f"<title>{escape(title)}: the share of each phase in the time, by set-up</title>",
        f"<style>{STYLE}</style>",
        *_legend(title, names),
        *("".join(_bar(TOP + STEP * place, *item)) for place, item in enumerate(outcomes.items(), 1)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _legend(title: str, names: list[str]) -> Iterator[str]:
    yield f'<text x="{LABELS - 10}" y="{TOP + BAR / 2 + 5:g}" text-anchor="end">{escape(title)}</text>'
    for place, name in enumerate(names):
        x = LABELS + place * 90
        yield f'<rect class="{name}" x="{x}" y="{TOP + 4}" width="12" height="12" rx="2"/>'
        yield f'<text x="{x + 18}" y="{TOP + BAR / 2 + 5:g}">{name}</text>'


def _bar(y: int, name: str, outcome: Outcome) -> Iterator[str]:
    middle, x = y + BAR / 2 + 5, float(LABELS)
    yield f'<text x="{LABELS - 10}" y="{middle:g}" text-anchor="end">{escape(name)}</text>'
    for phase in outcome.phases:
        width = (WIDTH - LABELS - FIGURES) * phase.seconds / outcome.seconds
        yield f'<rect class="{phase.name}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}"/>'
        x += width
    yield f'<text class="figure" x="{x + 8:.1f}" y="{middle:g}">{duration(outcome.seconds)}</text>'
