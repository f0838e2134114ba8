-- Queries of the explanations. Those up to cleaning are for the target's Postgres, the others for DuckDB:
-- over `rejected` (see rowcall.rejected) and what `links` makes of it.

-- name: load_rejected
-- The first rejection of every quarantined row; the value seen stays where it is.
select e.name as entity, q.source_key as key, r.first ->> 'code' as code, r.first ->> 'column' as "column",
       r.first ->> 'reference' as reference, (r.first ->> 'hop')::integer as hop, r.first ->> 'evidence' as evidence,
       q.root_entity, q.root_key, q.parent_entity, q.parent_key, q.disposition::text as disposition,
       case when jsonb_array_length(q.rejections) > 1 then (
           select jsonb_agg(jsonb_build_object('code', x -> 'code', 'parent_entity', x -> 'parent_entity',
                                               'parent_key', x -> 'parent_key'))
           from jsonb_array_elements(q.rejections) x)::text end as more
from rowcall.quarantined_row q
join rowcall.entity e on e.id = q.entity
cross join lateral (select q.rejections -> 0 as first) r;

-- name: but_fixed
-- Goes behind load_rejected.
where not exists (select from rowcall.repaired_row r join rowcall.repair p on p.id = r.repair
                  where r.entity = q.entity and r.source_key = q.source_key and r.target_id is not null
                    and p.state = 'applied' and p.remedy = 'retry');

-- name: known
-- Every sort of rejection that there is; `first`: as the cause of a row; `lead`: what comes before a parent that keeps the row back.
select distinct e.name, r.x ->> 'code', coalesce(r.x ->> 'reference', r.x ->> 'column'), r.place = 1 as first,
       case when r.place > 1 and r.x ->> 'code' = 'parent_quarantined' then q.rejections -> 0 ->> 'code' end as lead
from rowcall.quarantined_row q join rowcall.entity e on e.id = q.entity
cross join lateral jsonb_array_elements(q.rejections) with ordinality r (x, place);

-- name: nulled_of
select n.target_column, n.code, n.hop, n.value
from rowcall.nulled_reference n join rowcall.entity e on e.id = n.entity
where e.name = %s and n.source_key = %s
order by 1;

-- name: homes_of_key
-- Entities that have a row with this key.
select entity from rowcall.settlements where source_key = %s order by 1;

-- name: keys_like
select source_key from rowcall.settlements
where entity = %s and left(source_key, greatest(length(%s) - 1, 1)) = left(%s, greatest(length(%s) - 1, 1))
order by length(source_key), source_key limit 3;

-- name: parents
-- How many different parents rows name that are not there, or that a rule excludes.
select e.name, q.rejections -> 0 ->> 'code', count(distinct q.rejections -> 0 ->> 'value')
from rowcall.quarantined_row q join rowcall.entity e on e.id = q.entity
where q.rejections -> 0 ->> 'code' in ('dangling_reference', 'parent_excluded') and q.disposition <> 'repaired'
group by 1, 2;

-- name: samples
-- The first rejection of these rows, with what it saw.
select e.name, q.source_key, coalesce(r.first ->> 'reference', r.first ->> 'column'), (r.first ->> 'hop')::integer,
       r.first ->> 'value', r.first ->> 'evidence', r.first ->> 'detail'
from unnest(%s::text[], %s::text[]) k (entity, key)
join rowcall.entity e on e.name = k.entity
join rowcall.quarantined_row q on q.entity = e.id and q.source_key = k.key
cross join lateral (select q.rejections -> 0 as first) r;

-- name: cleaning
-- One line per quarantined row; `other_defects` tells its further rejections.
select e.name as entity, q.source_key as key, r.first ->> 'code' as cause,
       coalesce(r.first ->> 'reference', r.first ->> 'column') as "column", r.first ->> 'hop' as hop,
       r.first ->> 'evidence' as evidence, r.first ->> 'detail' as detail,
       case when jsonb_array_length(q.rejections) > 1 then (
           select string_agg(concat_ws(' at ', x ->> 'code', coalesce(x ->> 'reference', x ->> 'column')), '; ' order by place)
           from jsonb_array_elements(q.rejections) with ordinality o (x, place) where place > 1) end as other_defects,
       q.root_entity, q.root_key, q.disposition::text as disposition, q.decided_by, q.decided_at::text as decided_at, q.reason,
       r.first ->> 'value' as value
from rowcall.quarantined_row q join rowcall.entity e on e.id = q.entity
cross join lateral (select q.rejections -> 0 as first) r
order by e.step, e.id, length(q.source_key), q.source_key;

-- name: links
-- The rows as numbers: each with its cause, its root and (in `kept`) the rows that keep it back. A root that is not in quarantine (any more)
-- has a negative number. Who has a defect of its own is no victim.
create or replace temp table cause as
select (row_number() over ())::smallint as id, * from (select distinct entity, code from rejected_sort);
create or replace temp table link as
select l.rowid::integer as row, c.id as cause, coalesce(s.disposition, 'open') = 'open' as open, not l.own as victim,
       case when l.own or l.root_key is null then l.rowid
            else coalesce(r.rowid, -1 - (hash(l.root_entity, l.root_key) >> 1)::bigint) end as root,
       p.rowid::integer as parent  -- by its first rejection
