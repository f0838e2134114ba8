-- name: exists
select to_regclass('rowcall.run') is not null;

-- name: run
-- A run whose command holds the ledger's lock no more was killed: it is interrupted. Advisory lock keys in pg_locks:
-- https://www.postgresql.org/docs/current/view-pg-locks.html
select id,
       case when state = 'running' and not exists (
                select from pg_locks, hashtextextended('rowcall', 0) key
                where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
                  and objsubid = 1 and classid::int8 = (key >> 32) & 4294967295 and objid::int8 = key & 4294967295)
            then 'interrupted' else state::text end, project, mapping_fingerprint, started_at, finished_at, forecast, verification from rowcall.run;

-- name: begin
insert into rowcall.run (id, project, mapping_fingerprint, rowcall_version, forecast) values (%s, %s, %s, %s, %s);

-- name: set_forecast
update rowcall.run set forecast = %s where finished_at is null;

-- name: note_matched
update rowcall.run set forecast = forecast || jsonb_build_object('matched', %s::boolean);

-- name: set_state
update rowcall.run set state = %s::rowcall.run_state, finished_at = case when %s then clock_timestamp() end;

-- name: add_entity
insert into rowcall.entity (id, name, identity, source_table, target_table, id_column, impact, step, occupied, together)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s);

-- name: add_partition
-- Autovacuum finds nothing to do in lines that are only ever added, and would read them while they come.
create table rowcall.{partition} partition of rowcall.settlement for values in ({entity}) with (autovacuum_enabled = off);

-- name: close_key
create unique index if not exists {partition}_key on rowcall.{partition} (source_key);

-- name: close_partition
alter table rowcall.{partition} reset (autovacuum_enabled);

-- name: close_chunk
-- Lines come chunk by chunk, so that a block range index finds a chunk's at no price.
create index if not exists {partition}_chunk on rowcall.{partition} using brin (chunk) with (pages_per_range = 8);

-- name: expect
update rowcall.entity set rows_expected = %s, rows_counted = %s where name = %s;

-- name: expect_read
-- Every chunk is settled: what they read is what there is.
update rowcall.entity e set rows_counted = true,
    rows_expected = (select coalesce(sum(rows_read), 0) from rowcall.chunk c where c.entity = e.id)
where e.name = %s and not exists (select from rowcall.chunk c where c.entity = e.id and c.state = 'planned');

-- name: entities
select id, name, target_table, id_column, impact, step, rows_expected, occupied, source_table, identity, together,
       rows_counted
from rowcall.entity order by step, id;

-- name: add_snapshot
insert into rowcall.snapshot (taken_at, lsn, visible, note) values (%s, %s::pg_lsn, %s, %s) returning id;

-- name: snapshots
select id, taken_at, lsn::text, visible, note from rowcall.snapshot order by id;

-- name: note_snapshot
update rowcall.snapshot set note = %s where id = %s;

-- name: migrated
select count(*) from rowcall.settlement where entity = %s and outcome = 'migrated';

-- name: digests
select digests from rowcall.snapshot where id = %s;

-- name: set_digests
update rowcall.snapshot set digests = digests || %s::jsonb where id = %s;

-- name: add_chunks
insert into rowcall.chunk (id, entity, lower_key, upper_key, first_page, end_page, without)
select %s + row_number() over (order by place) - 1, %s, nullif(s->'lower', 'null'), nullif(s->'upper', 'null'),
       (s->>'first_page')::bigint, (s->>'end_page')::bigint, (s->>'without')::tid[]
from jsonb_array_elements(%s) with ordinality x (s, place);

-- name: drop_planned
-- Chunks by pages that are not settled; the numbers that their rows may bear stay with the entity's newest chunk.
with gone as (delete from rowcall.chunk where entity = %s and state = 'planned' and first_page is not null returning subxids)
select count(*), (select array_agg(x) from gone, unnest(gone.subxids) x) from gone;

-- name: keep_subxids
update rowcall.chunk set subxids = coalesce(subxids, '{}') || %s::bigint[]
where id = (select max(id) from rowcall.chunk where entity = %s);

-- name: without
select without::text from rowcall.chunk where id = %s;

-- name: chunks
select c.id, e.name, c.lower_key, c.upper_key, c.first_page, c.end_page, coalesce(cardinality(c.without), 0),
       c.state::text, c.epoch, c.snapshot
from rowcall.chunk c join rowcall.entity e on e.id = c.entity where %s::int is null or c.id = %s order by c.id;

-- name: chunk_sums
select rows_migrated, rows_quarantined, rows_excluded from rowcall.chunk where id = %s and state = 'settled';

-- name: hold_chunk
-- Whoever works on a chunk; of two workers with one lease the second waits. A lease can be renewed all the while.
select pg_try_advisory_lock(hashtext('rowcall chunk'), %s);

-- name: release_chunk
select pg_advisory_unlock(hashtext('rowcall chunk'), %s);

-- name: renew
update rowcall.chunk set epoch = epoch + 1 where id = %s and state = 'planned';

