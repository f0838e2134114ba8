"""Rows that need each other: each is judged as if every parent of its own cyclic group migrated; then whoever needs a row that
will not migrate falls, to the fixpoint. So rows of a circle migrate together, or none of them does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from rowcall.errors import UsageError
from rowcall.move.verdicts import Verdicts
from rowcall.plan.judge import Judge
from rowcall.plan.merge import MERGED_COLUMNS, WAY
from rowcall.postgres.queries import named_queries
from rowcall.sql import literal

Row = tuple[str, str]  # entity, key


def fates_sql(judge: Judge) -> str:
    """DuckDB SQL for the fates (see move.fates) of an entity's rows as the table `pre` has them."""
    return (
        f"select k::{judge.key.kind} as k, case state when 'sound' then 'migrated' when 'bad' then 'quarantined' else state end "
        f"as outcome, uid, case when state in ('bad', 'merged') then root_entity end as root_entity, "
        f"case when state <> 'sound' then root_key end as root_key, named from pre where entity = {literal(judge.entity.name)}"
    )


class Fixpoint:
    """Over the workspace's tables `pre` (entity, k, chunk, state: sound, merged, bad or excluded, root_entity, root_key: what will
    become of each row) and `link` (who needs whom). Of a merged one uid and root are those of the row that stands for it."""

    def __init__(self, duck: duckdb.DuckDBPyConnection) -> None:
        self.duck = duck
        self._sql = named_queries("rowcall.move", "fixpoint.sql")
        self._do("create")

    def add(self, judge: Judge, chunk: int, verdicts: Verdicts) -> None:
        name = judge.entity.name
        table = verdicts.table
        ids = (
            verdicts.ids(table) if judge.group_references else pa.nulls(table.num_rows, pa.binary())
        )  # of cyclic groups
        table = table.append_column("uid", ids)
        for column in MERGED_COLUMNS if judge.entity.merge is None else ():
            kind = pa.binary() if column == "merged_uid" else pa.string()
            table = table.append_column(column, pa.nulls(table.num_rows, kind))
        self.duck.register("verdicts", table)
        self._do("add", entity=name, chunk=chunk)
        for place, group in enumerate(judge.group_references):
            # A row for which another stands needs nothing but that one.
            alone = "true" if judge.entity.merge is None or group.name == WAY else "merged_key is null"
            self.duck.execute(
                f"insert into link select {literal(name)}, k::varchar, {group.name}_parent_entity, {group.name}_parent, "
                f"{group.needs_sound}, {group.needs_included}, {place} from verdicts "
                f"where {group.name}_parent is not null and {alone}"
            )
        self.duck.unregister("verdicts")

    def forget(self, judge: Judge, chunk: int) -> None:
        """What a chunk added: its judging failed half way."""
        self._do("forget", entity=judge.entity.name, chunk=chunk)

    def refuse(self, refused: Mapping[Row, object]) -> None:
        """These fall: the target does not take them."""
        rows = pa.table({"entity": [e for e, _ in refused], "k": [k for _, k in refused]})
        self.duck.register("refused", rows)
        self._do("refuse")
        self.duck.unregister("refused")

    def spread(self) -> None:
        """Whoever needs one that fell falls, too."""
        self._do("frontier")
        while True:
            self._do("spread")
            if not self.duck.sql("from hit limit 1").fetchone():
                return
            self._do("mark")

    def need_no_chains(self, place: Callable[[str], str]) -> None:
        """Raises UsageError where a row is merged into one that is merged itself; `place` tells where the mapping says so."""
        found = self.duck.sql(self._sql["chains"].rstrip(";\n")).fetchone()
        if found is None:
            return
        entity, key, to, stays = found
        raise UsageError(
            f"{place(entity)}: {entity} {key} is merged into {to} {stays}, which is merged itself",
            hint="let the path end in the row that stays: that row leads to itself, or to none",
        )

    def keep(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """Of the sound rows only these (entity -> keys) and those that they need: the others are as if never added."""
        rows = [(entity, key) for entity, keys in wanted.items() for key in keys]
        asked = pa.table(
            {"entity": pa.array([e for e, _ in rows], pa.string()), "k": pa.array([k for _, k in rows], pa.string())}
        )
        self.duck.register("asked", asked)
        self._do("keep")
        self.duck.unregister("asked")

    def rows(self, entity: str) -> list[str]:
        """Keys of an entity's rows, as they were added or kept."""
        found = self.duck.execute("select k from pre where entity = $entity order by length(k), k", {"entity": entity})
        return [key for (key,) in found.fetchall()]

    def _do(self, name: str, **params: Any) -> None:
        for statement in self._sql[name].split(";\n"):
            used = {key: value for key, value in params.items() if f"${key}" in statement}
            self.duck.execute(statement, used or None)
