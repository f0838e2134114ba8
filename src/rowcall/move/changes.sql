-- For the workspace's DuckDB, but for `lines`: what the ledger has of an entity ({n}: its number) against what was judged now.

-- name: begin
create or replace table line_{n} (k {kind}, outcome varchar, cause varchar, uid blob, row_hash bigint, held varchar, gone varchar);
create or replace table now_{n} (k {kind}, outcome varchar, cause varchar, row_hash bigint)

-- name: lines
-- For the target's Postgres: a row's line; of a row that the source has no more, whose target row stayed, what became of it.
select s.source_key::{kind} as k, s.outcome::text as outcome, s.cause, uuid_send(s.target_id) as uid, s.row_hash,
       q.disposition::text as held, null::text as gone
from rowcall.settlement s left join rowcall.quarantined_row q using (entity, source_key) where s.entity = {n}
union all
select g.source_key::{kind}, null, null, uuid_send(g.target_id), null, null, g.became from rowcall.gone_row g
where g.entity = {n} and g.became in ('kept', 'marked');

-- name: same_ids
update {fates} f set uid = l.uid from line_{n} l where l.k = f.k and f.outcome = 'migrated' and l.uid <> f.uid

-- name: compare
create or replace table changed_{n} as
select coalesce(n.k, l.k)::varchar as key, l.outcome as was, l.held, l.gone, n.outcome as now, n.cause, n.row_hash, l.uid
from now_{n} n full join line_{n} l on n.k = l.k
where n.outcome is distinct from l.outcome or n.outcome = 'quarantined' or l.gone is not null
   or n.outcome = 'migrated' and n.row_hash is distinct from l.row_hash
   or n.outcome = 'excluded' and n.cause is distinct from l.cause;
drop table line_{n};
drop table now_{n}
