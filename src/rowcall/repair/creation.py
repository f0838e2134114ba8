"""Rows that no source row has: default parents and their like.

Each is made of a source row for which it is made, by the mapping's own language, judged and written as any row; the ledger
marks it as synthetic for ever.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any
from uuid import UUID

from rowcall.errors import UsageError
from rowcall.ledger.repairs import RepairBook
from rowcall.mapping.extra import read_derived
from rowcall.mapping.model import ColumnRule, Entity, Ids
from rowcall.mapping.tree import as_text
from rowcall.move.mend import Mender
from rowcall.plan.plan import Plan
from rowcall.postgres.catalog import ServerProbe
from rowcall.rows import Amendment
from rowcall.survey import literals_of, types_of


def _named(child: Entity, column: str, whom: str) -> str:
    """For whom a row is made, as the ledger keeps it for ever: an owner may be a person, so by a hash."""
    return f"{child.name}.{column} {sha256(whom.encode()).hexdigest()[:32]}"


def _kind(whom: str) -> str:
    """`row`, `parent` or `owner`: the first word of for whom a parent is made."""
    return whom.split(" ", 1)[0]


_PARTING = r"[\s:/%]"  # what parts an identity from a key


def _hex(found: re.Match[str]) -> str:
    return f"%{ord(found[0]):x}"


class Creator:
    """Of one repair. `created` counts its rows, `refused` those that could not be written, by code; `users`: for whom a parent was
    created -> the rows (entity, key) that are to have it."""

    def __init__(self, repair: int, plan: Plan, mender: Mender, book: RepairBook, probe: ServerProbe) -> None:
        self.repair, self.plan, self.mender, self.book, self.probe = repair, plan, mender, book, probe
        self.created, self.refused, self.xids = 0, Counter[str](), set[int]()
        self.users: dict[str, list[tuple[str, str]]] = {}

    def create(
        self, child: Entity, column: str, parent: str, values: Mapping[str, Any], whom: Mapping[str, str]
    ) -> dict[str, UUID]:
        """key -> uuid of the row that was made for it; see Use.create."""
        home = self.plan.mapping.entity(parent)
        named = {key: _named(child, column, text) for key, text in whom.items()}
        ids = self.book.made_before(home.target, sorted(set(named.values())))
        first: dict[str, str] = {}
        for key, text in named.items():
            if text not in ids:
                first.setdefault(text, key)
        if first:
            # What is made for a row, for its owner or for the parent that it names are different rows.
            kinds: dict[str, dict[str, str]] = {}
            for text, key in first.items():
                kinds.setdefault(_kind(whom[key]), {})[text] = key
            for kind, texts in kinds.items():
                derived = self._derived(child, f"{column}.{kind}", home, values)
                made = self._make(derived, child, parent, texts, ())
                self.users |= {text: [] for text in made}
                ids |= made
        for key, text in named.items():
            if text in self.users:
                self.users[text].append((child.name, key))
        return {key: ids[text] for key, text in named.items() if text in ids}

    def idle(self, home: Container[tuple[str, str]]) -> int:
        """How many of the created parents no row at home has: what was to have them waits for something else."""
        return sum(not any(row in home for row in rows) for rows in self.users.values())

    def note(self, child: Entity, to: str, values: Mapping[str, Any], kept: Mapping[str, Mapping[str, str]]) -> int:
        """Makes a row of the entity `to` for each of these rows (key -> what is kept of it by its name); how many. A value
        `{kept: NAME}` is filled with what is kept under that name."""
        home = self.plan.mapping.entity(to)
        told = {c: v["kept"] for c, v in values.items() if isinstance(v, dict) and set(v) == {"kept"}}
        if strange := set(told.values()) - {name for names in kept.values() for name in names}:
            raise UsageError(f"nothing is kept under {sorted(strange)[0]!r}", hint="write payload or rejections")
        derived = self._derived(
            child, "note", home, {c: {"sql": "''::text"} if c in told else v for c, v in values.items()}
        )
        amendments = [Amendment(key, c, names[name]) for key, names in kept.items() for c, name in told.items()]
        first = {_named(child, "archive", key): key for key in kept}
        return len(self._make(derived, child, to, first, amendments))

    def another(
        self, child: Entity, column: str, number: int, parents: Mapping[str, tuple[str, str]], values: Mapping[str, Any]
    ) -> int:
        """Makes one more row of the entity itself for each of these, with another parent (key -> entity and key of it); how many.
        `number` tells rows of one source row apart; `values` are columns that must differ."""
        rules = {rule.column: rule for rule in child.columns}
        rules |= {c: ColumnRule(c, constant=as_text(value), has_constant=True) for c, value in values.items()}
        own = child.id_column  # it cannot have the id of the row beside which it stands
        derived = replace(
            child, name=f"{child.name}_{number}", identity=f"{child.identity}.{number}", ids=Ids(),
            columns=tuple(rule for rule in rules.values() if rule.column != own),
            references=tuple(r for r in child.references if r.column != own), where=(), cutoff=None,
        )  # fmt: skip
        amendments = [Amendment(k, column, None, True, *parent) for k, parent in parents.items()]
        first = {_named(child, column, f"{number} {key}"): key for key in parents}
        return len(self._make(derived, child, child.name, first, amendments))

    def _derived(self, child: Entity, column: str, home: Entity, values: Mapping[str, Any]) -> Entity:
        raw: dict[str, Any] = {"from": child.source, "to": home.target, "key": list(child.key), "id": home.id_column}
        if (query := child.query) is not None and query.counted:
            raw = {name: value for name, value in raw.items() if name != "key"} | {
                "from": query.base,
                "rows": "counted",
            }
        elif query is not None:
            raw |= {"from": {"query": query.sql, "base": query.base}, "key": list(child.written_key)}
        raw |= {"identity": f"made.{child.identity}.{re.sub(_PARTING, _hex, column)}", "columns": {}, "references": {}}
        if home.ids.version == 4:  # nobody is to compute the ids of that table
            raw["ids"] = "uuid4"
        for name, value in values.items():
            if isinstance(value, dict) and ("path" in value or "paths" in value or "by_type" in value):
                raw["references"][name] = value
            else:
                raw["columns"][name] = value if isinstance(value, dict) else {"value": value}
        know = self.plan.knowledge
        found, wrong = read_derived(f"made_{home.name}", raw, self.plan.mapping, know.source, know.target, self.probe)
        if wrong or found is None:
            raise UsageError(
                f"it needs `values` for {home.target}: {'; '.join(wrong)}",
                hint="fill its columns by a setting, such as `--set values.name=Unknown`: docs/remedies/stub_parent.md",
            )
        return found

    def _make(
        self, derived: Entity, child: Entity, parent: str, first: Mapping[str, str], amendments: Sequence[Amendment]
    ) -> dict[str, UUID]:
        know = self.plan.knowledge
        seen = [replace(know.source.tables[child.source], name=derived.name)] if derived.query is not None else []
        know = replace(
            know,
            source=know.source.beside(seen),
            types={**know.types, **types_of([derived], self.probe)},
            literals={**know.literals, **literals_of([derived], know.target, self.probe)},
        )
        made = self.mender.create(derived, know, list(first.values()), amendments)
        self.xids |= made.xids
        fates, ids = {f.key: f for f in made.fates}, dict[str, UUID]()
        for text, key in first.items():
            fate = fates.get(key)
            if fate is None or fate.target_id is None:
                self.refused[str(fate and fate.left_for)] += 1
                continue
            ids[text] = fate.target_id
            self.created += 1
            self.book.add_synthetic(
                self.repair, parent, derived.target, derived.id_column, fate, (child.name, key), text
            )
        return ids
