"""Little worlds made by chance: source, target and mapping from a few building blocks, and rows with every kind of damage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from .columns import Columns
from .made import Json, Kind, Table, Value, World

TYPES = {1: "app.one", 2: "app.two", 3: "app.three"}  # 9: what app.two had before; 77: nobody's
CODES = (
    "null_reference",
    "sentinel_reference",
    "dangling_reference",
    "parent_excluded",
    "parent_quarantined",
    "unknown_type",
)


def make_world(dice: Random, rows: int, *, refusals: bool = False, tame: bool = False) -> World:
    """`rows`: how many a table has at most; `refusals`: whether the target may refuse rows that nobody foresees; `tame`: without
    what is known to go wrong."""
    return _Maker(dice, rows, refusals, tame).make()


class _Maker(Columns):
    def __init__(self, dice: Random, rows: int, refusals: bool, tame: bool) -> None:
        super().__init__(dice, tame)
        self.rows, self.refusals, self.foreseeable = rows, refusals, True
        self.circles = self._once(0.5)
        self.backward = not (tame and self.circles)
        self.tables: dict[str, Table] = {}
        self.kinds: list[Kind] = []
        self.constraints: list[str] = []
        self.uniques: dict[str, list[str]] = {}

    def make(self) -> World:
        for _ in range(self.dice.randint(2, 5)):
            self.kinds.append(self._kind())
        for kind in self.kinds:
            for _ in range(self.dice.choice((0, 1, 1, 2, 3))):
                self._reference(kind)
            for _ in range(self.dice.randint(0, 3)):
                self._column(kind)
            self._rules(kind)
            self._unique(kind)
        views = [view for kind in self.kinds for view in (self._merge(kind),) if view]
        for kind in self.kinds:
            self._elements(kind)
        types = ", ".join(f"({n}, 'app', '{name.split('.')[1]}')" for n, name in TYPES.items())
        source = (
            "create table django_content_type (id int primary key, app_label text, model text);\n"
            f"insert into django_content_type values {types};\n" + "".join(t.sql for t in self.tables.values())
        )
        mapping = "\n".join(f"{kind.name}: {json.dumps(self._entity(kind))}" for kind in self.kinds)
        mapping = mapping.replace('"null":', "null:")  # the key that means NULL
        load = self.dice.choice(("auto", "auto", "live", "bulk"))
        more = f"content_types: {{formerly: {{app.two: [9]}}}}\nload: {load}\nworkers: {self.dice.choice((1, 1, 1, 2))}"
        more += "\nviews:\n" + "\n".join(views) if views else ""
        return World(source, self._target(), mapping, more, self.foreseeable, self.risky, self.circles)

    # -- entities and their tables ----------------------------------------------------------------------------------

    def _kind(self) -> Kind:
        name = f"e{len(self.kinds)}"
        if self.kinds and self._once(0.1):  # two entities of one source table
            return Kind(name, self.dice.choice(self.kinds).table, f"t_{name}")
        table = self._table(f"s{len(self.kinds)}")
        alike = [k for k in self.kinds if "code" not in k.filled]
        if alike and self._once(0.1):  # two entities of one target table
            return self._sharing(name, table, self.dice.choice(alike))
        return Kind(name, table, f"t_{name}")

    def _sharing(self, name: str, table: Table, other: Kind) -> Kind:
        kind = Kind(name, table, other.to, loose=True)
        other.loose = True
        for one in (other, kind):
            self._add(one.table, "code", "text", ("a", "b", "c", "d", None))
            one.columns["code"], one.filled["code"] = "code", "text"
        if self._once(0.7):
            self.uniques.setdefault(kind.to, []).append("unique (code)")
        return kind

    def _table(self, name: str) -> Table:
        shape = self.dice.choice(("int", "int", "int", "text", "bigint", "numeric(6,2)", "pair"))
        count = self.dice.randint(1 if self.tame else 0, self.rows)
        ids = self.dice.sample(range(1, 2 * self.rows + 1), count)
        numbers = self.dice.sample(range(1, 2 * self.rows + 1), count)
        keys: list[dict[str, Value]] = []
        for i, n in zip(ids, numbers, strict=True):
            row: dict[str, Value] = {"id": {"text": f"k{i}", "numeric(6,2)": f"{i}.50"}.get(shape, i), "n": n}
            if shape == "pair":
                row["part"] = "p'" if n % 2 else "q"
            keys.append(row)
        columns = {"id": "int" if shape == "pair" else shape, "n": "int not null unique"}
        if shape == "pair":
            table = Table(name, columns | {"part": "text"}, keys, ("id", "part"))
        else:
            table = Table(name, columns, keys, ("id",))
        self.tables[name] = table
        return table

    def _aux(self, columns: dict[str, Sequence[Value]], kinds: dict[str, str], count: int) -> Table:
        """A table that paths walk on: `id` from 1 to `count`, and each column drawn from its values."""
        self.number += 1
        keys = [self._drawn(i, columns) for i in range(1, count + 1)]
        table = Table(f"x{self.number}", {"id": "int"} | kinds, keys, ("id",))
        self.tables[table.name] = table
        return table

    def _drawn(self, number: int, columns: dict[str, Sequence[Value]]) -> dict[str, Value]:
        return {"id": number, **{name: self.dice.choice(values) for name, values in columns.items()}}

    # -- references -------------------------------------------------------------------------------------------------

    def _reference(self, kind: Kind) -> None:
        place = self.kinds.index(kind)
        parents = self.kinds if self.circles and self._once(0.5) else self.kinds[:place]
        if not parents:
            return
        parent = self.dice.choice(parents)
        column, required = self._name("r"), not kind.loose and self._once(0.5)
        shape: Json = {"to": parent.name}
        match self.dice.choice(("one", "one", "one", "several", "typed")):
            case "one":
                shape["path"] = self._path(kind, parent)
            case "several":
                shape["paths"] = [self._path(kind, parent) for _ in range(self.dice.choice((2, 2, 3)))]
            case "typed":
                parent = self._typed(kind, parent, shape)
        if self._once(0.6):
            shape["sentinels"] = self.dice.choice(([0], [0, -1], ["0", 3]))
        if not required and self._once(0.4):
            shape["missing"] = self.dice.choice(("null", self.dice.sample(CODES, self.dice.randint(1, 4))))
            if shape["missing"] == "null":
                shape["missing"] = None
        kind.references[column] = shape
        kind.filled[column] = "uuid" + (" not null" if required else "")
        if parent is not None and self._once(0.8):
            self.constraints.append(
                f"alter table {kind.to} add constraint f{column} foreign key ({column}) references {parent.to};"
            )

    def _typed(self, kind: Kind, parent: Kind, shape: Json) -> Any:
        """By content type; the parent that its key may name, None where several."""
        shape["type"] = self._add(kind.table, self._name("type"), "int", (1, 2, 3, 9, 77, None, 1, 2, 1, 2))
        others = self.kinds if self.circles else self.kinds[: self.kinds.index(kind)]
        other = self.dice.choice(others) if self._once(0.3) else parent
        backward, self.backward = self.backward, self.backward and not self.tame
        shape["by_type"] = {
            "app.one": self._path(kind, parent),
            "app.two": {"to": other.name, "path": self._path(kind, other)},
        }
        self.backward = backward
        return parent if other.to == parent.to else None

    def _path(self, kind: Kind, parent: Kind) -> list[str]:
        ways = [self._direct, self._direct, self._two_hops, self._climb]
        if self.backward:
            ways += [self._backward, self._named_back] + ([] if self.tame else [self._long])
        if kind.table is parent.table:
            ways += [self._own_climb]
        return self.dice.choice(ways)(kind, parent)

    def _landing(self, parent: Kind) -> tuple[str, str, list[Value]]:
        """(column of the parent's table, its type, values that mostly are there)"""
        table = parent.table
        column = "n" if len(table.primary) > 1 or self._once(0.2) else "id"
        there = [row[column] for row in table.keys]
        kind = table.columns[column].split(" ")[0]
        missing: dict[str, list[Value]] = {"text": ["k99", "0"], "numeric(6,2)": ["99.5", "0"]}
        values = [*(there * (12 // max(1, len(there)) or 1)), *missing.get(kind, [99, 0]), None]
        if kind != "text" and self._once(0.15):  # a number and a text are compared as text
            kind = "text"
            values = [v if v is None else str(v) for v in values]
        return column, {"bigint": "int"}.get(kind, kind), values

    def _direct(self, kind: Kind, parent: Kind) -> list[str]:
        landing, type_, values = self._landing(parent)
        column = self._add(kind.table, self._name("a"), type_, values)
        if parent.table.primary == (landing,) and self._once(0.5):
            return [column]
        return [f"{column} -> {parent.table.name}.{landing}"]

    def _two_hops(self, kind: Kind, parent: Kind) -> list[str]:
        landing, type_, values = self._landing(parent)
        count = self.dice.randint(1, 5)
        link = self._aux({"dest": values}, {"dest": type_}, count)
        column = self._add(
            kind.table, self._name("a"), "int", [*range(1, count + 1), *range(1, count + 1), 99, 0, None]
        )
        return [f"{column} -> {link.name}.id", f"dest -> {parent.table.name}.{landing}"]

    def _backward(self, kind: Kind, parent: Kind) -> list[str]:
        landing, type_, values = self._landing(parent)
        if self.tame:  # rows that name nobody, for one reason only
            values = [value for value in values if value is not None]
        own: list[Value] = [row["n"] for row in kind.table.keys] or [1]
        link = self._aux(
            {"origin": [*own, None], "dest": values}, {"origin": "int", "dest": type_}, self.dice.randint(1, 2 + 2 * len(own))
        )  # fmt: skip
        return [f"n -> {link.name}.origin{self._pick(link, 'id')}", f"dest -> {parent.table.name}.{landing}"]

    def _pick(self, table: Table, by: str, *, last: bool = False) -> str:
        """Which of several rows is meant, if only one is. By chance of its own, so that all else of a world stays as it is."""
        chance = Random(f"{table.name} {len(table.columns)} {len(table.keys)}")
        picks = ["", "", f" first {by}", f" latest {by}"] + ([] if last else [" majority"])
        return "" if self.tame else chance.choice(picks)

    def _named_back(self, kind: Kind, parent: Kind) -> list[str]:
        """The parent's own row names the child."""
        own: list[Value] = [row["n"] for row in kind.table.keys] or [1]
        column = self._add(parent.table, self._name("b"), "int", [*own, None])
        return [f"n -> {parent.table.name}.{column}{self._pick(parent.table, 'n', last=True)}"]

    def _hierarchy(self, parent: Kind) -> tuple[Table, str, int]:
        """Rows that climb; few of them name the parent. (the table, the column of the parent's table, how many)"""
        landing, type_, values = self._landing(parent)
        count = self.dice.randint(1, 6)
        ups: list[Value] = [*range(1, count + 1), *range(1, count + 1), None, 0, 99]
        tree = self._aux({"up": ups, "dest": [*values, *[None] * len(values)]}, {"up": "int", "dest": type_}, count)
        return tree, landing, count

    def _up(self, tree: Table, parent: Kind, landing: str) -> list[str]:
        return [f"up* -> {tree.name}.id until dest is not null", f"dest -> {parent.table.name}.{landing}"]

    def _climb(self, kind: Kind, parent: Kind) -> list[str]:
        tree, landing, count = self._hierarchy(parent)
        column = self._add(
            kind.table, self._name("a"), "int", [*range(1, count + 1), *range(1, count + 1), 99, 0, None]
        )
        return [f"{column} -> {tree.name}.id", *self._up(tree, parent, landing)]

    def _long(self, kind: Kind, parent: Kind) -> list[str]:
        """Backwards to links, each of which names a row that climbs."""
        tree, landing, count = self._hierarchy(parent)
        own: list[Value] = [row["n"] for row in kind.table.keys] or [1]
        link = self._aux(
            {"origin": own, "node": [*range(1, count + 1), 99, None]}, {"origin": "int", "node": "int"},
            self.dice.randint(1, 2 + 2 * len(own)),
        )  # fmt: skip
        return [
            f"n -> {link.name}.origin{self._pick(link, 'id')}",
            f"node -> {tree.name}.id",
            *self._up(tree, parent, landing),
        ]

    def _own_climb(self, kind: Kind, parent: Kind) -> list[str]:
        """From the row itself to the top of its own table."""
        there: list[Value] = [row["n"] for row in kind.table.keys] or [1]
        column = self._add(kind.table, self._name("up"), "int", [*there, None, None, 99, 0])
        until = self.dice.choice(("", f" until {column} is null", " until n % 3 = 0"))
        return [f"{column}* -> {kind.table.name}.n{until}"]

    # -- rows that are one, and elements: by dice of their own, so that all else of a world stays as it is ------------

    def _merge(self, kind: Kind) -> str:
        """Rows for which others stand: of the same table, or of another that fills the same; the view that their way needs."""
        own, table = Random(f"merge {kind.name} {kind.filled}"), kind.table
        others = [k for k in self.kinds[: self.kinds.index(kind)] if k.to == kind.to]
        if self.tame or own.random() > (0.6 if others else 0.15):
            return ""
        self.circles = self.circles or not others
        if others:
            values: list[Value] = [*(row["n"] for row in others[0].table.keys), None, 99]
            table.columns["other"] = "int"
            for row in table.keys:
                row["other"] = own.choice(values)
            kind.more["merge"] = {"to": others[0].name, "path": f"other -> {others[0].table.name}.n"}
            return ""
        if "grp" not in table.columns:
            table.columns["grp"] = "text"
            for row in table.keys:
                row["grp"] = own.choice(("a", "b", "c", "d", None, None))
        view = f"v_{kind.name}"
        kind.more["merge"] = {"to": kind.name, "path": f"n -> {view}.n, stays -> {table.name}.n"}
        stays = "first_value(n) over (partition by grp order by n)"
        return f"  {view}: select n, {stays} as stays from {table.name} where grp is not null"

    def _elements(self, kind: Kind) -> None:
        own, before = Random(f"each {kind.name} {kind.filled}"), self.kinds[: self.kinds.index(kind)]
        if self.tame or self.circles or kind.loose or not before or own.random() > 0.3:
            return
        parent = own.choice(before)
        keys = [*(row["n"] for row in parent.table.keys), 99, "null"]
        column = kind.table.columns
        column["many"] = "int[]"
        for row in kind.table.keys:
            some = (str(own.choice(keys)) for _ in range(own.choice((0, 1, 1, 2, 3))))
            row["many"] = own.choice((None, *["{" + ", ".join(some) + "}"] * 5))
        shape: Json = {"each": "many", "to": parent.name, "path": f"element -> {parent.table.name}.n"}
        if own.random() < 0.5:
            shape["missing"] = own.sample(CODES[2:5], own.randint(1, 3))
        kind.references["many"], kind.filled["many"] = shape, "uuid[]"

    # -- rules and uniqueness ---------------------------------------------------------------------------------------

    def _rules(self, kind: Kind) -> None:
        if self._once(0.05) and self._may_fail(kind):
            column = self._add(kind.table, self._name("w"), "int", (1, 1, 1, 2, 0, None))
            kind.more["where"] = {"fallible": f"10 / {column} > 5"}
        if self._once(0.05) and self._may_fail(kind):
            column = self._add(kind.table, self._name("w"), "int", (1, 1, 1, 2, 0, None))
            kind.more["rules"] = {"risky": f"10 / {column} > 5"}
        if self._once(0.35) and not kind.sealed:
            flag = self._add(kind.table, self._name("flag"), "boolean", (True, True, True, True, False, None))
            kind.more["where"] = (
                kind.more.get("where", {}) | {"kept": flag} | ({"few": "n % 7 <> 0"} if self._once(0.2) else {})
            )
        if self._once(0.3) and not kind.sealed:
            column = self._add(kind.table, self._name("w"), "int", (1, 1, 1, 1, 2, 3, None))
            kind.more["rules"] = kind.more.get("rules", {}) | {"sane": f"{column} < 3"}
        if self._once(0.25):
            times = ("2024-01-01Z", "2024-01-01Z", "2025-01-01Z", "2025-01-02Z", "infinity", None)
            column = self._add(kind.table, self._name("at"), "timestamptz", times)
            kind.more["cutoff"] = {"column": column, "at": "2025-01-01T00:00:00Z"}
        if self.refusals and not kind.loose and self._once(0.3):
            column = self._add(kind.table, self._name("w"), "int", (1, 1, 1, 1, 1, 5))
            name = self._name("c")
            kind.columns[name], kind.filled[name] = {"from": column}, f"int check ({name} <> 5)"
            self.foreseeable = False

    def _unique(self, kind: Kind) -> None:
        able = [c for c, type_ in kind.filled.items() if not type_.startswith(("int check",))]
        for _ in range(self.dice.choice((0, 0, 1, 1, 2))):
            if able:
                columns = self.dice.sample(able, min(len(able), self.dice.choice((1, 1, 2))))
                nulls = "nulls not distinct " if not kind.loose and self._once(0.2) else ""
                self.uniques.setdefault(kind.to, []).append(f"unique {nulls}({', '.join(columns)})")

    # -- what comes of it -------------------------------------------------------------------------------------------

    def _entity(self, kind: Kind) -> Json:
        entity: Json = {"from": kind.table.name, "to": kind.to, **kind.more}
        own = Random(f"{kind.name} {kind.columns}")  # the dice of the world fall as they did
        if own.random() < 0.4:
            some = own.choice(("true", "md5(t::text) > '3'"))
            query = f"select t.* from {kind.table.name} t where {some}"
            entity["from"] = {"base": kind.table.name, "query": query, "absent": "left_out"}
        if own.random() < 0.2:
            entity["ids"] = "uuid4"
        if kind.columns:
            entity["columns"] = kind.columns
        if kind.references:
            entity["references"] = kind.references
        return entity

    def _target(self) -> str:
        tables: dict[str, dict[str, str]] = {}
        for kind in self.kinds:
            tables.setdefault(kind.to, {}).update(kind.filled)
        lines = ["create type mood as enum ('open', 'shut');"]
        for name, columns in tables.items():
            parts = ["id uuid primary key", *(f"{c} {type_}" for c, type_ in columns.items())]
            parts += dict.fromkeys(self.uniques.get(name, []))
            lines.append(f"create table {name} ({', '.join(parts)});")
        return "\n".join([*lines, *self.constraints])
