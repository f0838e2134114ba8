"""Parts of the mapping's language outside of the project file: checked by the same rules, told without a place in a file."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from typing import Any

from rowcall.errors import Faults
from rowcall.mapping.check import entity_of
from rowcall.mapping.desk import Desk, Frame, Probe
from rowcall.mapping.document import DocumentShape, EntityShape
from rowcall.mapping.frames import frame
from rowcall.mapping.load import Draft, EntityDraft, read_entity
from rowcall.mapping.model import VIEW, Entity, Hop, Loc, Mapping
from rowcall.mapping.references import Way, walk
from rowcall.mapping.tree import parse
from rowcall.schema import Schema, Table


class Heard(Draft):
    """A draft of no file: what is wrong is only heard."""

    def __init__(self) -> None:
        faults = Faults("")
        super().__init__("", parse("{}", faults), faults)
        self.wrong: list[str] = []

    def say(self, loc: Loc, message: str, _offset: int | None = None) -> None:
        self.broken.add(loc)
        self.wrong.append(message)

    def say_key(self, loc: Loc, message: str) -> None:
        self.say(loc, message)


def read_path(
    path: Any, start: Table, parent: Entity, source: Schema, probe: Probe
) -> tuple[tuple[Hop, ...] | None, list[str]]:
    """The hops of a path (text, or a list of texts) from a row of `start` to a row of the parent's, and what is wrong."""
    heard = Heard()
    desk = Desk(heard, source, Schema())
    desk.views = {t.name: t for t in source.tables.values() if t.schema == VIEW}
    texts = [path] if isinstance(path, str) else list(path)
    if not all(isinstance(text, str) and text.strip() for text in texts) or not texts:
        return None, ["is no path: write hops such as `object_id -> dispatch_plan.id`"]
    end = Frame(EntityDraft(parent.name, EntityShape.model_validate({})), source.tables[parent.base], None, parent.key)
    hops = walk(desk, start, Way(parent.name, ("to",), texts, ("path",)), end)
    desk.settle(probe)
    if any(hop.pick for hop in hops or ()):
        heard.wrong.append(
            "picks one of several rows, which only the mapping's own paths can: write a path without a pick"
        )
    return hops, heard.wrong


def wrong_expression(relation: str, sql: str, probe: Probe) -> str | None:
    """What is wrong with an SQL expression over a relation of the source (SQL for FROM), if anything is."""
    (answer,) = probe.types(relation, [sql])
    return f"the source does not take this SQL: {answer}" if isinstance(answer, str) else None


def read_derived(
    name: str, raw: MappingOf[str, Any], mapping: Mapping, source: Schema, target: Schema, probe: Probe
) -> tuple[Entity | None, list[str]]:
    """An entity that stands beside those of the mapping, and what is wrong with it. `raw` is written as in the project file."""
    heard = Heard()
    heard.source, heard.target = mapping.source, mapping.target
    heard.document = DocumentShape.model_validate({"entities": {e.name: {} for e in mapping.entities}})
    desk = Desk(heard, source, target)
    desk.views = {t.name: t for t in source.tables.values() if t.schema == VIEW}
    for e in mapping.entities:
        draft = EntityDraft(e.name, EntityShape.model_validate({}))
        desk.frames[e.name] = Frame(
            draft, source.tables[e.source], target.tables[e.target], e.key, e.id_column, e.query, source.tables[e.base]
        )
    read_entity(heard, name, dict(raw))
    found = None
    if lacking := _lacking(desk, raw):
        return None, [f"{', '.join(lacking)} (NOT NULL without a default)"]
    if name in heard.entities:
        found = entity_of(desk, frame(desk, heard.entities[name], probe))
    if desk.there:
        heard.wrong.append(f"{', '.join(desk.there)}: name an entity here")
    if not heard.wrong:
        desk.settle(probe)
    return found, heard.wrong


def _lacking(desk: Desk, raw: MappingOf[str, Any]) -> list[str]:
    """Columns of the derived entity's target that must be filled and are not."""
    target = desk.target.tables[raw["to"]]
    filled = {raw["id"], *raw["columns"], *raw["references"]}
    return [
        c.name
        for c in target.columns
        if c.not_null and not (c.has_default or c.generated or c.identity) and c.name not in filled
    ]
