"""The rejected rows in DuckDB: the first rejection of every quarantined row, whether of a forecast or of a ledger.

What repeats is kept once (`NAME_sort`, `NAME_entity`), so that a million rows fit into little memory; the view NAME shows
them whole, with the columns of REJECTED and `more`, the row's other rejections (NULL where it has none).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import duckdb

REJECTED = (
    "entity", "key", "code", "column", "reference", "hop", "evidence",
    "root_entity", "root_key", "parent_entity", "parent_key", "disposition",
)  # fmt: skip
_SORT = '"entity", "code", "column", "reference", "hop", "evidence", "disposition"'

_CREATE = """
drop view if exists {n};
create or replace table {n}_sort (id integer, entity varchar, code varchar, "column" varchar, reference varchar, hop integer,
    evidence varchar, disposition varchar);
create or replace table {n}_entity (id smallint, name varchar);
create or replace table {n}_line (sort integer, entity smallint, key varchar, own boolean, root_entity smallint, root_key varchar,
    parent_entity smallint, parent_key varchar, more struct(code varchar, parent_entity varchar, parent_key varchar)[]);
create view {n} as
select s.entity, l.key, s.code, s."column", s.reference, s.hop, s.evidence,
       case when l.own then s.entity else r.name end as root_entity, case when l.own then l.key else l.root_key end as root_key,
       p.name as parent_entity, l.parent_key, s.disposition, l.more
from {n}_line l join {n}_sort s on s.id = l.sort
left join {n}_entity r on r.id = l.root_entity left join {n}_entity p on p.id = l.parent_entity;
"""
_ADD = """
insert into {n}_sort
select (select coalesce(max(id), 0) from {n}_sort) + row_number() over (), * from (
    select distinct {sort} from {rows} except select {sort} from {n}_sort);
insert into {n}_entity
select (select coalesce(max(id), 0) from {n}_entity) + row_number() over (), name from (
    select entity as name from {rows} union select root_entity from {rows} union select parent_entity from {rows}
    except select name from {n}_entity)
where name is not null;
insert into {n}_line
select s.id, e.id, x.key, x.own, case when not x.own then r.id end, case when not x.own then x.root_key end, p.id, x.parent_key,
       x.more
from (select *, coalesce(root_entity = entity and root_key = key, false) as own from {rows}) x
join {n}_sort s on s.entity = x.entity and s.code = x.code and s."column" is not distinct from x."column"
    and s.reference is not distinct from x.reference and s.hop is not distinct from x.hop
    and s.evidence is not distinct from x.evidence and s.disposition is not distinct from x.disposition
join {n}_entity e on e.name = x.entity
left join {n}_entity r on r.name = x.root_entity
left join {n}_entity p on p.name = x.parent_entity;
"""


def create_rejected(duck: duckdb.DuckDBPyConnection, name: str = "rejected") -> None:
    """Empty tables under this name; those that are there go."""
    duck.execute(_CREATE.format(n=name))


def add_rejected(duck: duckdb.DuckDBPyConnection, rows: str, name: str = "rejected") -> None:
    """Adds rows: DuckDB SQL of a relation with the columns of REJECTED and `more`."""
    for statement in _ADD.format(n=name, rows=rows, sort=_SORT).split(";\n")[:-1]:
        duck.execute(statement)


def load_rejected(
    duck: duckdb.DuckDBPyConnection, batches: Iterable[Any], more: str = "more", name: str = "rejected"
) -> None:
    """Adds Arrow batches with these columns. `more`: DuckDB SQL over a batch for its column of that name."""
    for batch in batches:
        duck.register("arriving", batch)
        columns = ", ".join(f'"{column}"' for column in REJECTED)
        add_rejected(duck, f"(select {columns}, {more} as more from arriving)", name)
        duck.unregister("arriving")
