"""YAML text -> plain Python values, with the place of every key, list item and scalar.

The text is only composed into ruamel.yaml's round-trip nodes, never constructed: numbers and times keep the spelling
that Postgres will read, keys are text (`null` alone stays None), and a duplicate key is a fault like any other.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from rowcall.errors import Faults, MappingError
from rowcall.mapping.model import Loc

TAG = "tag:yaml.org,2002:"
KINDS = ("null", "bool", "int", "float", "timestamp", "str", "merge", "map", "seq")
KNOWN_TAGS = frozenset(TAG + kind for kind in KINDS)
MOST_NODES = 200_000  # a file of aliases to aliases can grow without end


@dataclass
class Tree:
    """`value` is what the file says. `keys` and `starts` hold (line, column), from 1: of each key or list item, and of
    each scalar. `inner` holds the scalars whose text stands in the file as it is, so that a place in it can be told."""

    value: object = None
    keys: dict[Loc, tuple[int, int]] = field(default_factory=dict)
    starts: dict[Loc, tuple[int, int]] = field(default_factory=dict)
    inner: dict[Loc, tuple[int, int]] = field(default_factory=dict)

    def place(self, loc: Loc, offset: int | None = None) -> tuple[int, int]:
        """Where to point at: a scalar (at `offset` characters, if given), else the key of the nearest known part."""
        while loc and loc not in self.keys:
            loc = loc[:-1]
        if offset is not None and loc in self.inner:
            line, column = self.inner[loc]
            return line, column + offset
        return self.starts.get(loc) or self.key(loc)

    def key(self, loc: Loc) -> tuple[int, int]:
        """Where the key of a part, or of the nearest one above it, stands."""
        while loc and loc not in self.keys:
            loc = loc[:-1]
        return self.keys.get(loc, (1, 1))


def parse(text: str, faults: Faults) -> Tree:
    """The tree of a YAML text. Slips that leave a tree (duplicate keys, odd tags) go to `faults`, others are raised."""
    try:
        root = _composed(text)
    except RecursionError:
        faults.add(1, 1, "is nested too deeply: write it flatter")
        raise MappingError(faults.found) from None
    except (YAMLError, ValueError) as error:
        faults.add(*_syntax(error, text))
        raise MappingError(faults.found) from None
    if root is None:
        sections = "`rowcall: 1`, `project:`, `namespace:`, `source:`, `target:` and `entities:`"
        faults.add(1, 1, f"the file is empty: write {sections}")
        raise MappingError(faults.found)
    reader = _Reader(text, faults)
    reader.tree.value = reader.value(root, ())
    return reader.tree


@lru_cache(maxsize=4)  # a command reads its file for the servers, and again for the rest
def _composed(text: str) -> Node | None:
    root: Node | None = YAML(typ="rt", pure=True).compose(io.StringIO(text))
    return root


def _syntax(error: Exception, text: str) -> tuple[int, int, str]:
    """(line, column, message) of what the YAML parser refuses."""
    if isinstance(error, ReaderError):
        return *_line_column(text, error.position), "a control character cannot stand in YAML: remove it"
    if not isinstance(error, MarkedYAMLError) or (mark := error.problem_mark or error.context_mark) is None:
        return 1, 1, "cannot be read as YAML: check its indentation and quotes"
    line, column = mark.line + 1, mark.column + 1
    return line, column, _plain(str(error.problem or ""), error.context)


def _plain(problem: str, context: object) -> str:
    for sign, words in _SYNTAX.items():
        if sign in problem or sign in str(context):
            return words
    return f"not YAML ({problem}): check the indentation and quotes of this line and the one above"


_SYNTAX = {
    "'\\t'": "a tab cannot indent YAML: write spaces",
    "mapping values are not allowed": "a second `: ` cannot stand here: write the value in quotes, or on its own line",
    "quoted scalar": "a quote is not closed: write the closing quote",
    "undefined alias": "an alias needs its anchor above: write `&name` there, or a text that starts with `*` in quotes",
    "another document": "a project file is one document: remove the `---`",
    "cannot start any token": "this character cannot start a value: write the value in quotes",
    "while parsing a flow": "a `{` or `[` is not closed or a comma is missing: write `}`, `]` or `,` here",
    "incompatible YAML document": "this version of YAML is not known: remove the line",
}


def _line_column(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1


class _Reader:
    """Walks the nodes once; keeps the nodes that it stands in, so that an alias to one of them is seen."""

    def __init__(self, text: str, faults: Faults) -> None:
        self.text, self.faults, self.tree = text, faults, Tree()
        self.inside: set[int] = set()

    def fault(self, node: Node, message: str) -> None:
        self.faults.add(node.start_mark.line + 1, node.start_mark.column + 1, message)

    def value(self, node: Node, loc: Loc) -> object:
        if node.tag not in KNOWN_TAGS:
            self.fault(node, "a tag means nothing here: leave it out, or write the text in quotes")
        if isinstance(node, ScalarNode):
            return self.scalar(node, loc)
        if id(node) in self.inside or len(self.tree.keys) > MOST_NODES:
            self.fault(node, "an alias leads into its own anchor, or the aliases grow too large: write the part out")
            return None
        self.inside.add(id(node))
        try:
            return self.mapping(node, loc) if isinstance(node, MappingNode) else self.sequence(node.value, loc)
        finally:
            self.inside.discard(id(node))

    def scalar(self, node: ScalarNode, loc: Loc) -> object:
        start, quote = node.start_mark, 1 if node.style in ("'", '"') else 0
        if node.value or quote:
            self.tree.starts[loc] = (start.line + 1, start.column + 1)
        begin = start.index + quote
        if "\n" not in node.value and self.text[begin : begin + len(node.value)] == node.value:
            self.tree.inner[loc] = (start.line + 1, start.column + 1 + quote)
        return scalar_value(node)

    def sequence(self, nodes: list[Node], loc: Loc) -> list[object]:
        items: list[object] = []
        for place, item in enumerate(nodes):
            self.tree.keys[*loc, place] = (item.start_mark.line + 1, item.start_mark.column + 1)
            items.append(self.value(item, (*loc, place)))
        return items

    def mapping(self, node: MappingNode, loc: Loc) -> dict[str | None, object]:
        found: dict[str | None, object] = {}
        for key_node, item in self.pairs(node):
            if not isinstance(key_node, ScalarNode):
                self.fault(key_node, "a key must be text: write the text in quotes")
                continue
            key = key_text(key_node)
            inner = (*loc, "null" if key is None else key)
            if key in found:
                line, column = self.tree.key(inner)
                self.fault(key_node, f"the key {key!r} stands at {line}:{column} already: leave one of both out")
                continue
            self.tree.keys[inner] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            found[key] = self.value(item, inner)
        return found

    def pairs(self, node: MappingNode) -> Iterator[tuple[Node, Node]]:
        """Keys and values as written, then what `<<: *anchor` adds for keys that are not written."""
        own = [(key, item) for key, item in node.value if key.tag != TAG + "merge"]
        written = {key.value for key, _ in own if isinstance(key, ScalarNode)}
        yield from own
        for key, item in node.value:
            if key.tag == TAG + "merge":
                for merged in item.value if isinstance(item, SequenceNode) else [item]:
                    yield from self.merged(merged, written)

    def merged(self, node: Node, written: set[str]) -> Iterator[tuple[Node, Node]]:
        if not isinstance(node, MappingNode):
            self.fault(node, "`<<` takes an alias of a mapping: write `<<: *name`")
            return
        for key, item in node.value:
            if isinstance(key, ScalarNode) and key.value not in written and key.tag != TAG + "merge":
                written.add(key.value)
                yield key, item


def key_text(node: ScalarNode) -> str | None:
    """A key as text, the way Postgres' ::text would show the value: 1 -> '1', True -> 'true', null -> None."""
    return as_text(scalar_value(node))


def scalar_value(node: ScalarNode) -> object:
    """None, bool, int, Decimal (with the digits as written) or text; times stay text."""
    text = str(node.value).replace("\a", "")  # with which ruamel.yaml marks where lines of a folded text were joined
    match str(node.tag).removeprefix(TAG):
        case "null":
            return None
        case "bool":
            return text.lower() in ("true", "yes", "on", "y")
        case "int":
            return _int(text.replace("_", ""))
        case "float":
            return _decimal(text.replace("_", ""))
    return text


def _int(text: str) -> int | str:
    digits = text.lstrip("+-")
    base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2], 10)
    try:
        return int(text, base)
    except ValueError:  # more digits than Python reads, or a spelling of YAML 1.1
        return text


def _decimal(text: str) -> Decimal | str:
    try:
        return Decimal(text.lower().replace(".inf", "Infinity").replace(".nan", "NaN"))
    except InvalidOperation:
        return text


def as_text(value: object) -> str | None:
    """A YAML value as the text of a Postgres literal; None is NULL, a list or mapping becomes JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json_text(value) if isinstance(value, list | dict) else str(value)


def json_text(value: object) -> str:
    """JSON that keeps a number's digits as they are written."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json_text(as_text(k) or 'null')}: {json_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(json_text, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)
