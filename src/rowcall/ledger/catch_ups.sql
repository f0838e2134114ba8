-- Queries of the book of catch-ups. They open in psql; {n} is an entity's number, {lines} its partition. Most work on
-- `rowcall_change`, the changes of one catch-up in the target's session (see move.catch_up), one entity at a time.

-- name: create
create temporary table rowcall_change (
    entity     smallint not null,
    source_key text collate "C" not null,
    was        text,             -- outcome of the row's line; null: it has none
    held       text,             -- disposition of its entry in the quarantine
    gone       text,             -- what became of its target row, when the source had the row no more
    marked_in  text,             -- and the column in which it was marked
    now        text,             -- what it is judged to be; null: the source has it no more
    cause      text,
    row_hash   bigint,
    target_id  uuid,
    what       text not null,    -- insert, update, remove, mark, leave (the target row), book (in the ledger alone), compare (the quarantine)
    kept       text,             -- why the target row stays as it is
    detail     text,
    done       boolean not null default false,   -- the target row is removed
    blocked    boolean not null default false    -- rows that stay refer to it
) on commit drop;
create temporary table rowcall_rejected (like rowcall.quarantined_row including defaults) on commit drop;

-- name: ids
update rowcall_change c set target_id = w.target_id from rowcall.written w
where c.entity = {n} and w.entity = {n} and w.source_key = c.source_key and (c.was = 'migrated' or c.gone is not null);

-- name: marks
update rowcall_change c set marked_in = g.marked_in from rowcall.gone_row g
where c.entity = {n} and g.entity = {n} and g.source_key = c.source_key and c.gone = 'marked';

-- name: marked_in
select distinct marked_in from rowcall_change where entity = {n} and gone = 'marked' and now is not null and not done and marked_in is not null;

-- name: to_mark
select target_id, source_key from rowcall_change where entity = {n} and what = 'mark' and kept is null order by source_key;

-- name: to_unmark
select target_id, source_key from rowcall_change
where entity = {n} and gone = 'marked' and now is not null and not done and marked_in = %s and kept is distinct from 'removed'
order by source_key;

-- name: forget_edits
-- A row that was not there, and is new.
delete from rowcall.edited_row e using rowcall_change c
where c.entity = {n} and c.what = 'insert' and e.target_id = c.target_id and e.target_table = (
    select target_table from rowcall.entity where id = {n});

-- name: lost
-- Rows that are gone at the source, and would go in the target; of how many that were there.
select count(*) filter (where what = 'remove' and now is null), (select count(*) from rowcall.written where entity = {n})
from rowcall_change where entity = {n};

-- name: index
create index on rowcall_change (entity, source_key);
create index on rowcall_change (target_id);
analyze rowcall_change;

-- name: next
select coalesce(max(id), 0) + 1 from rowcall.catch_up;

-- name: next_chunk
select coalesce(max(id), 0) + 1 from rowcall.chunk;

-- name: note_probe
update rowcall.run set hash_probe = %s;

-- name: probe
select hash_probe from rowcall.run;

-- name: begin
insert into rowcall.catch_up (id, snapshot, started_at, xids)
values (%s, %s, %s, array[pg_current_xact_id()::text::numeric %% 4294967296]::bigint[]);

-- name: add_xids
update rowcall.catch_up set xids = (select array_agg(distinct x) from unnest(xids || %s::bigint[]) x) where id = %s;

-- name: keys
select source_key from rowcall_change where entity = %s and what = %s and now = 'migrated' and kept is null
order by length(source_key), source_key;

-- name: fall
-- Rows that cannot migrate after all; a row that has its place in the target stays there as it is.
update rowcall_change c set now = case what when 'insert' then 'quarantined' else now end, cause = x.code,
    kept = case what when 'insert' then null else 'refused' end, detail = x.code,
    what = case what when 'insert' then 'book' else what end
from unnest(%s::text[], %s::text[]) x (source_key, code) where c.entity = %s and c.source_key = x.source_key;

