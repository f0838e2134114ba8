"""Runs over worlds made by chance in which most rows are sound, each of the others in one way or two, and victims follow over
several levels; and repairs of them made by chance: a cause, a remedy that fits, and settings that mostly are sound."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from conftest import Project
from explain.made import Table, Value, World
from explain.sums import prepare
from explain.worlds import TYPES

from rowcall.desk import Desk, open_desk
from rowcall.mapping.model import Entity
from rowcall.move.belt import Stop
from rowcall.plan.keys import bare
from rowcall.postgres.catalog import read_schema
from rowcall.postgres.connect import Session
from rowcall.progress import silent
from rowcall.repair import Repairer, Request, fitting
from rowcall.schema import Column, Schema

Json = dict[str, Any]
SICK = 0.3  # of the rows
# How a column is filled, its type in the target, a sound value (of n), and those that are none.
COLUMNS: tuple[tuple[Json, str, str, tuple[Value, ...]], ...] = (
    (
        {"convert": "jsonb"}, "jsonb", '{{"a": {n}}}',
        ("{'a': 1}", '{"a": NaN}', "[1,]", '{"a": "x', '{"a": "\\u0000"}', '["\\u0000"]'),
    ),
    ({"convert": "enum"}, "mood", "open", ("ajar", "ajar", "closed")),
    ({}, "varchar(3)", "abc", ("abcd", "far too long")),
    ({"convert": "int"}, "integer", "{n}", ("x", "99999999999")),
    ({}, "text unique", "u{n}", ("u1", "u2", "u3")),
    ({}, "text", "v{n}", (None,)),
    ({"map": {"a": "open", "b": "shut"}, "else": "reject"}, "text", "a", ("c", "d")),
)  # fmt: skip
# What a column of a type takes, and what it does not.
SOUND = {
    "int4": ("1", "2", "7"), "jsonb": ("{}", '{"a": 2}', "[]"), "text": ("a", "b", "u1"), "varchar": ("abc", "z"),
    "mood": ("open", "shut"), "uuid": ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",),
}  # fmt: skip
BAD = ("x", "", "{", "999999999999", "far too long for that")
DECISIONS = ("archive", "accept", "defer")


@dataclass
class Kind:
    """An entity that is being made, and its table. `damages`: what makes a row sick: a column and a value."""

    name: str
    table: Table
    damages: list[list[tuple[str, Value]]] = field(default_factory=list)
    columns: Json = field(default_factory=dict)
    references: Json = field(default_factory=dict)
    filled: list[str] = field(default_factory=list)  # the target's columns


class Maker:
    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.kinds: list[Kind] = []
        self.links: list[Table] = []
        self.keys: list[str] = []

    def make(self) -> World:
        for place in range(self.dice.choice((3, 3, 4))):
            self._kind(place)
        for place, kind in enumerate(self.kinds):
            if place:
                self._reference(kind, self.kinds[place - 1])
            if place > 1 and self._once(0.4):
                self._reference(kind, self.kinds[place - 2])
            if self._once(0.25):
                self._reference(kind, kind, own=True)
            for _ in range(self.dice.choice((1, 1, 2))):
                self._column(kind)
            self._spoil(kind)
        if self._once(0.2):
            self._reference(self.kinds[0], self.kinds[1], own=True)  # a cycle
        types = ", ".join(f"({n}, 'app', '{name.split('.')[1]}')" for n, name in TYPES.items())
        source = "create table django_content_type (id int primary key, app_label text, model text);\n"
        source += f"insert into django_content_type values {types};\n"
        source += "".join(table.sql for table in (*self.links, *(kind.table for kind in self.kinds)))
        target = ["create type mood as enum ('open', 'shut');"]
        target += [
            f"create table t_{kind.name} (id uuid primary key, {', '.join(kind.filled)});" for kind in self.kinds
        ]
        mapping = "\n".join(f"{kind.name}: {json.dumps(self._entity(kind))}" for kind in self.kinds)
        return World(source, "\n".join([*target, *self.keys]), mapping, "", True, False, True)

    def _entity(self, kind: Kind) -> Json:
        # A choice of its own, so that the dice of the world fall as they did: some are queries, with all rows or without some.
        own = Random(f"{kind.name} {kind.columns}")
        some = own.choice(("true", "n <> 3"))
        query = {"base": kind.table.name, "query": f"select * from {kind.table.name} where {some}"}
        entity: Json = {
            "from": query if own.random() < 0.4 else kind.table.name,
            "ids": own.choice(("uuid5", "uuid5", "uuid4")),
            "to": f"t_{kind.name}",
            "columns": kind.columns,
            "references": kind.references,
        }
        return entity | ({"where": {"kept": "kept"}} if "kept" in kind.table.columns else {})

    def _once(self, chance: float) -> bool:
        return self.dice.random() < chance

    def _kind(self, place: int) -> None:
        shape, count = self.dice.choice(("int", "int", "text")), self.dice.randint(10, 18)
        rows: list[dict[str, Value]] = [{"id": f"k{n}" if shape == "text" else n, "n": n} for n in range(1, count + 1)]
        table = Table(f"s{place}", {"id": shape, "n": "int not null unique"}, rows, ("id",))
        if not place and self._once(0.5):
            table.columns["kept"] = "boolean not null"
            for row in rows:
                row["kept"] = self._once(0.85)
        self.kinds.append(Kind(f"e{place}", table))

    def _add(self, kind: Kind, type_: str, values: Sequence[Value]) -> str:
        """A column of the source, drawn from sound values."""
        name = f"c{len(kind.table.columns)}"
        kind.table.columns[name] = type_
        for row in kind.table.keys:
            row[name] = self.dice.choice(values)
        return name

    def _reference(self, kind: Kind, parent: Kind, *, own: bool = False) -> None:
        """`own`: within a circle; it may be missing."""
        there: list[Value] = [row["n"] for row in parent.table.keys]
        shape: Json = {"to": parent.name, "sentinels": [0]}
        last = f"{parent.table.name}.n"
        column = self._add(kind, "int", [*there, None, None, None, None] if own else there)
        nowhere: list[tuple[str, Value]] = [(column, None), (column, 0), (column, 999), (column, 998)]
        match "one" if own else self.dice.choice(("one", "one", "hops", "several", "typed")):
            case "hops":
                rows: list[dict[str, Value]] = [{"id": n, "dest": n} for n in there] + [{"id": 50, "dest": 999}]
                link = Table(f"x{len(self.links)}", {"id": "int", "dest": "int"}, rows, ("id",))
                self.links.append(link)
                nowhere.append((column, 50))
                shape["path"] = [f"{column} -> {link.name}.id", f"dest -> {last}"]
            case "several":
                other = self._add(kind, "int", [None])
                shape["paths"] = [[f"{column} -> {last}"], [f"{other} -> {last}"]]
                for row in kind.table.keys:
                    row[other] = row[column]
                nowhere = [(other, self.dice.choice(there)), (other, self.dice.choice(there)), (other, 999)]
            case "typed":
                type_ = self._add(kind, "int", [1, 2])
                shape |= {"type": type_, "by_type": {t: [f"{column} -> {last}"] for t in ("app.one", "app.two")}}
                nowhere.append((type_, 77))
            case _:
                shape["path"] = [f"{column} -> {last}"]
        if own:
            shape["missing"] = ["null_reference", "dangling_reference"]
        name, required = f"r{column}", not own and self._once(0.5)
        kind.references[name] = shape
        kind.filled.append(f"{name} uuid" + (" not null" if required else ""))
        kind.damages.append(nowhere)
        if self._once(0.7):
            self.keys.append(f"alter table t_{kind.name} add foreign key ({name}) references t_{parent.name};")

    def _column(self, kind: Kind) -> None:
        filler, type_, sound, bad = self.dice.choice(COLUMNS)
        column = self._add(kind, "text", [None])
        for row in kind.table.keys:
            row[column] = sound.format(n=row["n"])
        required = None in bad or self._once(0.3)
        kind.columns[f"v{column}"] = {"from": column, **filler}
        kind.filled.append(f"v{column} {type_}" + (" not null" if required else ""))
        kind.damages.append([(column, value) for value in bad])

    def _spoil(self, kind: Kind) -> None:
        for row in kind.table.keys:
            while self._once(SICK):
                column, value = self.dice.choice(self.dice.choice(kind.damages))
                row[column] = value


def make_sick(project: Project, dice: Random) -> World:
    """A world in the project's databases, and run."""
    world = Maker(dice).make()
    prepare(project, world)
    project.run()
    return world


