"""The picture of what keeps what back: root causes left, the entities of their victims right, bands as wide as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from rowcall.report.report import Flow
from rowcall.report.svg import element, picture, short, text
from rowcall.report.words import count

BAR, MIDDLE = 12.0, 400.0
LETTER, SIDE = 7.9, 250.0  # a letter of a label; the most that labels take
TALL = 64.0  # what all rows together take per node of the longer side, thinnest bands aside
THIN = 2.0  # the thinnest band that is still seen
SLOT, GAP = 38.0, 14.0  # a label's two lines; the air between nodes


@dataclass(frozen=True)
class _Node:
    """A root cause or a victim entity: `top` of its bar, `tall` of it; `y` of the middle, where its label stands."""

    key: tuple[str, ...]
    rows: int
    top: float
    tall: float

    @property
    def y(self) -> float:
        return self.top + self.tall / 2


def _root(flow: Flow) -> tuple[str, ...]:
    return flow.root_entity, flow.root_code


def _victim(flow: Flow) -> tuple[str, ...]:
    return (flow.entity,)


def flow_picture(flows: Sequence[Flow]) -> Markup:
    """The whole picture; each band is at least a hairline, and each label has room of its own."""
    kept = [flow for flow in flows if flow.rows > 0]
    nodes = max(len(set(map(_root, kept))), len(set(map(_victim, kept))), 2)
    scale = TALL * nodes / max(1, sum(flow.rows for flow in kept))
    tall = {id(flow): max(THIN, flow.rows * scale) for flow in kept}
    roots, victims = _stack(kept, _root, tall), _stack(kept, _victim, tall)
    said = [word for node in [*roots, *victims] for word in (node.key[0], _second(node, len(node.key) > 1))]
    side = min(SIDE, max(map(len, said), default=0) * LETTER + 16)
    height = max((node.y + max(node.tall, SLOT) / 2 for node in [*roots, *victims]), default=SLOT) + GAP
    parts = [*_bands(kept, roots, victims, tall), *_labels(roots, -BAR, -10), *_labels(victims, MIDDLE, BAR + 10)]
    told = "; ".join(f"{f.root_entity} {f.root_code} keeps back {count(f.rows, 'row')} of {f.entity}" for f in kept)
    moved = element("g", *parts, transform=f"translate({side + BAR:.1f} 0)")
    return picture("flow", "What keeps what back", told, 2 * (side + BAR) + MIDDLE, height, [moved], "flow")


def _stack(flows: Sequence[Flow], side: Callable[[Flow], tuple[str, ...]], tall: dict[int, float]) -> list[_Node]:
    """One side's nodes, largest first, one below the other."""
    groups: dict[tuple[str, ...], list[Flow]] = {}
    for flow in flows:
        groups.setdefault(side(flow), []).append(flow)
    nodes, y = [], GAP
    for key, group in sorted(groups.items(), key=lambda item: -sum(flow.rows for flow in item[1])):
        high = sum(tall[id(flow)] for flow in group)
        slot = max(high, SLOT)
        nodes.append(_Node(key, sum(flow.rows for flow in group), y + (slot - high) / 2, high))
        y += slot + GAP
    return nodes


def _bands(
    flows: Sequence[Flow], roots: Sequence[_Node], victims: Sequence[_Node], tall: dict[int, float]
) -> Iterator[Markup]:
    """Bands leave and arrive in the order of what is at their other end, so that they cross little."""
    at = {node.key: n for n, node in enumerate([*roots, *victims])}
    free = {node.key: node.top for node in [*roots, *victims]}
    leaves = {}
    for flow in sorted(flows, key=lambda f: at[_victim(f)]):
        leaves[id(flow)] = free[_root(flow)]
        free[_root(flow)] += tall[id(flow)]
    for flow in sorted(flows, key=lambda f: at[_root(f)]):
        high, y = tall[id(flow)], free[_victim(flow)]
        free[_victim(flow)] += high
        yield _band(flow, leaves[id(flow)], y, high)


def _band(flow: Flow, left: float, right: float, high: float) -> Markup:
    x, to, half = 0.0, MIDDLE, MIDDLE / 2
    shape = (
        f"M{x:.1f},{left:.1f} C{half:.1f},{left:.1f} {half:.1f},{right:.1f} {to:.1f},{right:.1f} v{high:.2f} "
        f"C{half:.1f},{right + high:.1f} {half:.1f},{left + high:.1f} {x:.1f},{left + high:.1f} z"
    )
    said = f"{flow.root_entity} {flow.root_code} → {flow.entity}: {count(flow.rows, 'row')}"
    return element("path", element("title", said), d=shape, class_="band")


def _labels(nodes: Sequence[_Node], x: float, away: float) -> Iterator[Markup]:
    """Bars at x, and what they are on their outer side."""
    left = away < 0
    anchor, label = "end" if left else "start", x + away
    for node in nodes:
        yield element("rect", x=x, y=node.top, width=BAR, height=node.tall, class_="root" if left else "victim")
        yield text(label, node.y - 3, short(node.key[0], 28), "name", anchor)
        yield text(label, node.y + 13, _second(node, left), "small", anchor)


def _second(node: _Node, left: bool) -> str:
    return f"{short(node.key[1], 24)} · {count(node.rows)}" if left else f"{count(node.rows, 'row')} kept back"