-- name: fall_behind
-- Rows that were to be merged, and whose other row cannot migrate.
with these as (select unnest(%s::text[]) as source_key),
known as (update rowcall_change c set now = 'quarantined', cause = 'parent_quarantined', what = case what when 'insert' then 'book' else what end
          from these where c.entity = {n} and c.source_key = these.source_key returning c.source_key)
insert into rowcall_change (entity, source_key, was, now, cause, what)
select {n}, these.source_key, s.outcome::text, 'quarantined', 'parent_quarantined', 'book'
from these left join rowcall.{lines} s using (source_key) where these.source_key not in (select source_key from known);

-- name: unmerge
-- But for rows that a repair merged, and whose other row is still what a repair made it.
delete from rowcall.merged_row m where m.entity = {n} and m.source_key = any (%s) and not exists (
    select from rowcall_change c where c.entity = {n} and c.source_key = m.source_key and c.what = 'compare');

-- name: merge
-- But for those, too: the source says of them what it said before the repair. And for rows that stay as they were.
insert into rowcall.merged_row (entity, source_key, into_entity, into_key, named, chunk)
select {n}, x.source_key, x.into_entity, x.into_key, x.named, s.chunk
from unnest(%s::text[], %s::text[], %s::text[], %s::text[]) x (source_key, into_entity, into_key, named)
join rowcall.{lines} s using (source_key)
where s.outcome <> 'migrated' and (s.outcome <> 'excluded' or not exists (
    select from rowcall_change c where c.entity = {n} and c.source_key = x.source_key and c.what = 'compare'))
on conflict (entity, source_key) do update set into_entity = excluded.into_entity, into_key = excluded.into_key, named = excluded.named;

-- name: keep
update rowcall_change c set kept = %s, detail = x.detail from unnest(%s::text[], %s::text[]) x (source_key, detail)
where c.entity = %s and c.source_key = x.source_key;

-- name: home
update rowcall_change c set target_id = x.target_id from unnest(%s::text[], %s::uuid[]) x (source_key, target_id)
where c.entity = %s and c.source_key = x.source_key;

-- name: add_chunk
-- The chunk of the rows that are new.
insert into rowcall.chunk (id, entity, state, snapshot, rows_read, rows_migrated, rows_quarantined, rows_excluded, xid, settled_at, seconds)
select %s, {n}, 'settled', %s, 0, 0, 0, 0, pg_current_xact_id(), clock_timestamp(), 0
where exists (select from rowcall_change where entity = {n} and was is null and now is not null);

-- name: lines_gone
delete from rowcall.{lines} s using rowcall_change c
where c.entity = {n} and s.source_key = c.source_key and c.was is not null and c.now is null;

-- name: lines_changed
update rowcall.{lines} s set outcome = c.now::rowcall.outcome, target_id = case c.now when 'migrated' then c.target_id end,
    cause = case c.now when 'migrated' then null else c.cause end,
    row_hash = case c.now when 'migrated' then c.row_hash end
from rowcall_change c
where c.entity = {n} and s.source_key = c.source_key and c.was is not null and c.now is not null and c.kept is null and c.what <> 'compare'
  and (s.outcome::text, s.target_id, s.cause, s.row_hash) is distinct from
      (c.now, case c.now when 'migrated' then c.target_id end, case c.now when 'migrated' then null else c.cause end,
       case c.now when 'migrated' then c.row_hash end);

-- name: lines_new
-- A row that came back, and whose target row somebody changed meanwhile, has it without a hash: it is looked at again.
insert into rowcall.{lines} (entity, source_key, outcome, target_id, cause, chunk, row_hash)
select {n}, source_key, case when kept is not null then 'migrated' else now end::rowcall.outcome,
       case when kept is not null or now = 'migrated' then target_id end,
       case when kept is null and now <> 'migrated' then cause end, %s, case when kept is null and now = 'migrated' then row_hash end
