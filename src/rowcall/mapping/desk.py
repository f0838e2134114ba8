"""What the checks share: both catalogs, the names looked up in them, and the questions that only a server answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rowcall.mapping.fits import bare
from rowcall.mapping.load import Draft, EntityDraft
from rowcall.mapping.model import Entity, Loc, Query
from rowcall.mapping.words import instead, one_of, too_long
from rowcall.schema import Column, Schema, Selected, Table, Type
from rowcall.sql import qualified

Judge = Callable[[Type], str | None]


class Probe(Protocol):
    """Asks the servers what the catalogs do not say. It runs nothing over rows."""

    def types(self, relation: str, expressions: Sequence[str]) -> Sequence[Type | str]:
        """The type of each SQL expression over the columns of a relation (SQL for FROM), or the server's reason."""

    def query(self, sql: str) -> Selected | str:
        """What a SELECT returns and reads, or the server's reason."""

    def literals(self, values: Sequence[tuple[str, Type]]) -> Sequence[str | None]:
        """For each text and target type: None if the target reads it, else its reason."""


@dataclass
class Frame:
    """An entity as far as its tables are known. `key` is () and `id_column` None where they could not be told. `source` is what
    its rows look like, `home` the table to which paths lead: of a query its base table."""

    draft: EntityDraft
    source: Table | None
    target: Table | None
    key: tuple[str, ...] = ()
    id_column: str | None = None
    query: Query | None = None
    base: Table | None = None
    declared: bool = False

    @property
    def home(self) -> Table | None:
        return self.source if self.query is None else self.base

    @property
    def name(self) -> str:
        return self.draft.name

    @property
    def loc(self) -> Loc:
        return self.draft.loc

    @property
    def identity(self) -> str:
        return self.draft.shape.identity or self.name


@dataclass(frozen=True)
class Question:
    """An expression for the source. `judge` turns the type that it yields into a message, or None if it is right."""

    expression: str
    loc: Loc
    offset: int | None
    judge: Judge


@dataclass
class Desk:
    """One check of one file."""

    draft: Draft
    source: Schema
    target: Schema
    frames: dict[str, Frame] = field(default_factory=dict)
    questions: dict[str, list[Question]] = field(default_factory=dict)
    literals: list[tuple[str, Type, Loc]] = field(default_factory=list)
    relations: dict[str, str] = field(default_factory=dict)  # of the tables that are queries: SQL for FROM
    views: dict[str, Table] = field(default_factory=dict)  # that the mapping makes of the source's tables
    there: dict[str, Entity] = field(default_factory=dict)  # see mapping.there

    def table(self, side: str, name: str, loc: Loc, offset: int | None = None) -> Table | None:
        """A table by "name" or "schema.name", or a view of the mapping; a fault where there is none."""
        schema = self.source if side == "source" else self.target
        endpoint = self.draft.source if side == "source" else self.draft.target
        default = endpoint.schema if endpoint else schema.default
        found = self.views.get(name) if side == "source" else None
        found = found or schema.tables.get(name if "." in name else f"{default}.{name}")
        if found is None or name.startswith("("):  # as the tables are named that only rowcall knows
            names = [full.removeprefix(f"{default}.") for full in schema.tables if not full.startswith("(")]
            self.draft.say(loc, too_long(name) or f"the {side} has no table {name!r}: {instead(name, names)}", offset)
            return None
        if "." in found.schema:
            what = f"the schema {found.schema!r} has a dot in its name, so that its tables cannot be named"
            self.draft.say(loc, f"{what}: rename the schema, or read it through views in another one", offset)
            return None
        return found

    def column(self, table: Table, name: str, loc: Loc, offset: int | None = None) -> Column | None:
        """A column of a table; a fault where there is none."""
        found = table.column(name)
        if found is None:
            self.draft.say(loc, no_column(table, name), offset)
        return found

    def content_type(self, table: Table, name: str, loc: Loc) -> None:
        """Checks a column that is said to hold ids of content types."""
        column = self.column(table, name, loc)
        if column is not None and not bare(column.type).is_integer:
            what = f"{name} is {column.type.formatted}, and ids of content types are integers"
            self.draft.say(loc, f"{what}: write the column that holds them, such as content_type_id")

    def fillable(self, frame: Frame, name: str, loc: Loc) -> Column | None:
        """A target column that a mapping may fill; a fault at its key where it may not."""
        assert frame.target is not None
        column = frame.target.column(name)
        if column is None:
            self.draft.say_key(loc, no_column(frame.target, name))
        elif column.generated:
            self.draft.say_key(loc, f"{name} is a generated column, which the target computes: leave it out")
        else:
            return column
        return None

    def condition(self, table: Table, text: str, loc: Loc, offset: int | None = None) -> None:
        """Asks whether an SQL text is a condition over a source table."""
        self.ask(table, text, loc, _boolean, offset)

    def ask(self, table: Table, text: str, loc: Loc, judge: Judge, offset: int | None = None) -> None:
        self.questions.setdefault(table.qualified, []).append(Question(text, loc, offset, judge))

    def constant(self, text: str | None, column: Column, loc: Loc) -> None:
        """Checks a constant against a target column; what only the target can say is asked later."""
        kind = bare(column.type)
        if text is None:
            if column.not_null:
                self.draft.say(loc, f"{column.name} is NOT NULL: write a value")
        elif kind.kind == "e":
            if text not in kind.labels:
                self.draft.say(loc, f"{text!r} is no label of {kind.formatted}: {instead(text, kind.labels)}")
        else:
            self.literals.append((text, column.type, loc))

    def settle(self, probe: Probe) -> None:
        """Asks the servers everything that waits, a table at a time."""
        for name, questions in self.questions.items():
            table = self.source.tables[name]
            answers = probe.types(
                self.relations.get(name) or qualified(name), [question.expression for question in questions]
            )
            for question, answer in zip(questions, answers, strict=True):
                wrong = _refused(table, answer) if isinstance(answer, str) else question.judge(answer)
                if wrong:
                    self.draft.say(question.loc, wrong, question.offset)
        reasons = probe.literals([(text, kind) for text, kind, _ in self.literals]) if self.literals else ()
        for (text, kind, loc), reason in zip(self.literals, reasons, strict=True):
            if reason is not None:
                self.draft.say(loc, f"{text!r} is no {kind.formatted} ({reason}): write one that the target can read")


def no_column(table: Table, name: str) -> str:
    """What is wrong with a column's name."""
    if wrong := too_long(name):
        return wrong
    known = [column.name for column in table.columns if not column.name.startswith("rowcall_")]
    return f"{table.name} has no column {name!r}: {instead(name, known)}"


def _boolean(kind: Type) -> str | None:
    if bare(kind).name == "bool":
        return None
    return f"yields {kind.formatted}, not a boolean: write a condition that is true or false, such as `... is not null`"


def _refused(table: Table, reason: str) -> str:
    """The server's reason, with the name that was probably meant."""
    unknown = re.search(r'column "?(?:\w+\.)?([^"\s]+?)"? does not exist', reason)
    names = [column.name for column in table.columns]
    advice = instead(unknown[1], names) if unknown else f"write SQL over the columns of {table.name} ({one_of(names)})"
    return f"the source does not take this SQL ({reason}): {advice}"
