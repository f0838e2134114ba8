-- Queries of the book of repairs. They open in psql; {lines} is an entity's partition.

-- name: next
select coalesce(max(id), 0) + 1 from rowcall.repair;

-- name: add
insert into rowcall.repair (id, entity, code, remedy, settings, origin, actor, reason, mapping_fingerprint, source_read,
                            rows_chosen, rows_amended, rows_home, rows_created, xids)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 0, 0, 0, 0, array[pg_current_xact_id()::text::numeric %% 4294967296]::bigint[]);

-- name: forget
delete from rowcall.repair where id = %s;

-- name: sums
update rowcall.repair set rows_chosen = %s, rows_amended = %s, rows_home = %s, rows_created = %s where id = %s;

-- name: repairs
select r.id, e.name, r.code, r.remedy, r.settings, r.state::text, r.origin, r.actor, r.reason, r.mapping_fingerprint, r.applied_at,
       r.undone_at, r.undone_by, r.undone_reason, r.purged_at, r.rows_chosen, r.rows_amended, r.rows_home, r.rows_created
from rowcall.repair r join rowcall.entity e on e.id = r.entity
where %s::integer is null or r.id = %s order by r.id;

-- name: choose
-- Rows of a cause, by any of their defects or by the first, that have one of these dispositions.
select q.source_key from rowcall.quarantined_row q
where q.entity = %s and q.disposition::text = any (%s)
  and (q.rejections -> 0 ->> 'code' = %s or not %s and q.rejections @> jsonb_build_array(jsonb_build_object('code', %s::text))
       or not %s and %s::text = (select r.left_for from rowcall.repaired_row r join rowcall.repair p on p.id = r.repair and p.state = 'applied'
                      where r.entity = q.entity and r.source_key = q.source_key order by r.repair desc limit 1))
order by length(q.source_key), q.source_key;

-- name: rows
select q.source_key, q.rejections, q.payload from rowcall.quarantined_row q where q.entity = %s and q.source_key = any (%s)
order by length(q.source_key), q.source_key;

-- name: columns
select distinct coalesce(x ->> 'reference', x ->> 'column')
from rowcall.quarantined_row q cross join lateral jsonb_array_elements(q.rejections) x
where q.entity = %s and q.source_key = any (%s) and x ->> 'code' = %s and coalesce(x ->> 'reference', x ->> 'column') is not null
order by 1;

-- name: kept_by
-- The victims in quarantine that keep these back, by any of their rejections.
select distinct e.id, e.name, p.source_key
from rowcall.quarantined_row q
cross join lateral jsonb_array_elements(q.rejections) x
join rowcall.entity e on e.name = x ->> 'parent_entity'
join rowcall.quarantined_row p on p.entity = e.id and p.source_key = x ->> 'parent_key'
where q.entity = %s and q.source_key = any (%s) and p.disposition::text = any (%s)
  and p.rejections @> jsonb_build_array(jsonb_build_object('code', %s::text));

-- name: victims_of
-- The quarantined rows that these keep back, by any of their rejections.
select distinct e.id, e.name, v.source_key
from (select q.entity, q.source_key, x ->> 'parent_entity' as parent_entity, x ->> 'parent_key' as parent_key
      from rowcall.quarantined_row q cross join lateral jsonb_array_elements(q.rejections) x
      where q.disposition::text = any (%s) and x ->> 'parent_key' is not null) v
join unnest(%s::text[], %s::text[]) k (entity, key) on v.parent_entity = k.entity and v.parent_key = k.key
join rowcall.entity e on e.id = v.entity;

-- name: amendments
-- What the repairs that stand have for these rows: of several for one column the latest.
select distinct on (a.source_key, a.target_column)
       a.source_key, a.target_column, a.value, a.kind = 'parent', a.parent_entity, a.parent_key, a.parent_id
from rowcall.amendment a join rowcall.repair r on r.id = a.repair and r.state = 'applied'
where a.entity = %s and a.source_key = any (%s) and not a.purged
order by a.source_key, a.target_column, a.repair desc;

-- name: amend
insert into rowcall.amendment (repair, entity, source_key, target_column, kind, value, parent_entity, parent_key, parent_id)
select %s, %s, x.* from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::uuid[])
    x (source_key, target_column, kind, value, parent_entity, parent_key, parent_id);