-- name: mapping
select mapping from rowcall.run;

-- name: set_mapping
update rowcall.run set mapping = %s;

-- name: forget_duplicates
delete from rowcall.duplicate where entity = %s;

-- name: claim
-- A new lease on every chunk that is not settled: a worker of an earlier run can no longer commit (fencing by epoch).
update rowcall.chunk set epoch = epoch + 1 where state = 'planned';

-- name: settle
update rowcall.chunk
set state = 'settled', snapshot = %s, rows_read = %s, rows_migrated = %s, rows_quarantined = %s, rows_excluded = %s,
    xid = pg_current_xact_id(), settled_at = clock_timestamp(), seconds = %s
where id = %s and epoch = %s and state = 'planned';

-- name: reopen
update rowcall.chunk
set state = 'planned', snapshot = null, rows_read = null, rows_migrated = null, rows_quarantined = null, rows_excluded = null,
    -- Triggers may have changed rows of other chunks, when these rows came and now that they go.
    subxids = coalesce(subxids, '{}') || mod(xid::text::numeric, 4294967296)::bigint
                                      || mod(pg_current_xact_id()::text::numeric, 4294967296)::bigint,
    xid = null, settled_at = null, seconds = null, epoch = epoch + 1
where id = %s;

-- name: forget_chunk
delete from rowcall.settlement where chunk = %s;

-- name: forget_quarantined
delete from rowcall.quarantined_row where chunk = %s;

-- name: forget_merged
delete from rowcall.merged_row where chunk = %s;

-- name: forget_nulled
delete from rowcall.nulled_reference where chunk = %s;

-- name: late_nulled
delete from rowcall.nulled_reference where entity = %s and source_key = any (%s);

-- name: late_lines
update rowcall.settlement set outcome = 'quarantined', target_id = null, cause = %s where entity = %s and source_key = any (%s);

-- name: late_sums
update rowcall.chunk set rows_migrated = rows_migrated - %s, rows_quarantined = rows_quarantined + %s where id = %s;

-- name: sums
-- Counts come from the ledger's lines, never from counters; those of some entities are known already.
with lines as materialized (
    select entity, outcome, count(*) as rows from rowcall.settlement where entity <> all (%s::smallint[]) group by entity, outcome)
select e.name, e.impact, e.rows_expected, e.rows_counted,
       coalesce((select rows from lines l where l.entity = e.id and l.outcome = 'migrated'), 0),
       coalesce((select rows from lines l where l.entity = e.id and l.outcome = 'quarantined'), 0),
       coalesce((select rows from lines l where l.entity = e.id and l.outcome = 'excluded'), 0),
       (select count(*) from rowcall.quarantined_row q where q.entity = e.id and q.disposition = 'open'),
       (select coalesce(sum(c.seconds), 0) from rowcall.chunk c where c.entity = e.id),
       (select coalesce(sum(c.rows_read), 0)::int8 from rowcall.chunk c where c.entity = e.id and c.state = 'settled'),
       (select count(*) from rowcall.chunk c where c.entity = e.id),
       (select count(*) from rowcall.chunk c where c.entity = e.id and c.state = 'settled')
from rowcall.entity e order by e.step, e.id;

-- name: rows_read
select coalesce(sum(c.rows_read), 0)::int8 from rowcall.chunk c join rowcall.entity e on e.id = c.entity where e.name = %s;

-- name: settled
select not exists (
    select from rowcall.entity e left join rowcall.chunk c on c.entity = e.id where c.state is distinct from 'settled');

-- name: excluded
select e.name, s.cause, count(*) from rowcall.settlement s join rowcall.entity e on e.id = s.entity
where s.outcome = 'excluded' group by e.name, s.cause order by 1, 2;

-- name: quarantined_of
select e.name, q.source_key, q.rejections, q.disposition::text, q.root_entity, q.root_key, q.parent_entity, q.parent_key
from rowcall.quarantined_row q join rowcall.entity e on e.id = q.entity
where e.name = %s and q.source_key = %s;

-- name: settlement_of
select outcome, target_id, cause, chunk from rowcall.settlements where entity = %s and source_key = %s;

-- name: nulled
select e.name, n.target_column, n.code, count(*) from rowcall.nulled_reference n join rowcall.entity e on e.id = n.entity
group by 1, 2, 3 order by 1, 2, 3;

-- name: forget_proofs
delete from rowcall.proof;

-- name: add_proof
insert into rowcall.proof (entity, code, kind, sql, held, rows, missing, surplus, asked_at)
select id, %s, %s, %s, %s, %s, %s, %s, %s::timestamptz from rowcall.entity where name = %s;

-- name: proofs
select e.name, p.code, p.kind, p.sql, p.held, p.rows, p.missing, p.surplus, p.asked_at
from rowcall.proof p join rowcall.entity e on e.id = p.entity;

-- name: unproven
select count(*) from rowcall.proof where not held;

-- name: quarantined_count
select count(*) from rowcall.quarantined_row;

-- name: lock
select pg_try_advisory_lock(hashtextextended('rowcall', 0));
