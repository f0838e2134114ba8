-- Queries of the verification, for DuckDB. accounts.py and references.py fill the tables that they read.

-- name: sums
select (select count(*) from source_keys),
       count(*) filter (where outcome = 'migrated'),
       count(*) filter (where outcome = 'quarantined'),
       count(*) filter (where outcome = 'excluded')
from lines;

-- name: missing_lines
select k from source_keys anti join lines using (k);

-- name: surplus_lines
select k from lines anti join source_keys using (k);

-- name: duplicates
select k from source_keys group by k having count(*) > 1
union all
select k from lines group by k having count(*) > 1
union all
select min(k) from lines where uid is not null group by uid having count(*) > 1;

-- name: missing_in_target
select k from lines l anti join target_ids t on t.id = l.uid where l.outcome = 'migrated' and l.uid is not null;

-- name: foreign_in_target
select t.id::varchar as k from target_ids t anti join known_ids n on n.id = t.id;

-- name: broken
-- The entity's rows, and those that the ledger does not know: these may lead to a parent of any entity that fills the table.
select coalesce(l.k, h.id::varchar) as k
from held h
anti join (select id from parent_ids where own) p on p.id = h.value
anti join others o on o.uid = h.id
left join own l on l.uid = h.id
where h.value is not null
  and (l.k is not null or h.value not in (select id from parent_ids where not own and id is not null));

-- name: checked
select count(*), count(*) filter (where h.value is null) from own l join held h on h.id = l.uid;

-- name: wrong
-- What a migrated row's reference must be: the uuid of the one row that its path leads to. A NULL is right only where the
-- source's own column is NULL, or where the ledger shows that the mapping let it become NULL for this very reason (a parent that
-- was in quarantine then may have come home since). What a repair gave to a row is right where the target holds it.
with expected as (
    select t.k, count(distinct coalesce(p.uid::varchar, t.entity || ' ' || t.parent)) as ways, any_value(p.uid) as uid, any_value(p.outcome) as outcome, any_value(p.repaired) as repaired
    from (select distinct k, entity, parent from terminals) t left join parents p on p.entity = t.entity and p.k = t.parent
    group by t.k
), judged as (
    select l.k,
           case when a.k is not null then h.value is not distinct from a.uid
                when h.value is not null then e.ways = 1 and e.uid = h.value
                when e.ways is not null then e.ways = 1
                    and (e.outcome <> 'migrated' and n.code = 'parent_' || e.outcome
                         or e.repaired and n.code in ('parent_quarantined', 'dangling_reference'))
                else plain.k is not null or n.code not in ('parent_excluded', 'parent_quarantined')
           end as sound
    from own l join held h on h.id = l.uid
    left join expected e on e.k = l.k
    left join nulled n on n.k = l.k
    left join plain on plain.k = l.k
    left join amended a on a.k = l.k
)
select k from judged where sound is not true;

-- name: unmerged
-- Rows that are merged, or that migrated, and should not: `merged` are those for which others stand, and the uuids of these.
with others as (
    select t.k, count(distinct coalesce(p.uid::varchar, t.parent)) as ways, any_value(p.uid) as uid
    from (select distinct k, entity, parent from terminals where not (entity = (select name from self) and parent = k)) t
    left join parents p on p.entity = t.entity and p.k = t.parent
    group by t.k
)
select m.k from merged m left join others o on o.k = m.k where o.ways is distinct from 1 or o.uid is distinct from m.uid
union all
select l.k from own l join others o on o.k = l.k;

-- name: lost
-- Merged rows whose other row is not in the target.
select m.k from merged m where m.uid is null or m.uid not in (select id from held);

-- name: lost_elements
-- Elements that name no row to which they may lead.
select coalesce(l.k, e.id::varchar) as k from elements e left join own l on l.uid = e.id
where e.value is not null and e.value not in (select id::varchar from parent_ids where id is not null)
  and e.id not in (select uid from others where uid is not null);

-- name: wrong_elements
-- Rows whose elements are not those to which the source's lead: their places, types and uuids, as a sum of hashes. An element that
-- leads nowhere is a NULL, where the mapping allows it; so is one whose parent came home, or into the target, only since.
with led as (
    select distinct w.k, w.pos, w.type, p.uid, p.repaired
    from (select distinct k, entity, parent from terminals) t join wanted w on w.place = t.k
    join parents p on p.entity = t.entity and p.k = t.parent
    where p.outcome = 'migrated'
), since as (
    select l.k, l.pos from led l join own o on o.k = l.k join (select distinct k from nulled) n on n.k = l.k
    left join elements e on e.id = o.uid and e.pos = l.pos
    where l.repaired and e.value is null
), expected as (
    select k, sum(hash(pos, coalesce(type, ''), uid)::hugeint) as many from led anti join since using (k, pos) group by k
), found as (
    select id, sum(hash(pos, coalesce(type, ''), coalesce(try_cast(value as uuid), id))::hugeint) as many
    from elements where value is not null group by id
)
select l.k from own l left join expected e on e.k = l.k left join found f on f.id = l.uid
where coalesce(e.many, 0) <> coalesce(f.many, 0);

-- name: without_payload
-- For the target's Postgres, unlike all above.
select s.source_key
from rowcall.settlement s left join rowcall.quarantined_row q using (entity, source_key)
where s.entity = {entity} and s.outcome = 'quarantined' and q.source_key is null
order by 1;

-- name: parent_lines
-- For the target's Postgres: the lines of an entity that references name.
-- A merged row's fate is that of the row that stands for it.
select s.source_key, case when m.source_key is null then s.outcome::text else 'migrated' end,
       case when m.source_key is null then s.target_id else m.target_id end::text, coalesce(q.disposition = 'repaired', false)
from rowcall.settlement s left join rowcall.quarantined_row q using (entity, source_key)
left join rowcall.merged m using (entity, source_key) where s.entity = {entity};

-- name: merged_lines
-- For the target's Postgres: the merged rows of an entity, and the uuid of the row that stands for each.
select s.source_key, m.target_id::text from rowcall.settlement s left join rowcall.merged m using (entity, source_key)
where s.entity = {entity} and s.outcome = 'excluded' and s.cause = 'merged';

-- name: amended
-- For the target's Postgres: rows that a repair pointed at a parent, with the uuid of that parent.
select a.source_key, coalesce(a.parent_id, p.target_id)::text
from (select distinct on (a.source_key) a.* from rowcall.amendment a join rowcall.repair r on r.id = a.repair and r.state = 'applied'
      where a.entity = {entity} and a.target_column = {column} order by a.source_key, a.repair desc) a
join rowcall.settlement s on s.entity = a.entity and s.source_key = a.source_key and s.outcome = 'migrated'
left join rowcall.entity e on e.name = a.parent_entity
left join rowcall.settlement p on p.entity = e.id and p.source_key = a.parent_key;

-- name: closed
-- For the target's Postgres: whether a unique index keeps each key of the entity's lines single.
select 1 as closed from pg_indexes where schemaname = 'rowcall' and indexname = 'settlement_{entity}_key';

-- name: line_sums
-- For the target's Postgres.
select count(*) as rows, count(*) filter (where outcome = 'migrated') as migrated,
       count(*) filter (where outcome = 'quarantined') as quarantined, count(*) filter (where outcome = 'excluded') as excluded,
       coalesce(sum(hashtextextended(source_key, 0)), 0)::text as digest
from rowcall.settlement where entity = {entity};

-- name: key_sums
-- For the source's Postgres.
select count(*) as rows, coalesce(sum(hashtextextended({key}, 0)), 0)::text as digest from {table};
