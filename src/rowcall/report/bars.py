"""Bars in which even the smallest part is seen."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from rowcall.report.report import EntityLine, Share
from rowcall.report.svg import element
from rowcall.report.words import count, duration, percent
from rowcall.rows import Counts

LEAST = 1.2  # percent of the bar: about 3 px of a usual one


def widths(parts: Sequence[float]) -> list[float]:
    """Parts as percents of a bar. One that is not nothing gets `LEAST`; the largest pays for it."""
    total = sum(parts)
    if total <= 0:
        return [0.0 for _ in parts]
    wide = [max(LEAST, 100 * part / total) if part > 0 else 0.0 for part in parts]
    largest = max(range(len(wide)), key=lambda n: parts[n])
    wide[largest] -= sum(wide) - 100
    return wide


def sums_bar(name: str, counts: Counts) -> Markup:
    """One entity's rows: migrated, quarantined, excluded."""
    parts = {"migrated": counts.migrated, "quarantined": counts.quarantined, "excluded": counts.excluded}
    told = ", ".join(f"{count(rows)} {part}" for part, rows in parts.items())
    return _bar(name, told, parts)


def shares_bar(shares: Sequence[Share]) -> Markup:
    """All quarantined rows by whose fault they are."""
    told = ", ".join(f"{share.name} {percent(share.share)}" for share in shares)
    return _bar("Attribution of the quarantined rows", told, {f"part-{n}": s.share for n, s in enumerate(shares)})


def time_bar(line: EntityLine, longest: float) -> Markup:
    """One entity's seconds beside those of the slowest."""
    seconds = line.seconds or 0.0
    return _bar(line.name, duration(line.seconds), {"time": seconds, "rest": max(0.0, longest - seconds)})


def _bar(name: str, told: str, parts: dict[str, float] | dict[str, int]) -> Markup:
    x, drawn = 0.0, []
    for class_, wide in zip(parts, widths(list(parts.values())), strict=True):
        if wide and class_ != "rest":
            drawn.append(element("rect", x=f"{x:.2f}%", width=f"{wide:.2f}%", height="100%", class_=class_))
        x += wide
    return element(
        "svg", element("title", f"{name}: {told}"), *drawn, class_="bar", role="img", aria_label=f"{name}: {told}"
    )
