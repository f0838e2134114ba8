"""Tells one row's story: asks the ledger for its fate and the source, live, for every hop."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from rowcall.errors import UsageError
from rowcall.explain.causes import query
from rowcall.explain.story import Fate, Link, Story
from rowcall.explain.walk import Walker
from rowcall.ledger.book import Ledger
from rowcall.ledger.catch_ups import CatchUpBook
from rowcall.ledger.repairs import RepairBook
from rowcall.mapping.model import MERGED, Mapping
from rowcall.plan.source_sql import ContentTypes
from rowcall.postgres.connect import Session
from rowcall.schema import Schema

MOST_PARENTS = 1_000  # rows that are looked at on the way to a root


@dataclass(frozen=True)
class Teller:
    """`schema` and `types` are the source's catalog and content types; `source` is a session on it."""

    mapping: Mapping
    schema: Schema
    types: ContentTypes
    source: Session
    ledger: Ledger

    def tell(self, entity: str, key: str) -> Story:
        """The story of the row with this key. Raises UsageError where entity or key are not known."""
        names = [e.name for e in self.mapping.entities]
        if entity not in names:
            raise UsageError(f"there is no entity {entity}", hint=_mean(get_close_matches(entity, names), names))
        key = _as_kept(key)
        line = self.ledger.settlement_of(entity, key)
        if line is None:
            raise UsageError(f"the ledger has no row {key} of {entity}", hint=self._other_keys(entity, key))
        outcome, target_id, cause, _ = line
        walker = Walker(self.mapping, self.schema, self.types, self.source, self.ledger.session)
        walk = walker.walk(self.mapping.entity(entity), key)
        quarantined = self.ledger.quarantined_of(entity, key)
        return Story(
            entity,
            key,
            outcome,
            str(target_id) if target_id else None,
            cause,
            quarantined[3] if quarantined else None,
            walk.hops,
            tuple(self._fate(reference, to, parent) for reference, to, parent in walk.ends),
            tuple(quarantined[2]) if quarantined else (),
            self._nulled(entity, key),
            self._chain(entity, key),
            walk.in_source,
            tuple(RepairBook(self.ledger.session).of_row(entity, key)),
            self._merged(entity, key),
            CatchUpBook(self.ledger.session).why(entity, key),
        )

    def _fate(self, reference: str, entity: str, key: str) -> Fate:
        if entity in (e.name for e in self.mapping.there):
            return Fate(reference, entity, key, "in the target already", key, None)
        line = self.ledger.settlement_of(entity, key)
        if line is None:
            return Fate(reference, entity, key, None, None, None)
        if merged := self._merged(entity, key):
            return Fate(reference, entity, key, MERGED, merged[2], f"{merged[0]} {merged[1]}")
        return Fate(reference, entity, key, line[0], str(line[1]) if line[1] else None, line[2])

    def _merged(self, entity: str, key: str) -> tuple[str, str, str | None] | None:
        rows = self.ledger.session.rows(query("merged_of"), [entity, key])
        return next(((name, into, uid) for name, into, uid in rows), None)

    def _chain(self, entity: str, key: str) -> tuple[Link, ...]:
        """From the row to its root: the shortest way along the parents that keep each other back."""
        ways: deque[tuple[Link, ...]] = deque([()])
        todo, seen = deque([(entity, key)]), {(entity, key)}
        root: tuple[str, str] | None = None
        longest: tuple[Link, ...] = ()
        while todo and len(seen) < MOST_PARENTS:
            at, way = todo.popleft(), ways.popleft()
            if (row := self.ledger.quarantined_of(*at)) is None:
                continue
            root, longest = root or (row[4], row[5]), (*way, Link(*at, row[2][0].get("code")))
            if at == root:
                return longest
            for parent in [(r.get("parent_entity"), r.get("parent_key")) for r in row[2]] + [(row[6], row[7])]:
                if parent[0] and parent not in seen:
                    seen.add(parent)
                    todo.append(parent)
                    ways.append(longest)
        return longest

    def _nulled(self, entity: str, key: str) -> tuple[dict[str, object], ...]:
        rows = self.ledger.session.rows(query("nulled_of"), [entity, key])
        return tuple(dict(zip(("column", "code", "hop", "value"), row, strict=True)) for row in rows)

    def _other_keys(self, entity: str, key: str) -> str:
        """What may have been meant: another entity's row, or a key that begins alike."""
        homes = [row[0] for row in self.ledger.session.rows(query("homes_of_key"), [key])]
        alike = [row[0] for row in self.ledger.session.rows(query("keys_like"), [entity, key, key, key])]
        meant = [f"`rowcall explain {home} {key}`" for home in homes]
        meant += [f"`rowcall explain {entity} {other}`" for other in alike]
        if not meant:
            return f"`rowcall explain {entity}` lists its causes; the row may be newer than the run"
        return f"did you mean {' or '.join(meant[:3])}?"


def _mean(close: Sequence[str], names: Sequence[str]) -> str:
    return f"did you mean {' or '.join(close)}?" if close else f"write one of: {', '.join(names)}"


def _as_kept(key: str) -> str:
    """A key of several columns, however its JSON is spaced, as the ledger has it (json_build_array)."""
    try:
        parts = json.loads(key) if key.startswith("[") else None
    except ValueError:
        return key
    return f"[{', '.join(json.dumps(part, ensure_ascii=False) for part in parts)}]" if parts else key
