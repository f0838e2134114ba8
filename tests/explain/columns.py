"""The columns of a little world's entities: conversions, types that are too narrow, maps, content types and expressions."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from .made import Json, Kind, Table, Value

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


class Columns:
    """Throws the dice for them. `tame`: without what is known to go wrong; `risky`: whether an expression may fail on a row."""

    def __init__(self, dice: Random, tame: bool) -> None:
        self.dice, self.tame, self.risky, self.number = dice, tame, False, 0

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

    def _may_fail(self, kind: Kind) -> bool:
        """Whether an expression that fails on some rows may be added."""
        others = [c for c in kind.columns.values() if "sql" in c] or kind.more.keys() & {"where", "rules"}
        if self.tame and others:
            return False
        self.risky, kind.sealed = True, self.tame
        return True