-- name: note_rows
-- What is done with rows, and what was decided of them before. A row that was left may come home behind victims that follow.
insert into rowcall.repaired_row (repair, entity, source_key, before, target_id, version, left_for)
select %s, q.entity, q.source_key,
       jsonb_build_object('disposition', q.disposition, 'decided_at', q.decided_at, 'decided_by', q.decided_by, 'reason', q.reason),
       x.target_id, x.version, x.left_for
from unnest(%s::text[], %s::uuid[], %s::bigint[], %s::text[]) x (source_key, target_id, version, left_for)
join rowcall.quarantined_row q on q.entity = %s and q.source_key = x.source_key
on conflict (entity, source_key, repair) do update
set target_id = excluded.target_id, version = excluded.version, left_for = excluded.left_for;

-- name: bring_home
update rowcall.{lines} s set outcome = 'migrated', target_id = x.target_id, cause = null
from unnest(%s::text[], %s::uuid[]) x (source_key, target_id)
where s.source_key = x.source_key and s.outcome = 'quarantined';

-- name: home_sums
-- The sign is 1 for rows that came home, -1 for rows that went back.
update rowcall.chunk c set rows_migrated = rows_migrated + %s * n.rows, rows_quarantined = rows_quarantined - %s * n.rows
from (select chunk, count(*) as rows from rowcall.{lines} where source_key = any (%s) group by chunk) n where n.chunk = c.id;

-- name: dispose
update rowcall.quarantined_row set disposition = %s::rowcall.disposition, decided_at = clock_timestamp(), decided_by = %s, reason = %s
where entity = %s and source_key = any (%s);

-- name: reopen
update rowcall.quarantined_row set disposition = 'open', decided_at = null, decided_by = null, reason = null
where entity = %s and source_key = any (%s);

-- name: add_synthetic
insert into rowcall.synthetic_row (repair, entity, target_table, id_column, target_id, for_entity, for_key, for_whom, version)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s);

-- name: made_before
-- Rows that stand, made for the same.
select for_whom, target_id from rowcall.synthetic_row
where target_table = %s and for_whom = any (%s) and version is not null;

-- name: synthetic
select entity, target_table, id_column, target_id, version from rowcall.synthetic_row where repair = %s and version is not null;

-- name: add_archive
insert into rowcall.archive (repair, entity, source_key, payload, rejections, reason)
select %s, e.name, q.source_key, q.payload, q.rejections, %s
from rowcall.quarantined_row q join rowcall.entity e on e.id = q.entity where q.entity = %s and q.source_key = any (%s);

-- name: add_xids
update rowcall.repair set xids = (select array_agg(distinct x) from unnest(xids || %s::bigint[]) x) where id = %s;

-- name: entities_of
select distinct e.id, e.name, e.target_table, e.id_column, e.step from rowcall.repaired_row r join rowcall.entity e on e.id = r.entity
where r.repair = %s order by e.step desc, e.id desc;

-- name: tables
-- The target's tables of the run, with the columns that hold the ids of its rows.
select target_table, array_agg(distinct id_column) from rowcall.entity group by target_table;

-- name: later
-- Repairs after this one that did something with the same rows.
select distinct l.repair, e.name, l.source_key
from rowcall.repaired_row r
join rowcall.repaired_row l on l.entity = r.entity and l.source_key = r.source_key and l.repair > r.repair
join rowcall.repair p on p.id = l.repair and p.state = 'applied'
join rowcall.entity e on e.id = r.entity
where r.repair = %s order by l.repair desc limit 5;

-- name: merged_into
-- Rows for which those stand that a repair brought home, and the later repair that merged them, if one did.
select m.source_key, max(l.repair) from rowcall.repaired_row r join rowcall.entity e on e.id = r.entity
join rowcall.merged m on m.into_entity = e.name and m.into_key = r.source_key
left join (rowcall.repaired_row l join rowcall.repair p on p.id = l.repair and p.state = 'applied')
    on l.entity = m.entity and l.source_key = m.source_key and l.left_for = 'merged'
where r.repair = %s and r.target_id is not null group by m.entity, m.source_key having max(l.repair) is distinct from max(r.repair);

-- name: part_sums
update rowcall.chunk c set rows_quarantined = rows_quarantined + n.rows, rows_excluded = rows_excluded - n.rows
from (select s.chunk, count(*) as rows from rowcall.{lines} s join rowcall.repaired_row r on r.source_key = s.source_key
      where r.repair = %s and r.entity = %s and r.left_for = 'merged' and s.outcome = 'excluded' group by s.chunk) n where n.chunk = c.id;