# -- a run, and what may be done with it --------------------------------------------------------------------------------


@dataclass
class Ward:
    """A run, its desk kept open, and a Repairer over it."""

    project: Project
    desk: Desk
    repairer: Repairer
    schema: Schema
    tables: tuple[str, ...]

    def hashes(self) -> dict[str, str]:
        """What there is in the target and in the ledger -> a hash of its content."""
        return hashes(self.desk.target, self.tables)

    def dangling(self) -> dict[str, int]:
        """References of the target that lead to no row, whether a foreign key watches them or not."""
        mapping, found = self.desk.mapping, dict[str, int]()
        for entity in mapping.entities:
            for reference in entity.references:
                parents = [mapping.entity(to) for to in dict.fromkeys(route.to for route in reference.routes)]
                nowhere = "".join(
                    f" and not exists (select from {p.target} p where p.{p.id_column} = t.{reference.column})"
                    for p in parents
                )
                sql = f"select count(*) from {entity.target} t where t.{reference.column} is not null{nowhere}"
                found[f"{entity.target}.{reference.column}"] = int(self.desk.target.value(sql))
        return {column: rows for column, rows in found.items() if rows}


@contextmanager
def ward(project: Project) -> Iterator[Ward]:
    migration = project.migration
    with open_desk(migration.file, migration.places, project.notes.append, lock=True) as desk:
        repairer = migration.healing.repairer(desk, Stop(), silent)
        tables = tuple(sorted({e.target_table for e in desk.ledger.entities()}))
        yield Ward(project, desk, repairer, read_schema(desk.target), tables)