from rejected_line l
join rejected_sort s on s.id = l.sort
join cause c on c.entity = s.entity and c.code = s.code
left join rejected_line r on r.entity = l.root_entity and r.key = l.root_key
left join rejected_line p on p.entity = l.parent_entity and p.key = l.parent_key;
create or replace temp table other as
select l.rowid::integer as row, s.entity, x.code, x.parent_entity, x.parent_key
from (select rowid, sort, unnest(more) as x from rejected_line where more is not null) l
join rejected_sort s on s.id = l.sort;
create or replace temp table kept as
select e.row, e.parent, r.cause, r.victim, p.cause as parent_cause
from (
    select k.row, k.parent from link k where k.parent is not null
    union
    select o.row, p.rowid::integer from other o join rejected_entity e on e.name = o.parent_entity
    join rejected_line p on p.entity = e.id and p.key = o.parent_key
) e join link r on r.row = e.row join link p on p.row = e.parent;

-- name: causes
select c.entity, c.code, count(*), count(distinct k.root), count(*) filter (where k.open), min(l.key, 5)
from link k join cause c on c.id = k.cause join rejected_line l on l.rowid = k.row
group by c.entity, c.code;

-- name: groups
select s.entity, s.code, coalesce(s.reference, s."column"), s.hop, s.evidence, sum(n.rows)::bigint as rows
from (select sort, count(*) as rows from rejected_line group by sort) n join rejected_sort s on s.id = n.sort
group by all order by rows desc, 3 nulls last, 4 nulls last, 5 nulls last;

-- name: victims
-- For each cause the rows that its rows keep back: every row below one of them, each with the nearest one above it. Who is
-- kept back by itself alone (in a cycle), or has a defect of its own, is no victim. The walk ends at each row of the cause,
-- which starts one of its own.
with recursive below as (
    select parent_cause as cause, row, cause as own, parent as nearest, victim from kept
    union
    select b.cause, k.row, k.cause, b.nearest, k.victim from below b join kept k on k.parent = b.row where b.own <> b.cause
)
select c.entity, c.code, sum(b.rows)::bigint
from (select cause, count(distinct row) as rows from below where row <> nearest and victim group by cause) b
join cause c on c.id = b.cause
group by 1, 2;

-- name: compare
-- How many keys a proof's query returned, how many of the rejected it lacks, how many are too many (one that comes twice, too), and
-- some of either.
with told as (select key from rejected where entity = $entity and code = $code),
lacking as (select key from told anti join asked on asked.source_key = told.key),
more as (select source_key as key from asked anti join told on asked.source_key = told.key)
select (select count(*) from asked), (select count(*) from lacking),
       (select count(*) from more) + (select count(*) - count(distinct source_key) from asked),
       (select min(key, 3) from lacking), (select min(key, 3) from more);

-- name: check
-- The keys that the judge rejects for the same cause when it is asked again. It does not know what the target refuses, so a
-- victim also counts where the source leads it to a row in quarantine (and the judge finds no earlier cause), and a row that it has
-- under a later code may be such a victim.
with told as (select key from rejected where entity = $entity and code = $code),
kept as (
    select distinct l.source_key as key from led l
    join rejected p on p.entity = l.parent_entity and p.key = l.parent_key
    anti join again a on a.entity = $entity and list_contains($earlier, a.code) and a.key = l.source_key),
judged as (
    select key from again where entity = $entity and code = $code
    union select key from kept join told using (key))
select (select count(*) from judged join told using (key)),
       (select count(*) from told anti join judged using (key)),
       (select count(*) from judged anti join told using (key)
        where not ($later and key in (select key from rejected where entity = $entity and code = 'parent_quarantined')));

-- name: freed
-- For each cause the rows that come home once it is healed. What a row waits for are its own defects and those of every row that
-- keeps it back, along all its rejections; it comes home by one decision if all of them are of one cause.
with recursive defect as (
    select (row_number() over ())::smallint as id, * from (
        select entity, code from cause union select entity, code from other) where code <> 'parent_quarantined'
), waits as (
    select k.row, d.id as defect from link k join cause c on c.id = k.cause join defect d on d.entity = c.entity and d.code = c.code
    union
    select o.row, d.id from other o join defect d on d.entity = o.entity and d.code = o.code
), all_waits as (
    select * from waits
    union
    select k.row, w.defect from all_waits w join kept k on k.parent = w.row
)
select d.entity, d.code, count(*)
from (select row, min(defect) as defect from all_waits group by row having min(defect) = max(defect)) one
join defect d on d.id = one.defect
group by d.entity, d.code;

-- name: merged_of
-- For the target's Postgres: the row that stands for a merged one.
select m.into_entity, m.into_key, m.target_id::text from rowcall.merged m join rowcall.entity e on e.id = m.entity
where e.name = %s and m.source_key = %s;

-- name: edges
-- Rows whose cause is at a reference, by the parent that keeps them back where one does.
select entity, reference, parent_entity, count(*) from rejected where reference is not null group by all;

-- name: flows
-- Victims by their root's cause.
select e.name, coalesce(c.code, 'repaired'), own.entity, count(*)
from link k join cause own on own.id = k.cause
join rejected_line l on l.rowid = k.row join rejected_entity e on e.id = l.root_entity
left join link r on r.row = k.root left join cause c on c.id = r.cause
where k.victim
group by all order by count(*) desc, 1, 2, 3;