from rowcall_change where entity = {n} and was is null and now is not null;

-- name: forget_repairs
-- A row that was repaired, and is now as the source has it: the repair has nothing more to do with it.
with these as (
    select source_key from rowcall_change where entity = {n} and held = 'repaired' and now is distinct from 'quarantined'),
amended as (delete from rowcall.amendment a using these where a.entity = {n} and a.source_key = these.source_key)
delete from rowcall.repaired_row r using these where r.entity = {n} and r.source_key = these.source_key;

-- name: quarantine_gone
delete from rowcall.quarantined_row q using rowcall_change c
where q.entity = {n} and c.entity = {n} and q.source_key = c.source_key
  and (c.now is null or c.now in ('migrated', 'excluded'));

-- name: quarantine_changed
-- Why a row is rejected, and what it holds, as it is now. What was decided of it counts no more where it is rejected for something
-- else. Of a row that was purged nothing but its rejections is known.
with said as (
    select r.*, case when q.payload is null then purged.was else q.rejections end is distinct from
                case when q.payload is null then purged.now else r.rejections end
                or (q.root_entity, q.root_key, q.parent_entity, q.parent_key) is distinct from
                   (r.root_entity, r.root_key, r.parent_entity, r.parent_key) as other,
           q.payload is not null and q.payload is distinct from r.payload as moved
    from rowcall_rejected r join rowcall.quarantined_row q using (entity, source_key)
    cross join lateral (
        select (select jsonb_agg(x - 'value' - 'detail' order by place) from jsonb_array_elements(q.rejections) with ordinality o (x, place)),
               (select jsonb_agg(x - 'value' - 'detail' order by place) from jsonb_array_elements(r.rejections) with ordinality o (x, place))
    ) purged (was, now)
    where r.entity = {n})
update rowcall.quarantined_row q set payload = s.payload, rejections = s.rejections, root_entity = s.root_entity, root_key = s.root_key,
    parent_entity = s.parent_entity, parent_key = s.parent_key,
    disposition = case when s.other and q.disposition <> 'repaired' then 'open' else q.disposition end,
    decided_at = case when s.other and q.disposition <> 'repaired' then null else q.decided_at end,
    decided_by = case when s.other and q.disposition <> 'repaired' then null else q.decided_by end,
    reason = case when s.other and q.disposition <> 'repaired' then null else q.reason end
from said s where (s.other or s.moved) and q.entity = {n} and q.source_key = s.source_key
returning q.source_key, q.disposition = 'repaired';

-- name: reopen
-- Rows that had stayed though they are rejected, and are gone from the target now.
update rowcall.quarantined_row q set disposition = 'open', decided_at = null, decided_by = null, reason = null
from rowcall_change c where c.entity = {n} and q.entity = {n} and q.source_key = c.source_key
  and c.held = 'kept' and c.now = 'quarantined' and c.kept is null;

-- name: quarantine_new
-- A row that stays in the target, though it is rejected now, is one that somebody repaired by hand.
insert into rowcall.quarantined_row (entity, source_key, payload, rejections, disposition, root_entity, root_key, parent_entity, parent_key,
                                     chunk, decided_at, decided_by, reason)
select r.entity, r.source_key, r.payload, r.rejections, case when c.kept is null then 'open' else 'repaired' end::rowcall.disposition,
       r.root_entity, r.root_key, r.parent_entity, r.parent_key, s.chunk,
       case when c.kept is not null then clock_timestamp() end, case when c.kept is not null then 'rowcall' end,
       case when c.kept is not null then 'the target''s row stays: ' || c.kept end
from rowcall_rejected r join rowcall_change c on c.entity = {n} and c.source_key = r.source_key
join rowcall.{lines} s on s.source_key = r.source_key
where r.entity = {n} and not exists (select from rowcall.quarantined_row q where q.entity = {n} and q.source_key = r.source_key);

-- name: forget_nulled
delete from rowcall.nulled_reference x using rowcall_change c
where x.entity = {n} and c.entity = {n} and x.source_key = c.source_key and c.kept is null and c.what <> 'compare';

