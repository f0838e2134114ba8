"""Little worlds made by chance: source, target and mapping from a few building blocks, and rows with every kind of damage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

Value = str | int | bool | None
Json = dict[str, Any]

TYPES = {1: "app.one", 2: "app.two", 3: "app.three"}  # 9: what app.two had before; 77: nobody's
CODES = (
    "null_reference",
    "sentinel_reference",
    "dangling_reference",
    "parent_excluded",
    "parent_quarantined",
    "unknown_type",
)
# Texts for a conversion: (its name, the target's type, texts).
CONVERSIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("jsonb", "jsonb", ('{"a": 1}', "1", "", "{", "{'a': 1}", '{"a": NaN}', "[1,]", '"\\u0000"', "1e999999", " null ")),
    ("int", "integer", ("1", "2", "12.6", "x", "", " 7 ", "99999999999", "0x1F", "-0")),
    ("int", "smallint", ("1", "40000", "x")),
    ("numeric", "numeric(6,2)", ("1", "1.00", "1.239", "123456", "NaN", "Infinity", "1e3", "abc", "", "0.005")),
    ("numeric", "numeric", ("1", "1.0", "NaN", "-Infinity", "1e3", "abc")),
    ("date", "date", ("2024-02-29", "2024-02-30", "soon", "infinity", "", "Feb 29 2024", "2024-13-01")),
    ("timestamptz", "timestamptz", ("2024-02-29 12:30:00+01", "2024-02-29", "infinity", "x", "2024-02-29 25:00")),
    ("bool", "boolean", ("t", "yes", "1", "maybe", "")),
    ("uuid", "uuid", ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "{a0eebc999c0b4ef8bb6d6bb9bd380a11}", "x")),
    ("interval", "interval", ("1 year 2 mons", "12 mons", "x", "")),
    ("float", "double precision", ("0.1", "1e400", "NaN", "-0", "0", "x")),
    ("inet", "inet", ("10.0.0.1", "10.0.0.0/8", "999.1.1.1")),
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """What a project is made of. `foreseeable`: no row is refused by the target alone; `risky`: an expression of the mapping may
    fail on a row; `circles`: entities may need each other or themselves."""

    source_sql: str
    target_sql: str
    mapping: str
    more: str
    foreseeable: bool
    risky: bool
    circles: bool


@dataclass
class Table:
    """A source table that is being made: column -> type, and its rows."""

    name: str
    columns: dict[str, str]
    keys: list[dict[str, Value]]
    primary: tuple[str, ...]
    also: list[str] = field(default_factory=list)

    @property
    def sql(self) -> str:
        lines = [f"{name} {kind}" for name, kind in self.columns.items()]
        lines += [f"primary key ({', '.join(self.primary)})", *self.also]
        made = f"create table {self.name} ({', '.join(lines)});\n"
        names = list(self.columns)
        rows = ",\n  ".join(f"({', '.join(literal(row.get(name)) for name in names)})" for row in self.keys)
        return made + (f"insert into {self.name} ({', '.join(names)}) values\n  {rows};\n" if rows else "")


@dataclass
class Kind:
    """An entity that is being made. `loose`: no column of its target may be required (it shares its table)."""

    name: str
    table: Table
    to: str
    loose: bool = False
    sealed: bool = False  # an expression of it may fail: no other expression is added
    columns: Json = field(default_factory=dict)
    references: Json = field(default_factory=dict)
    more: Json = field(default_factory=dict)
    filled: dict[str, str] = field(default_factory=dict)  # target column -> its type as declared


def literal(value: Value) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).lower()


def make_world(dice: Random, rows: int, *, refusals: bool = False, tame: bool = False) -> World:
    """`rows`: how many a table has at most; `refusals`: whether the target may refuse rows that nobody foresees; `tame`: without
    what is known to go wrong (found_*.py shows it)."""
    return _Maker(dice, rows, refusals, tame).make()


class _Maker:
    def __init__(self, dice: Random, rows: int, refusals: bool, tame: bool) -> None:
        self.dice, self.rows, self.refusals, self.tame = dice, rows, refusals, tame
        self.circles = self._once(0.5)
        self.backward = not (tame and self.circles)
        self.tables: dict[str, Table] = {}
        self.kinds: list[Kind] = []
        self.constraints: list[str] = []
        self.uniques: dict[str, list[str]] = {}
        self.foreseeable, self.risky, self.number = True, False, 0

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

    def _add(self, table: Table, name: str, kind: str, values: Sequence[Value]) -> str:
        if name not in table.columns:
            table.columns[name] = kind
            for row in table.keys:
                row[name] = self.dice.choice(values)
        return name

    def _name(self, stem: str) -> str:
        self.number += 1
        return f"{stem}{self.number}"

    def _once(self, chance: float) -> bool:
        return self.dice.random() < chance

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

    # -- values -----------------------------------------------------------------------------------------------------

    def _column(self, kind: Kind) -> None:
        column, required = self._name("c"), not kind.loose and self._once(0.5)
        made = self.dice.choice(
            (self._converted, self._converted, self._converted, self._narrow, self._mapped, self._mapped, self._plain,
             self._typename, self._expression)
        )  # fmt: skip
        filler, type_ = made(kind)
        if required and "map" in filler:  # which may not yield what the column does not take
            filler["map"] = {text: value or "open" for text, value in filler["map"].items()}
            filler["else"] = filler["else"] or "reject"
        kind.columns[column] = filler
        kind.filled[column] = type_ + (" not null" if required else "")

    def _mostly(self, values: Sequence[Value]) -> list[Value]:
        """Half of the rows are to be sound: the first value is."""
        return [*[values[0]] * len(values), *values, None]

    def _converted(self, kind: Kind) -> tuple[Json, str]:
        name, type_, texts = self.dice.choice(CONVERSIONS)
        column = self._add(kind.table, self._name("v"), "text", self._mostly(texts))
        if self._once(0.2) and not kind.sealed:
            return {"sql": f"nullif({column}, '1')", "convert": name}, type_
        return {"from": column, "convert": name}, type_

    def _narrow(self, kind: Kind) -> tuple[Json, str]:
        given, wanted, values = self.dice.choice(
            (
                ("text", "varchar(3)", ("abc", "abcd", "", "äöü", "äöüß")),
                ("int", "smallint", (1, 40000, -1)),
                ("numeric", "numeric(4,1)", ("1.5", "1.25", "99999", "NaN")),
                ("text", "mood", ("open", "shut", "ajar", "")),
                ("timestamptz", "timestamptz(0)", ("2024-01-01 00:00:00Z", "2024-01-01 00:00:00.5Z", "infinity")),
            )
        )
        column = self._add(kind.table, self._name("v"), given, self._mostly(values))
        return ({"from": column, "convert": "enum"} if wanted == "mood" else {"from": column}), wanted

    def _mapped(self, kind: Kind) -> tuple[Json, str]:
        type_ = self.dice.choice(("mood", "text", "varchar(4)"))
        given, values = self.dice.choice((("text", ("a", "b", "open", "strange", "")), ("int", (1, 2, 3))))
        column = self._add(kind.table, self._name("v"), given, self._mostly(values))
        map_: Json = {
            "a" if given == "text" else "1": "open",
            "b" if given == "text" else "2": self.dice.choice(("shut", None)),
        }
        if self._once(0.3):
            map_["null"] = "open"
        otherwise = self.dice.choice(("reject", "reject", "keep", None, {"value": "shut"}))
        return {"from": column, "map": map_, "else": otherwise}, type_

    def _plain(self, kind: Kind) -> tuple[Json, str]:
        column = self._add(kind.table, self._name("v"), "text", ("a", "b", "c", "d", "e", None))
        return {"from": column}, "text"

    def _typename(self, kind: Kind) -> tuple[Json, str]:
        column = self._add(kind.table, self._name("type"), "int", (1, 2, 1, 2, 3, 9, 77, None))
        if self._once(0.5):
            return {"content_type": column}, "text"
        map_ = {"app.one": "open", "app.two": self.dice.choice(("shut", None))}
        return {
            "content_type": column,
            "map": map_,
            "else": self.dice.choice(("reject", None, {"value": "open"})),
        }, "mood"

    def _expression(self, kind: Kind) -> tuple[Json, str]:
        if kind.sealed:
            return self._plain(kind)
        if self._once(0.7) or not self._may_fail(kind):
            column = self._add(kind.table, self._name("v"), "text", ("a", "b", "A", None))
            return {"sql": f"upper({column})"}, "text"
        column = self._add(kind.table, self._name("v"), "int", (1, 2, 2, 5, 5, 0, None))
        return {"sql": f"10 / {column}"}, "integer"

    # -- rules and uniqueness ---------------------------------------------------------------------------------------

    def _may_fail(self, kind: Kind) -> bool:
        """Whether an expression that fails on some rows may be added."""
        others = [c for c in kind.columns.values() if "sql" in c] or kind.more.keys() & {"where", "rules"}
        if self.tame and others:
            return False
        self.risky, kind.sealed = True, self.tame
        return True

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