def hashes(session: Session, tables: Sequence[str]) -> dict[str, str]:
    """Everything that a repair may change and an undo must bring back, but for the book of repairs itself."""
    rows = {table: f"select t::text as t from {table} t" for table in tables}
    rows["settlements"] = "select s::text from rowcall.settlements s"
    rows["quarantine"] = "select q::text from rowcall.quarantine q"
    rows["causes"] = "select q::text from rowcall.quarantined_row q"
    rows["chunks"] = (
        "select concat_ws(',', id, entity, state, rows_read, rows_migrated, rows_quarantined, rows_excluded) from rowcall.chunk"
    )
    rows["nulled"] = "select n::text from rowcall.nulled_reference n"
    rows["archive"] = "select a::text from rowcall.archive a"
    rows["synthetic"] = "select y::text from rowcall.synthetic_row y where version is not null"
    parts = [
        f"(select '{name}', count(*) || ' ' || md5(coalesce(string_agg(t, '|' order by t collate \"C\"), '')) from ({sql}) x (t))"
        for name, sql in rows.items()
    ]
    return dict(session.rows(" union all ".join(parts)))


# -- repairs ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spot:
    """Where rows of a cause fail, and which."""

    entity: Entity
    code: str
    column: str | None
    named: bool  # the column must be named
    keys: list[str]


