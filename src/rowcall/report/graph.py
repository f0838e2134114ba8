"""The picture of the entities: parents left, children right, and how many rows failed on the way between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log10

from markupsafe import Markup

from rowcall.report.layout import Layout, Spot, lay_out, settled
from rowcall.report.report import Edge, EntityLine, Report
from rowcall.report.svg import element, picture, short, text
from rowcall.report.words import count

TALL, GAP, BEND = 46.0, 18.0, 20.0
EDGE = 20.0  # the air around, in which a line from an entity to itself has room
LETTER, BROAD = 7.4, 9.4  # a letter of a name in a usual font, in a broad one
NARROW, WIDE = 120.0, 182.0
BETWEEN = 54.0


@dataclass(frozen=True)
class Bond:
    """All ways from a child to one parent as one line: the columns, how many ways, the rows that failed on them."""

    child: str
    parent: str
    columns: tuple[str, ...]
    ways: int
    rejected: int

    def __str__(self) -> str:
        failed = count(self.rejected, "row") + " failed" if self.rejected else "no row failed"
        return f"{self.parent} → {self.child} ({', '.join(self.columns)}): {failed}"


def bonds(edges: Sequence[Edge]) -> tuple[Bond, ...]:
    """Edges merged by child and parent, in the order of the document."""
    groups: dict[tuple[str, str], list[Edge]] = {}
    for edge in edges:
        groups.setdefault((edge.entity, edge.to), []).append(edge)
    return tuple(
        Bond(child, parent, tuple(dict.fromkeys(e.column for e in ways)), len(ways), sum(e.rejected or 0 for e in ways))
        for (child, parent), ways in groups.items()
    )


@dataclass(frozen=True)
class _Sheet:
    """The layout in the picture's own measures."""

    lines: Mapping[str, EntityLine]
    layout: Layout
    names: Sequence[str]

    @property
    def wide(self) -> float:
        return min(WIDE, max(NARROW, max(map(len, self.names), default=0) * LETTER + 24))

    @property
    def width(self) -> float:
        layers = max(self.layout.layer.values(), default=-1) + 1
        columns = max(layers, min(len(self.layout.alone), 5), 1)
        return columns * (self.wide + BETWEEN) - BETWEEN + 2 * EDGE

    @property
    def grid(self) -> float:
        """Where the boxes without any line begin."""
        return self.bottom + 26 if self.layout.layer else EDGE

    @property
    def height(self) -> float:
        rows = -(-len(self.layout.alone) // self.across)
        return (self.grid + rows * (TALL + GAP) - GAP if rows else self.bottom) + EDGE

    @property
    def bottom(self) -> float:
        """The lower end of the boxes and lines that are placed."""
        return max((self.middle(s) + (TALL / 2 if isinstance(s, str) else 2) for s in self.layout.layer), default=0.0)

    @property
    def across(self) -> int:
        return max(1, int((self.width + BETWEEN) // (self.wide + BETWEEN)))

    def left(self, spot: Spot) -> float:
        return EDGE + self.layout.layer[spot] * (self.wide + BETWEEN)

    def middle(self, spot: Spot) -> float:
        return EDGE + self.layout.y[spot]

    def corners(self) -> Iterator[tuple[str, float, float]]:
        """Each box with its upper left corner."""
        for name in self.names:
            if name in self.layout.layer:
                yield name, self.left(name), self.middle(name) - TALL / 2
        for n, name in enumerate(self.layout.alone):
            row, column = divmod(n, self.across)
            yield name, EDGE + column * (self.wide + BETWEEN), self.grid + row * (TALL + GAP)


def entity_graph(report: Report) -> Markup:
    """The whole picture."""
    merged = bonds(report.edges)
    lines = {line.name: line for line in report.entities}
    names = list(dict.fromkeys([*lines, *(name for bond in merged for name in (bond.parent, bond.child))]))
    layout = lay_out(names, [(bond.parent, bond.child) for bond in merged], TALL + GAP, BEND)
    sheet = _Sheet(lines, layout, names)
    ordered = sorted(merged, key=lambda bond: bond.rejected)  # those that matter lie on top
    boxes = (_box(sheet, *corner) for corner in sheet.corners())
    parts = [*(_line(sheet, bond) for bond in ordered), *boxes, *_tags(sheet, merged)]
    failed = sum(bond.rejected for bond in merged)
    told = (
        f"{count(len(names))} entities, {count(len(merged))} bonds between them; {count(failed, 'row')} failed on them."
        " The table below has the same figures."
    )
    return picture("graph", "Entities and their parents", told, sheet.width, sheet.height, parts, "graph")


def _line(sheet: _Sheet, bond: Bond) -> Markup:
    class_ = "bond bad" if bond.rejected else "bond"
    wide = 1.4 + (1.1 * log10(bond.rejected) + 0.6 if bond.rejected else 0)
    shape = _loop(sheet, bond) if bond.parent == bond.child else _curve(sheet, bond)
    return element("path", element("title", str(bond)), d=shape, class_=class_, stroke_width=wide)


def _loop(sheet: _Sheet, bond: Bond) -> str:
    """A reference to the entity itself: an ear at the upper right corner."""
    x, y = next((x, y) for name, x, y in sheet.corners() if name == bond.child)
    right = x + sheet.wide
    return f"M{right - 34:.1f},{y:.1f} c0,-20 52,-20 52,8 c0,16 -10,16 -18,16"


def _curve(sheet: _Sheet, bond: Bond) -> str:
    chain = sheet.layout.chains[bond.parent, bond.child]
    x, y = sheet.left(chain[0]) + sheet.wide, sheet.middle(chain[0])
    path = [f"M{x:.1f},{y:.1f}"]
    for spot in chain[1:]:
        to_x, to_y = sheet.left(spot), sheet.middle(spot)
        half = (x + to_x) / 2
        path.append(f"C{half:.1f},{y:.1f} {half:.1f},{to_y:.1f} {to_x:.1f},{to_y:.1f}")
        if spot != chain[-1]:
            path.append(f"H{to_x + sheet.wide:.1f}")
        x, y = to_x + sheet.wide, to_y
    return " ".join(path)


def _tags(sheet: _Sheet, merged: Sequence[Bond]) -> Iterator[Markup]:
    """The rows that failed, on the last stretch before the child; those at one height make room for each other."""
    columns: dict[float, list[tuple[float, Bond]]] = {}
    for bond in merged:
        if bond.rejected:
            x, y = _end(sheet, bond)
            columns.setdefault(x, []).append((y, bond))
    for x, tags in columns.items():
        tags.sort(key=lambda tag: tag[0])
        places = settled([y for y, _ in tags], [n * 19.0 for n in range(len(tags))])
        yield from (_tag(bond, x, y) for y, (_, bond) in zip(places, tags, strict=True))


def _tag(bond: Bond, x: float, y: float) -> Markup:
    said = count(bond.rejected)
    wide = len(said) * 7.2 + 12
    return element(
        "g",
        element("title", str(bond)),
        element("rect", x=x - wide / 2, y=y - 9, width=wide, height=18, rx=9),
        text(x, y + 4, said, "", "middle"),
        class_="tag",
    )


def _end(sheet: _Sheet, bond: Bond) -> tuple[float, float]:
    if bond.parent == bond.child:
        x, y = next((x, y) for name, x, y in sheet.corners() if name == bond.child)
        return x + sheet.wide + 8, y - 8
    before, last = sheet.layout.chains[bond.parent, bond.child][-2:]
    y, to = sheet.middle(before), sheet.middle(last)
    return sheet.left(last) - 0.42 * BETWEEN, y + 0.65 * (to - y)  # where the curve is at 0.6


def _box(sheet: _Sheet, name: str, x: float, y: float) -> Markup:
    line = sheet.lines.get(name)
    bad = line.counts.quarantined if line else 0
    rows = count(line.counts.source, "row") if line else "not in this run"
    held = element("tspan", f"{count(bad)} of ", class_="bad") if bad else Markup("")
    return element(
        "g",
        element("title", f"{name}: {rows}, {count(bad)} quarantined"),
        element("rect", x=x, y=y, width=sheet.wide, height=TALL, rx=7, class_="box"),
        element("rect", x=x, y=y + 9, width=3.5, height=TALL - 18, rx=1.75, class_="mark"),
        _name(name, x + 13, y + 20, sheet.wide - 20),
        element("text", held, rows, x=x + 13, y=y + 36, class_="small"),
        class_="node bad" if bad else "node",
    )


def _name(name: str, x: float, y: float, room: float) -> Markup:
    """Whatever font the reader has: a long name is set to the room that there is."""
    said = short(name, int(room / LETTER))
    tight = room if len(said) * BROAD > room else None
    return element(
        "text", said, x=x, y=y, class_="name",
        textLength=tight and min(tight, len(said) * LETTER), lengthAdjust=tight and "spacingAndGlyphs",
    )  # fmt: skip
