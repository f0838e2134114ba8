-- For the workspace's DuckDB, but for the two that read lines: what the ledger has of an entity ({n}: its number) against what was
-- judged now. Of a row that migrated, as most did, no more than its hash is kept.

-- name: begin
create or replace table line_{n} (k {kind}, row_hash bigint);
create or replace table other_{n} (k {kind}, outcome varchar, cause varchar, row_hash bigint, held varchar, gone varchar);
create or replace table now_{n} (k {kind}, row_hash bigint);
create or replace table elsewhere_{n} (k {kind}, outcome varchar, cause varchar)

-- name: lines
-- For the target's Postgres: rows that migrated, and were not in quarantine before.
select s.source_key::{kind} as k, s.row_hash from rowcall.settlement s
where s.entity = {n} and s.outcome = 'migrated'
  and not exists (select from rowcall.quarantined_row q where q.entity = {n} and q.source_key = s.source_key);

-- name: others
-- For the target's Postgres: all others; and those that the source had no more, whose target row stayed, with what became of it.
select s.source_key::{kind} as k, s.outcome::text as outcome, s.cause, s.row_hash,
       case when q.disposition = 'repaired' and q.decided_by = 'rowcall' then 'kept' else q.disposition::text end as held, null::text as gone
from rowcall.settlement s left join rowcall.quarantined_row q using (entity, source_key)
where s.entity = {n} and (s.outcome <> 'migrated' or q.source_key is not null)
union all
select g.source_key::{kind}, null, null, null, null, g.became from rowcall.gone_row g
where g.entity = {n} and g.became in ('kept', 'marked');

-- name: ids
-- For the target's Postgres: the uuids that rows have, or had.
select w.source_key::{kind} as k, uuid_send(w.target_id) as uid from rowcall.written w where w.entity = {n};

-- name: begin_ids
create or replace table id_{n} (k {kind}, uid blob)

-- name: begin_nulled
create or replace table nulled_{n} (k {kind}, col varchar)

-- name: nulled
-- For the target's Postgres.
select source_key::{kind} as k, target_column as col from rowcall.nulled_reference where entity = {n};

-- name: begin_merged
create or replace table merging_{n} (k varchar, into_entity varchar, into_key varchar, named varchar);
create or replace table merged_{n} (k varchar, into_entity varchar, into_key varchar, named varchar)

-- name: merged
-- For the target's Postgres.
select source_key as k, into_entity, into_key, named from rowcall.merged_row where entity = {n};

-- name: same_ids
update {fates} f set uid = l.uid from id_{n} l where l.k = f.k and f.outcome = 'migrated' and l.uid <> f.uid

-- name: compare
create or replace table written_{n} as
select n.k, n.row_hash from now_{n} n anti join line_{n} l on n.k = l.k and n.row_hash = l.row_hash;
create or replace table unwritten_{n} as
select l.k from line_{n} l anti join now_{n} n on n.k = l.k;
create or replace table changed_{n} as
with now as (
    select k, 'migrated' as outcome, null::varchar as cause, row_hash from written_{n}
    union all select k, outcome, cause, null from elsewhere_{n}
), was as (
    select k, outcome, cause, row_hash, held, gone from other_{n}
    union all select k, 'migrated', null, null, null, null from unwritten_{n}
    union all select l.k, 'migrated', null, null, null, null from line_{n} l semi join written_{n} w on w.k = l.k
)
select coalesce(n.k, l.k)::varchar as key, l.outcome as was, l.held, l.gone, n.outcome as now, n.cause, n.row_hash,
       coalesce(n.row_hash = l.row_hash, false) as same
from now n full join was l on n.k = l.k
where not coalesce(n.outcome = 'excluded' and l.outcome = 'excluded' and n.cause = l.cause and l.held is distinct from 'repaired', false);
drop table written_{n};
drop table unwritten_{n};
drop table line_{n};
drop table other_{n};
drop table now_{n};
drop table elsewhere_{n}