class Chance:
    """Draws repairs that can be asked for now."""

    def __init__(self, ward: Ward, dice: Random) -> None:
        self.ward, self.dice, self.repairer = ward, dice, ward.repairer
        self.mapping = ward.desk.mapping
        self.settings: dict[str, Callable[[Spot], Json]] = {
            "stub_parent": self._stub_parent, "link_parent": self._link_parent, "set_value": self._set_value,
            "map_values": self._map_values, "pick_parent": self._pick_parent, "repair_json": self._repair_json,
            "clip_text": lambda _: self._maybe("mark", "…", "."), "strip_unstorable": lambda _: self._maybe("instead", "?"),
            **dict.fromkeys(DECISIONS, lambda _: {"reason": "by chance"}),
        }  # fmt: skip

    def request(self) -> Request | None:
        """None: nothing waits for a decision."""
        spots = self._spots()
        if not spots:
            return None
        spot = self._spot(*self.dice.choice(spots))
        fits = fitting(self.repairer.remedies, self.repairer.plan, spot.entity.name, spot.code, [spot.column])
        heals = [name for name in fits if name not in DECISIONS]
        decides = not heals or self._once(0.1)
        name = self.dice.choice(DECISIONS if decides else heals)
        settings = self.settings[name](spot) if name in self.settings else {}
        if spot.named and any(s.name == "column" for s in self.repairer.remedies[name].settings):
            settings["column"] = spot.column
        keys = None
        if self._once(0.7 if decides else 0.3):
            keys = tuple(self.dice.sample(spot.keys, self.dice.randint(1, max(1, len(spot.keys) // 2))))
        follow = not decides and self._once(0.4)
        return Request(spot.entity.name, spot.code, name, settings, "by chance", follow, keys)

    def _spots(self) -> list[tuple[str, str]]:
        """Every (entity, code) of which rows wait for a decision."""
        return self.ward.desk.target.rows(
            "select distinct e.name, x ->> 'code' from rowcall.quarantined_row q join rowcall.entity e on e.id = q.entity "
            "cross join jsonb_array_elements(q.rejections) x where q.disposition in ('open', 'deferred') order by 1, 2"
        )

    def _spot(self, entity: str, code: str) -> Spot:
        record, filled = self.repairer.records[entity], self.mapping.entity(entity)
        keys = self.repairer.book.choose(record.id, code)
        columns = [c for (c,) in self.repairer.book.rows("columns", record.id, keys, code)]
        any_of_it = [c.column for c in filled.columns] + [r.column for r in filled.references]
        return Spot(filled, code, self.dice.choice(columns or any_of_it or [None]), len(columns) != 1, keys)

    def _once(self, chance: float) -> bool:
        return self.dice.random() < chance

    def _maybe(self, name: str, *values: str) -> Json:
        return {name: self.dice.choice(values)} if self._once(0.5) else {}

    # -- settings ---------------------------------------------------------------------------------------------------

    def _parent(self, spot: Spot) -> Entity:
        reference = next(r for r in spot.entity.references if r.column == spot.column)
        return self.mapping.entity(reference.routes[0].to)

    def _stub_parent(self, spot: Spot) -> Json:
        return self._maybe("per", "row", "parent", "all") | {"values": self._values(self._parent(spot))}

    def _link_parent(self, spot: Spot) -> Json:
        parent = self._parent(spot)
        settings: Json = {}
        if self._once(0.4):
            settings["path"] = f"n -> {parent.source}.n"
        else:
            one, other = (self._key_of(parent) for _ in range(2))
            ways = (one, f"case when n % 2 = 0 then {one} else {other} end", f"case when n % 3 = 0 then {one} end")
            settings["key"] = self.dice.choice(ways)
        if self._once(0.4):
            settings |= {
                "create": self._values(parent),
                "once_per": self.dice.choice(("n", "n % 3", "nullif(n % 3, 0)")),
            }
        return settings

    def _key_of(self, parent: Entity) -> str:
        """SQL of the key of some row, whatever became of it."""
        sql = "select source_key from rowcall.settlements where entity = %s order by 1"
        return f"'{self.dice.choice([*(k for (k,) in self.ward.desk.target.rows(sql, [parent.name])), '99'])}'"

    def _values(self, parent: Entity) -> Json:
        """What fills the columns of a new row of an entity."""
        references = {r.column: r for r in parent.references}
        found: Json = {}
        for column in self.repairer.plan.knowledge.target.tables[parent.target].columns:
            if column.name == parent.id_column or not (column.not_null or self._once(0.3)):
                continue
            if column.name in references:
                to = references[column.name].routes[0].to
                found[column.name] = {"to": to, "path": f"n -> {self.mapping.entity(to).source}.n"}
            elif bare(column.type).is_text and self._once(0.5):
                found[column.name] = {"sql": "left(n::text, 3)"}
            else:
                found[column.name] = self._value(column)
        return found

    def _value(self, column: Column) -> str:
        return self.dice.choice(SOUND[bare(column.type).name])

    def _column(self, spot: Spot) -> Column:
        column = self.repairer.plan.knowledge.target.tables[spot.entity.target].column(spot.column or "")
        assert column is not None
        return column

    def _set_value(self, spot: Spot) -> Json:
        return {"value": self.dice.choice(BAD) if self._once(0.1) else self._value(self._column(spot))}

    def _map_values(self, spot: Spot) -> Json:
        column, record = self._column(spot), self.repairer.records[spot.entity.name]
        rows = self.repairer.book.quarantined(record.id, spot.keys)
        seen = sorted({str(told["value"]) for row in rows for told in row.rejections if told["column"] == spot.column})
        some = [text for text in seen if self._once(0.7)] or ["nobody's"]
        return {"map": {text: self._value(column) if self._once(0.9) else "x" for text in some}}

    def _pick_parent(self, spot: Spot) -> Json:
        return self._maybe("by", "first", "latest", "majority") | self._maybe("order", "n")

    def _repair_json(self, spot: Spot) -> Json:
        kinds = ["python_style", "nan", "trailing_comma", "truncated"]
        return {"kinds": self.dice.sample(kinds, self.dice.randint(1, 4))} if self._once(0.7) else {}
