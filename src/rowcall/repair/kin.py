"""Which quarantined rows keep which back: above a row those that it needs, below it those that need it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from rowcall.ledger.book import EntityRecord
from rowcall.ledger.repairs import Fate, RepairBook

Row = tuple[str, str]  # entity, key
Homes = dict[str, list[str]]  # entity -> keys


@dataclass(frozen=True)
class Kin:
    """`cyclic`: the entities of cyclic groups."""

    book: RepairBook
    records: Mapping[str, EntityRecord]
    cyclic: Collection[str]

    def keepers(self, wanted: Homes, among: Collection[str]) -> Homes:
        """These rows, and the undecided victims of these entities that keep them back, one behind the other."""
        found = {entity: dict.fromkeys(keys) for entity, keys in wanted.items()}
        frontier = wanted
        while frontier:
            above: Homes = {}
            for name, below in frontier.items():
                for parent, key in self.book.kept_by(self.records[name].id, below):
                    if parent in among and key not in found.setdefault(parent, {}):
                        found[parent][key] = None
                        above.setdefault(parent, []).append(key)
            frontier = above
        return {entity: list(keys) for entity, keys in found.items()}

    def victims(self, rows: Homes) -> Homes:
        """The undecided rows that these keep back; in a cyclic group those behind them, too, as these are judged together."""
        found: dict[Row, None] = {}
        frontier = [(entity, key) for entity, keys in rows.items() for key in keys]
        while frontier:
            behind = [row for row in self.book.victims_of(frontier) if row not in found]
            found |= dict.fromkeys(behind)
            frontier = [(entity, key) for entity, key in behind if entity in self.cyclic]
        return _by_entity(found)


def homes(fates: Mapping[Row, Fate]) -> Homes:
    """The rows that came home."""
    return _by_entity(row for row, fate in fates.items() if fate.is_home)


def _by_entity(rows: Iterable[Row]) -> Homes:
    found: Homes = {}
    for entity, key in rows:
        found.setdefault(entity, []).append(key)
    return found