-- name: chunk_sums
update rowcall.chunk c set rows_read = n.rows, rows_migrated = n.migrated, rows_quarantined = n.quarantined, rows_excluded = n.excluded
from (select x.id, count(s.outcome) as rows, count(*) filter (where s.outcome = 'migrated') as migrated,
             count(*) filter (where s.outcome = 'quarantined') as quarantined, count(*) filter (where s.outcome = 'excluded') as excluded
      from rowcall.chunk x left join rowcall.{lines} s on s.chunk = x.id where x.entity = {n} group by x.id) n
where c.id = n.id and (c.rows_read, c.rows_migrated, c.rows_quarantined, c.rows_excluded)
                      is distinct from (n.rows, n.migrated, n.quarantined, n.excluded);

-- name: expect
update rowcall.entity set rows_expected = (select count(*) from rowcall.{lines}), rows_counted = true where id = {n};

-- name: gone_back
delete from rowcall.gone_row g using rowcall_change c where g.entity = {n} and c.entity = {n} and g.source_key = c.source_key;

-- name: gone
insert into rowcall.gone_row (entity, source_key, target_id, became, marked_in, catch_up)
select {n}, source_key, target_id,
       case when done then 'removed' when what = 'mark' and kept is null then 'marked' else coalesce(gone, 'kept') end,
       case when not done and what = 'mark' and kept is null then %s when gone = 'marked' then marked_in end, %s
from rowcall_change where entity = {n} and now is null and (was = 'migrated' or gone is not null);

-- name: kept_back
-- Rows that are no longer kept: what the source says and what the target has agree again, or the change was made.
delete from rowcall.kept_row k where k.entity = {n} and not exists (
    select from rowcall_change c where c.entity = {n} and c.source_key = k.source_key and c.what = 'compare');

-- name: kept
insert into rowcall.kept_row (entity, source_key, target_id, why, detail, catch_up)
select {n}, source_key, target_id, kept, detail, %s from rowcall_change where entity = {n} and kept is not null
on conflict (entity, source_key) do update set why = excluded.why, detail = excluded.detail, catch_up = excluded.catch_up;

-- name: unfound
insert into rowcall.kept_row (entity, source_key, target_id, why, catch_up)
select {n}, s.source_key, s.target_id, 'unfound', %s from rowcall.{lines} s where s.source_key = any (%s)
on conflict (entity, source_key) do nothing;

-- name: note
insert into rowcall.caught_up (catch_up, entity, inserted, updated, removed, rejected, excluded, gone, kept)
select %s, {n},
       count(*) filter (where what = 'insert'), count(*) filter (where what = 'update' and kept is null),
       count(*) filter (where what = 'remove' and done and detail is null), %s,
       count(*) filter (where now = 'excluded' and kept is null), count(*) filter (where now is null and was is not null),
       count(*) filter (where kept is not null)
from rowcall_change where entity = {n};

-- name: caught_up
select c.id, c.started_at, c.ended_at, e.name, u.inserted, u.updated, u.removed, u.rejected, u.excluded, u.gone, u.kept
from rowcall.catch_up c join rowcall.caught_up u on u.catch_up = c.id join rowcall.entity e on e.id = u.entity
where %s::integer is null or c.id = %s order by c.id, e.step, e.id;

-- name: why_kept
select e.name, k.why, count(*) from rowcall.kept_row k join rowcall.entity e on e.id = k.entity
group by e.step, e.id, e.name, k.why order by e.step, e.id, k.why;

-- name: kept_as
select k.why from rowcall.kept_row k join rowcall.entity e on e.id = k.entity where e.name = %s and k.source_key = %s;

-- name: what_gone
select e.name, g.became, count(*) from rowcall.gone_row g join rowcall.entity e on e.id = g.entity
group by e.step, e.id, e.name, g.became order by e.step, e.id, g.became;
