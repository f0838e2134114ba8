"""The picture of the page: one bar per way, in SVG."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from bench.results import Document

WIDTH, LABELS, FIGURES = 880, 210, 180  # pixels: the whole, the names on the left, the figures on the right
BAR, STEP, TOP = 20, 32, 16
STYLE = """text { font: 14px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #24292f }
.figure { fill: #57606a } .bar { fill: #afb8c1 } .floor { fill: #57606a } .rowcall, .check { fill: #1a7f64 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .figure { fill: #9198a1 } .bar { fill: #484f58 }
.floor { fill: #9198a1 } .rowcall, .check { fill: #3fb68b } }"""


def picture(document: Document) -> str:
    """Bars as long as the medians, the shortest on top; ways that were not measured have none."""
    ways = sorted((way["median"], name) for name, way in document["ways"].items() if way["status"] == "measured")
    height = TOP * 2 + STEP * len(ways)
    rows = document["rows"]["source"]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        f"<title>Seconds to move {rows:,} rows, by way; shorter is better</title>",
        f"<style>{STYLE}</style>",
        *(_bar(place, name, document["ways"][name], ways[-1][0]) for place, (_, name) in enumerate(ways)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _bar(place: int, name: str, way: Document, longest: float) -> str:
    return "".join(_parts(TOP + place * STEP, name, way, (WIDTH - LABELS - FIGURES) * way["median"] / longest))


def _parts(y: int, name: str, way: Document, length: float) -> Iterator[str]:
    middle = y + BAR / 2 + 5
    times = "" if way["to_floor"] is None else f" · {way['to_floor']:.2f} x floor"
    yield f'<text x="{LABELS - 10}" y="{middle:g}" text-anchor="end">{escape(way["label"])}</text>'
    yield f'<rect class="bar {name}" x="{LABELS}" y="{y}" width="{max(length, 1):.1f}" height="{BAR}" rx="3"/>'
    yield f'<text class="figure" x="{LABELS + length + 8:.1f}" y="{middle:g}">{way["median"]:.1f} s{times}</text>'