-- name: part
-- Rows that a repair merged are quarantined again.
update rowcall.{lines} s set outcome = 'quarantined', cause = q.rejections -> 0 ->> 'code'
from rowcall.repaired_row r
join rowcall.quarantined_row q on q.entity = r.entity and q.source_key = r.source_key
where r.repair = %s and r.entity = %s and r.left_for = 'merged' and s.source_key = r.source_key and s.outcome = 'excluded';

-- name: uses
-- Repairs after this one that point rows at rows which it created.
select distinct a.repair from rowcall.synthetic_row y join rowcall.amendment a on a.parent_id = y.target_id and a.repair > y.repair
join rowcall.repair p on p.id = a.repair and p.state = 'applied'
where y.repair = %s order by 1 desc limit 5;

-- name: send_back
update rowcall.{lines} s set outcome = 'quarantined', target_id = null, cause = q.rejections -> 0 ->> 'code'
from rowcall.repaired_row r
join rowcall.quarantined_row q on q.entity = r.entity and q.source_key = r.source_key
where r.repair = %s and r.entity = %s and r.target_id is not null and s.source_key = r.source_key;

-- name: home_keys
select source_key, target_id, version from rowcall.repaired_row where repair = %s and entity = %s and target_id is not null;

-- name: restore
update rowcall.quarantined_row q
set disposition = (r.before ->> 'disposition')::rowcall.disposition, decided_at = (r.before ->> 'decided_at')::timestamptz,
    decided_by = r.before ->> 'decided_by', reason = r.before ->> 'reason'
from rowcall.repaired_row r where r.repair = %s and q.entity = r.entity and q.source_key = r.source_key;

-- name: forget_nulled
delete from rowcall.nulled_reference n using rowcall.repaired_row r
where r.repair = %s and r.target_id is not null and n.entity = r.entity and n.source_key = r.source_key;

-- name: forget_kept
delete from rowcall.kept_row k using rowcall.repaired_row r
where r.repair = %s and r.target_id is not null and k.entity = r.entity and k.source_key = r.source_key;

-- name: forget_archive
delete from rowcall.archive where repair = %s;

-- name: left
-- Rows that a repair amended, and that something else keeps back.
select count(*) from rowcall.repaired_row r where r.repair = %s and r.left_for is not null and r.left_for <> 'merged'
  and exists (select from rowcall.quarantined_row q where q.entity = r.entity and q.source_key = r.source_key);

-- name: take_back_amendments
delete from rowcall.amendment where repair = %s and entity = %s and source_key = any (%s);

-- name: undone
update rowcall.repair set state = 'undone', undone_at = clock_timestamp(), undone_by = %s, undone_reason = %s where id = %s;

-- name: synthetic_gone
update rowcall.synthetic_row set version = null where repair = %s;

-- name: of_row
-- What repairs did with one row, in their order, with what they put into it.
select p.id, p.remedy, p.state::text, p.actor, p.applied_at, p.reason, r.target_id is not null, r.left_for, a.target_column,
       case when a.purged then '(purged)' when a.kind = 'value' then a.value else concat_ws(' ', a.parent_entity, coalesce(a.parent_key, a.parent_id::text)) end
from rowcall.repaired_row r
join rowcall.entity e on e.id = r.entity
join rowcall.repair p on p.id = r.repair
left join rowcall.amendment a on a.repair = r.repair and a.entity = r.entity and a.source_key = r.source_key
where e.name = %s and r.source_key = %s order by p.id, a.target_column;

-- name: merged_home
select e.name, count(*) from rowcall.quarantined_row q join rowcall.entity e on e.id = q.entity
join rowcall.settlement s on s.entity = q.entity and s.source_key = q.source_key
where q.disposition = 'repaired' and s.outcome = 'excluded' group by e.name;

-- name: repaired
-- Rows that repairs brought home, per entity.
select e.name, count(*) from rowcall.quarantined_row q join rowcall.entity e on e.id = q.entity
where q.disposition = 'repaired' group by e.name;

