"""Paths and expressions that a repair's settings name, checked as those of the project file are, and walked on the source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from rowcall.errors import UsageError
from rowcall.mapping.desk import no_column
from rowcall.mapping.extra import read_path, wrong_expression
from rowcall.mapping.model import Entity, Mapping, Reference, Route
from rowcall.plan.keys import BIGINT, entity_key
from rowcall.plan.knowledge import Knowledge
from rowcall.plan.source_sql import terminals_sql
from rowcall.postgres.catalog import ServerProbe
from rowcall.postgres.read import Reader
from rowcall.sql import ident, literal


class Ways:
    """Over one reader on the source."""

    def __init__(self, mapping: Mapping, know: Knowledge, probe: ServerProbe, source: Reader) -> None:
        self.mapping, self.know, self.probe, self.source = mapping, know, probe, source
        self._routes: dict[tuple[str, str, str], Route] = {}
        self._sound: set[tuple[str, str]] = set()

    def expression(self, entity: Entity, sql: str) -> None:
        """Raises UsageError where the source does not take an expression over the entity's rows."""
        if (entity.source, sql) in self._sound:
            return
        if wrong := wrong_expression(entity.relation(), sql, self.probe):
            raise UsageError(wrong, hint="write SQL over the row's own columns, which may look elsewhere by a subquery")
        self._sound.add((entity.source, sql))

    def walked(
        self, entity: Entity, to: str, path: Any, sentinels: Sequence[str], keys: Sequence[str]
    ) -> dict[str, list[str]]:
        """Key -> the different keys of the rows of `to` where a path ends."""
        route = self._route(entity, to, path)
        reference = Reference("", (route,), sentinels=tuple(sentinels))
        return {key: list(parents) for key, parents in self.named(entity, reference, route, keys).items()}

    def named(
        self, entity: Entity, reference: Reference, route: Route, keys: Sequence[str]
    ) -> dict[str, dict[str, int]]:
        """Key -> the keys of the rows where a route of a reference ends, in their order -> how many rows on the way name it."""
        sql = terminals_sql(
            reference, route, entity, self.mapping, self.know.source, self.know.content_types, counted=True
        )
        listed = ", ".join(map(literal, keys)) or "null"
        found: dict[str, dict[str, int]] = defaultdict(dict)
        for batch in self.source.batches(
            f"select source_key, parent_key, count(*) as n from ({sql}) w where w.source_key in ({listed}) group by 1, 2"
        ):
            for row in batch.to_pylist():
                found[row["source_key"]][row["parent_key"]] = row["n"]
        order = int if entity_key(self.mapping.entity(route.to), self.know.source).kind == BIGINT else str
        return {key: {k: parents[k] for k in sorted(parents, key=order)} for key, parents in found.items()}

    def in_order(self, entity: Entity, keys: Sequence[str], column: str | None) -> list[str]:
        """Keys of an entity's rows in the order of the key, or of a column of its source table."""
        table, key = self.know.source.tables[entity.source], entity_key(entity, self.know.source)
        if column is not None and table.column(column) is None:
            raise UsageError(no_column(table, column), hint=f"`order` is a column of {entity.source}")
        by = f"{ident(column)} nulls first, {key.names}" if column else key.names
        sql = f"select ({key.sql})::text as k from {entity.relation()} where {key.among(keys)} order by {by}"
        return list(self.source.table(sql)["k"].to_pylist())

    def _route(self, entity: Entity, to: str, path: Any) -> Route:
        told = (entity.name, to, str(path))
        if told not in self._routes:
            parent = self.mapping.entity(to)
            schema = self.know.source
            hops, wrong = read_path(path, schema.tables[entity.source], parent, schema, self.probe)
            if wrong or not hops:
                raise UsageError(
                    f"the path {path!r}: {'; '.join(wrong)}", hint="docs/mapping.md says how a path is written"
                )
            self._routes[told] = Route(to, hops)
        return self._routes[told]
