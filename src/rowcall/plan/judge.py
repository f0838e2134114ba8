"""The judge: one DuckDB query per entity, compiled from the mapping; `rowcall plan --sql ENTITY` prints it.

The query reads the batch `n` and yields, per source row: its key, its uuid, the values to COPY, the name of the rule that
excludes it, and all its findings in the contract's order. A sound row has neither. Most rows are sound, and a shorter query
(`quick_sql`) sees that at first sight.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from typing import Any

from rowcall.mapping.model import Entity
from rowcall.plan.keys import Key
from rowcall.plan.values import Ask, Output
from rowcall.schema import Unique
from rowcall.sql import ident, label


@dataclass(frozen=True)
class Read:
    """One column of the SELECT from the source. `fallible`: an expression of the mapping, which may fail on a row; `label`
    is where the mapping has it ("columns.slug"), `type` its Postgres type then."""

    alias: str
    sql: str
    fallible: bool = False
    label: str = ""
    type: str = "bool"


@dataclass(frozen=True)
class Function:
    """A function of the project over columns of a batch: `alias` is the column that it makes, of `inputs`, which are read for it;
    `raw`: as bytes. `label` is where the mapping has it."""

    alias: str
    inputs: tuple[str, ...]
    call: Callable[..., Any] = field(repr=False, compare=False)
    label: str
    raw: bool


@dataclass(frozen=True)
class GroupReference:
    """A reference into the entity's own cyclic group: the query's columns `{name}_parent_entity` and `{name}_parent` hold
    the parent. `needs_sound` and `needs_included` are false where the mapping lets such a parent become NULL."""

    name: str
    needs_sound: bool
    needs_included: bool


@dataclass(frozen=True)
class Judge:
    """The compiled entity."""

    entity: Entity
    key: Key
    reads: tuple[Read, ...]
    outputs: tuple[Output, ...]
    asks: tuple[Ask, ...]
    prepare: tuple[str, ...]  # DuckDB statements that build the route tables, in order
    hop_tables: tuple[str, ...]
    parents: tuple[str, ...]  # entities whose fate tables the routes read
    uniques: tuple[Unique, ...]  # of the target, judged set-wise
    group_references: tuple[GroupReference, ...]
    sql: str
    # At first sight, for a batch with the numbers of its rows as `row`: whether nothing is wrong with each, and what must be
    # computed of it. Nothing is asked, no finding is made, and what passes through unchanged is left where it is.
    quick_sql: str
    passing: MappingOf[str, str]  # column of the answer -> column of the batch that it is, unchanged
    given: frozenset[str] = frozenset()  # target columns for which repairs have something (see given_table)
    functions: tuple[Function, ...] = ()
    apart: tuple[tuple[str, str], ...] = ()  # columns of the batch that are taken apart, and what parts their elements

    def source_sql(self, condition: str, failed: frozenset[str] = frozenset()) -> str:
        """The SELECT that reads rows of the source. `failed`: aliases of expressions to read as NULL instead."""
        parts = [f"{'null::' + r.type if r.alias in failed else r.sql} as {ident(r.alias)}" for r in self.reads]
        return f"select {', '.join(parts)} from {self.entity.relation(condition)} where {condition}"

    def told(self, failed: frozenset[str]) -> str | None:
        """The column `failed` of a batch that was read so: the labels of these expressions."""
        return ", ".join(r.label for r in self.reads if r.alias in failed) or None


def out_name(column: str) -> str:
    """The query's column that holds a target column's value."""
    return label(f"out {column}")


def asked_name(column: str) -> str:
    """The query's column that holds the bytes which the target gave for a value."""
    return label(f"ask {column}")


def duplicates_table(entity: str) -> str:
    """DuckDB table (k, columns): rows whose unique values an earlier row or the target already has."""
    return ident(label(f"duplicates {entity}"))