-- name: decisions
-- What was decided of quarantined rows, by whom and why: what has to wait comes first.
select e.name, q.rejections -> 0 ->> 'code', q.disposition::text, q.decided_by, coalesce(q.reason, ''), max(q.decided_at), count(*)
from rowcall.quarantined_row q join rowcall.entity e on e.id = q.entity
where q.disposition <> 'open'
group by e.step, e.id, e.name, 2, q.disposition, q.decided_by, 5
order by q.disposition = 'deferred' desc, q.disposition, e.step, e.id, 2, 5;

-- name: open
select count(*) from rowcall.quarantined_row where disposition = 'open';

-- name: purge_rows
update rowcall.quarantined_row set payload = null,
    rejections = (select jsonb_agg(x || '{"value": null, "detail": null}' order by place)
                  from jsonb_array_elements(rejections) with ordinality o (x, place))
where payload is not null;

-- name: purge_values
update rowcall.amendment set value = null, purged = true where value is not null;

-- name: purge_nulled
update rowcall.nulled_reference set value = null where value is not null;

-- name: purge_repairs
update rowcall.repair set purged_at = clock_timestamp(), settings = '{"purged": true}'
where state = 'applied' and purged_at is null;

-- name: note_purge
insert into rowcall.purge (purged_by, reason, rows) values (%s, %s, %s);

-- name: purged_among
select count(*) from rowcall.quarantined_row where entity = %s and source_key = any (%s) and payload is null;

-- name: purges
select purged_at, purged_by, reason, rows from rowcall.purge order by purged_at;

-- name: causes
-- Causes with rows that wait for a decision.
select e.name, q.rejections -> 0 ->> 'code', count(*), array_agg(distinct coalesce(q.rejections -> 0 ->> 'reference', q.rejections -> 0 ->> 'column'))
from rowcall.quarantined_row q join rowcall.entity e on e.id = q.entity
where q.disposition in ('open', 'deferred') group by e.id, e.name, e.step, 2 order by e.step, e.id, 2;

-- name: lines
select count(*) from rowcall.settlement where entity = %s;

-- name: undecided
select source_key from rowcall.quarantined_row where entity = %s and disposition in ('open', 'deferred')
order by length(source_key), source_key;

-- name: reject_again
-- A row that was read anew and is still rejected: why, and what it holds now.
update rowcall.quarantined_row q set rejections = x.rejections::jsonb, payload = x.payload::jsonb,
    root_entity = x.root_entity, root_key = x.root_key, parent_entity = x.parent_entity, parent_key = x.parent_key
from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
    x (source_key, rejections, payload, root_entity, root_key, parent_entity, parent_key)
where q.entity = %s and q.source_key = x.source_key;

-- name: recause
update rowcall.{lines} s set cause = x.cause from unnest(%s::text[], %s::text[]) x (source_key, cause)
where s.source_key = x.source_key and s.outcome = 'quarantined' and s.cause <> x.cause;

-- name: exclude_late
update rowcall.{lines} s set outcome = 'excluded', cause = x.rule from unnest(%s::text[], %s::text[]) x (source_key, rule)
where s.source_key = x.source_key and s.outcome = 'quarantined';

-- name: merge_late
-- What the run noted, and the final row, which was not known then.
insert into rowcall.merged_row (entity, source_key, into_entity, into_key, named, chunk)
select s.entity, s.source_key, x.into_entity, x.into_key, x.into_entity || ' ' || x.into_key, s.chunk
from unnest(%s::text[], %s::text[], %s::text[]) x (source_key, into_entity, into_key) join rowcall.{lines} s using (source_key)
on conflict (entity, source_key) do update set into_entity = excluded.into_entity, into_key = excluded.into_key;

-- name: exclude_sums
update rowcall.chunk c set rows_quarantined = rows_quarantined - n.rows, rows_excluded = rows_excluded + n.rows
from (select chunk, count(*) as rows from rowcall.{lines} where source_key = any (%s) group by chunk) n where n.chunk = c.id;

-- name: gone_sums
update rowcall.chunk c set rows_quarantined = rows_quarantined - n.rows, rows_read = rows_read - n.rows
from (select chunk, count(*) as rows from rowcall.{lines} where source_key = any (%s) group by chunk) n where n.chunk = c.id;

-- name: drop_lines
delete from rowcall.{lines} where source_key = any (%s) and outcome = 'quarantined';

-- name: drop_quarantined
delete from rowcall.quarantined_row where entity = %s and source_key = any (%s);
