"""Fate tables in the workspace: for each row of a parent entity, what became of it and under which uuid. Of an excluded row
`root_key` is the rule that excluded it."""

from __future__ import annotations

from typing import Any

import duckdb

from rowcall.loading import load
from rowcall.plan.ids import id_sql, made_of
from rowcall.plan.judge import Judge
from rowcall.plan.paths import HopTable, fate_table, hop_table
from rowcall.plan.plan import Plan
from rowcall.postgres.read import Reader

_COLUMNS = "k, outcome, uid, root_entity, root_key, named"
_LINES = """
select s.source_key::{kind} as k, s.outcome::text as outcome, uuid_send(s.target_id) as uid,
       case when s.outcome <> 'migrated' then q.root_entity end as root_entity,
       case when s.outcome <> 'migrated' then coalesce(q.root_key, s.cause) end as root_key, null::text as named
from rowcall.settlement s left join rowcall.quarantined_row q using (entity, source_key)
where s.entity = {entity}"""
_MERGING = """
select s.source_key::{kind} as k, case when m.source_key is null then s.outcome::text else 'merged' end as outcome,
       uuid_send(coalesce(m.target_id, s.target_id)) as uid,
       coalesce(m.into_entity, case when s.outcome <> 'migrated' then q.root_entity end) as root_entity,
       coalesce(m.into_key, case when s.outcome <> 'migrated' then coalesce(q.root_key, s.cause) end) as root_key, r.named
from rowcall.settlement s left join rowcall.quarantined_row q using (entity, source_key)
left join rowcall.merged m using (entity, source_key) left join rowcall.merged_row r using (entity, source_key)
where s.entity = {entity}"""


def create_fates(duck: duckdb.DuckDBPyConnection, judge: Judge) -> None:
    duck.execute(
        f"create or replace table {fate_table(judge.entity.name)} "
        f"(k {judge.key.kind}, outcome varchar, uid blob, root_entity varchar, root_key varchar, named varchar)"
    )


def load_from_ledger(duck: duckdb.DuckDBPyConnection, judge: Judge, entity_id: int, target: Reader) -> None:
    """What the ledger says, refused rows included."""
    create_fates(duck, judge)
    kind = "int8" if judge.key.kind == "BIGINT" else "text"
    load(
        duck,
        fate_table(judge.entity.name),
        target.batches((_MERGING if judge.entity.merge else _LINES).format(kind=kind, entity=entity_id)),
        _COLUMNS,
    )


def load_hopeful(duck: duckdb.DuckDBPyConnection, judge: Judge, plan: Plan, source: Reader) -> None:
    """Every row as if it would migrate: where the judging of a cyclic group starts."""
    create_fates(duck, judge)
    uid = id_sql(plan.knowledge.namespace(plan.mapping, judge.entity), judge.entity, "k", "made_of")
    read = f"{judge.key.sql} as k, {made_of(judge.entity)} as made_of"
    batches = source.batches(f"select {read} from {judge.entity.relation()}")
    load(duck, fate_table(judge.entity.name), batches, f"k, 'migrated', {uid}, null, null, null")


def keep_back(duck: duckdb.DuckDBPyConnection, judge: Judge, rejected: Any) -> None:
    """Rows of an entity do not migrate after all: a table of verdicts.REJECTED."""
    duck.register("fallen", rejected)
    duck.execute(
        f"update {fate_table(judge.entity.name)} f set outcome = 'quarantined', uid = null, root_entity = a.root_entity, "
        f"root_key = a.root_key from fallen a where f.k = a.key::{judge.key.kind}"
    )
    duck.unregister("fallen")


def load_hops(duck: duckdb.DuckDBPyConnection, hop: HopTable, source: Reader) -> str:
    """Loads one table that paths walk on; a digest of its content, by which a later snapshot can be compared."""
    name = hop_table(hop.table)
    duck.execute(f"drop table if exists {name}")
    created = False
    for batch in source.batches(hop.source_sql):
        duck.register("loading", batch)
        duck.execute(
            f"insert into {name} select * from loading" if created else f"create table {name} as select * from loading"
        )
        duck.unregister("loading")
        created = True
    row = duck.sql(
        # A sum, for equal rows would cancel each other out of an XOR.
        f"select count(*)::varchar || ':' || coalesce(sum(md5_number_lower(t::varchar)), 0)::varchar from {name} t"
    ).fetchone()
    return str(row[0]) if row else ""
