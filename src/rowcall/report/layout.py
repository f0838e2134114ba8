"""Where the boxes of a layered graph go: parents left of their children, few crossings, lines that run straight.

The classical four steps: turn back what closes a circle, layer by the longest way, order each layer by the middle of
its neighbours, then place. A line over several layers is led through a bend in each, so that it passes between boxes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from statistics import fmean

Arc = tuple[str, str]  # parent, child
Bend = tuple[str, str, int]  # a line's bend in a layer
Spot = str | Bend
SWEEPS = 16


@dataclass
class Layout:
    """`layer` and `y` of every box and bend; `chains`: per arc the spots from its left end to its right one."""

    layer: dict[Spot, int]
    y: dict[Spot, float] = field(default_factory=dict)
    chains: dict[Arc, list[Spot]] = field(default_factory=dict)
    alone: list[str] = field(default_factory=list)


def lay_out(names: Sequence[str], arcs: Iterable[Arc], box: float, bend: float) -> Layout:
    """`box` and `bend` are the heights that a box and a bend take. Boxes without any arc are `alone` and not placed."""
    known = list(dict.fromkeys(arc for arc in arcs if arc[0] != arc[1]))
    joined = {name for arc in known for name in arc}
    nodes = [name for name in names if name in joined]
    forward = _without_circles(nodes, known)
    made = Layout(_layers(nodes, list(forward.values())), alone=[name for name in names if name not in joined])
    for arc, (left, right) in forward.items():
        made.chains[arc] = _chain(made.layer, left, right)
    rows = _ordered(made)
    _place(made, rows, {spot: box if isinstance(spot, str) else bend for spot in made.layer})
    return made


def _without_circles(nodes: Sequence[str], arcs: Sequence[Arc]) -> dict[Arc, Arc]:
    """Each arc as it is drawn from left to right: those that lead back to a box on the way here are turned."""
    children: dict[str, list[str]] = {name: [] for name in nodes}
    for parent, child in arcs:
        children[parent].append(child)
    back: set[Arc] = set()
    state: dict[str, bool] = {}  # True: on the way, False: done with
    for start in sorted(nodes, key=lambda name: sum(child == name for _, child in arcs)):
        _visit(start, children, state, back)
    return {arc: arc[::-1] if arc in back else arc for arc in arcs}


def _visit(start: str, children: Mapping[str, list[str]], state: dict[str, bool], back: set[Arc]) -> None:
    if start in state:
        return
    state[start] = True
    way = [(start, iter(children[start]))]
    while way:
        name, rest = way[-1]
        child = next(rest, None)
        if child is None:
            state[name] = False
            way.pop()
        elif state.get(child):
            back.add((name, child))
        elif child not in state:
            state[child] = True
            way.append((child, iter(children[child])))


def _layers(nodes: Sequence[str], arcs: Sequence[Arc]) -> dict[Spot, int]:
    """The longest way to each box from one without parents."""
    layer: dict[Spot, int] = dict.fromkeys(nodes, 0)
    for _ in nodes:
        for parent, child in arcs:
            layer[child] = max(layer[child], layer[parent] + 1)
    return layer


def _chain(layer: dict[Spot, int], left: str, right: str) -> list[Spot]:
    bends: list[Spot] = [(left, right, at) for at in range(layer[left] + 1, layer[right])]
    layer.update((spot, at) for at, spot in enumerate(bends, layer[left] + 1))
    return [left, *bends, right]


def _ordered(made: Layout) -> list[list[Spot]]:
    """Sweeps right and left by the middle of the neighbours; the order with the fewest crossings stays."""
    links = list(dict.fromkeys(link for chain in made.chains.values() for link in pairwise(chain)))
    rows: list[list[Spot]] = [[] for _ in range(max(made.layer.values(), default=-1) + 1)]
    for spot, at in made.layer.items():
        rows[at].append(spot)
    best, fewest = [list(row) for row in rows], _crossings(rows, links)
    for sweep in range(SWEEPS):
        _sweep(rows, links, rightward=sweep % 2 == 0)
        if (found := _crossings(rows, links)) < fewest:
            best, fewest = [list(row) for row in rows], found
    return best


def _sweep(rows: list[list[Spot]], links: Sequence[tuple[Spot, Spot]], rightward: bool) -> None:
    ways = links if rightward else [(right, left) for left, right in links]
    near: dict[Spot, list[Spot]] = {}
    for here, there in ways:
        near.setdefault(there, []).append(here)
    at = _positions(rows)
    for row in rows if rightward else reversed(rows):
        row.sort(key=lambda spot: fmean(at[n] for n in near[spot]) if spot in near else at[spot])
        at.update((spot, float(index)) for index, spot in enumerate(row))


def _positions(rows: Sequence[Sequence[Spot]]) -> dict[Spot, float]:
    return {spot: float(index) for row in rows for index, spot in enumerate(row)}


def _crossings(rows: Sequence[Sequence[Spot]], links: Sequence[tuple[Spot, Spot]]) -> int:
    at = _positions(rows)
    layer = {spot: index for index, row in enumerate(rows) for spot in row}
    found = 0
    for index in range(len(rows) - 1):
        pairs = sorted((at[left], at[right]) for left, right in links if layer[left] == index)
        found += sum(a[1] > b[1] for n, a in enumerate(pairs) for b in pairs[n + 1 :] if a[0] < b[0])
    return found


def _place(made: Layout, rows: Sequence[Sequence[Spot]], size: Mapping[Spot, float]) -> None:
    """Each spot as near to the middle of its neighbours as the order and the sizes of its layer allow."""
    near: dict[Spot, list[Spot]] = {spot: [] for spot in made.layer}
    for left, right in (link for chain in made.chains.values() for link in pairwise(chain)):
        near[left].append(right)
        near[right].append(left)
    for row in rows:
        made.y.update(zip(row, _apart(row, size), strict=True))
    for _ in range(SWEEPS):
        for row in rows:
            wanted = [fmean(made.y[n] for n in near[spot]) for spot in row]
            made.y.update(zip(row, settled(wanted, _apart(row, size)), strict=True))
    top = min((made.y[spot] - size[spot] / 2 for spot in made.y), default=0.0)
    made.y = {spot: y - top for spot, y in made.y.items()}


def _apart(row: Sequence[Spot], size: Mapping[Spot, float]) -> list[float]:
    """The middles of a layer's spots when they stand as close as they may."""
    steps = [(size[above] + size[below]) / 2 for above, below in pairwise(row)]
    return list(accumulate(steps, initial=0.0)) if row else []


def settled(wanted: Sequence[float], apart: Sequence[float]) -> list[float]:
    """The places nearest to the wanted ones that keep order and distance: least squares, by pooling neighbours that
    would overlap into one block."""
    blocks: list[list[float]] = []
    for want, offset in zip(wanted, apart, strict=True):
        blocks.append([want - offset])
        while len(blocks) > 1 and fmean(blocks[-2]) > fmean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    shifts = [fmean(block) for block in blocks for _ in block]
    return [shift + offset for shift, offset in zip(shifts, apart, strict=True)]
