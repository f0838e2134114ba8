"""What a little world is made of, while it is being made: source tables with their rows, and entities."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Value = str | int | bool | None
Json = dict[str, Any]


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
