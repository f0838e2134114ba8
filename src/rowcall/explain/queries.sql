-- Queries of the explanations. Those up to create_rejected are for the target's Postgres, the others for DuckDB.

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
cross join lateral (select q.rejections -> 0 as first) r
where q.disposition <> 'repaired';

-- name: known
-- Every sort of rejection that there is; `first`: as the cause of a row.
select distinct e.name, r.x ->> 'code', coalesce(r.x ->> 'reference', r.x ->> 'column'), r.place = 1 as first
from rowcall.quarantined_row q join rowcall.entity e on e.id = q.entity
cross join lateral jsonb_array_elements(q.rejections) with ordinality r (x, place)
where q.disposition <> 'repaired';

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
       q.root_entity, q.root_key, q.disposition::text as disposition, r.first ->> 'value' as value
from rowcall.quarantined_row q join rowcall.entity e on e.id = q.entity
cross join lateral (select q.rejections -> 0 as first) r
order by e.step, e.id, length(q.source_key), q.source_key;

-- name: create_rejected
create or replace table rejected (
    entity varchar, key varchar, code varchar, "column" varchar, reference varchar, hop integer, evidence varchar,
    root_entity varchar, root_key varchar, parent_entity varchar, parent_key varchar, disposition varchar,
    more struct(code varchar, parent_entity varchar, parent_key varchar)[]  -- the row's other rejections, if it has any
);

-- name: causes
select entity, code, count(*), count(distinct (coalesce(root_entity, entity), coalesce(root_key, key))),
       count(*) filter (where coalesce(disposition, 'open') = 'open'), min(key, 5)
from rejected group by entity, code;

-- name: groups
select entity, code, coalesce(reference, "column"), hop, evidence, count(*) as rows
from rejected group by all order by rows desc, 3 nulls last, 4 nulls last, 5 nulls last;

-- name: victims
-- For each cause the rows that its rows keep back: every row below one of them, each with the nearest one above it. Who is
-- kept back by itself alone (in a cycle), or has a defect of its own, is no victim. The walk ends at each row of the cause, which starts one of its own.
with recursive below as (
    select p.entity as cause_entity, p.code as cause_code, r.entity, r.key, p.key as nearest,
           r.root_key is null or (r.root_entity, r.root_key) <> (r.entity, r.key) as victim
    from rejected r join rejected p on p.entity = r.parent_entity and p.key = r.parent_key
    union
    select b.cause_entity, b.cause_code, r.entity, r.key, b.nearest,
           r.root_key is null or (r.root_entity, r.root_key) <> (r.entity, r.key) as victim
    from below b
    join rejected up on up.entity = b.entity and up.key = b.key
    join rejected r on r.parent_entity = b.entity and r.parent_key = b.key
    where not (up.entity = b.cause_entity and up.code = b.cause_code)
)
select cause_entity, cause_code, count(distinct (entity, key))
from below
where not (entity = cause_entity and key = nearest) and victim
group by 1, 2;

-- name: compare
-- How many keys a proof's query returned, how many of the rejected it lacks, and how many are too many (one that comes twice, too).
with told as (select key from rejected where entity = $entity and code = $code)
select (select count(*) from asked),
       (select count(*) from told anti join asked on asked.source_key = told.key),
       (select count(*) from asked anti join told on asked.source_key = told.key)
           + (select count(*) - count(distinct source_key) from asked);

-- name: check
-- The keys that the judge rejects for the same cause when it is asked again. It does not know what the target refuses, so a
-- victim also counts where the source leads it to a row in quarantine, and a row that the judge has here may be such a victim.
with told as (select key from rejected where entity = $entity and code = $code),
kept as (
    select distinct l.source_key as key from led l
    join rejected p on p.entity = l.parent_entity and p.key = l.parent_key where $code = 'parent_quarantined'),
judged as (
    select key from again where entity = $entity and code = $code
    union select key from kept join told using (key))
select (select count(*) from judged join told using (key)),
       (select count(*) from told anti join judged using (key)),
       (select count(*) from judged anti join told using (key)
        where key not in (select key from rejected where entity = $entity and code = 'parent_quarantined'));

-- name: freed
-- For each cause the rows that come home once it is healed. What a row waits for are its own defects and those of every row that
-- keeps it back, along all its rejections; it comes home by one decision if all of them are of one cause.
with recursive fact as (
    select rowid as row, entity, code, parent_entity, parent_key from rejected
    union all
    select r, entity, x.code, x.parent_entity, x.parent_key
    from (select rowid as r, entity, unnest(more) as x from rejected where more is not null)
), kept as (
    select distinct f.row, p.rowid as parent
    from fact f join rejected p on p.entity = f.parent_entity and p.key = f.parent_key
    where f.code = 'parent_quarantined'
), cause as (
    select row_number() over () as id, * from (select distinct entity, code from fact where code <> 'parent_quarantined')
), waits as (
    select f.row, c.id as cause from fact f join cause c on c.entity = f.entity and c.code = f.code
    union
    select k.row, w.cause from waits w join kept k on k.parent = w.row
)
select c.entity, c.code, count(*)
from (select row, min(cause) as cause from waits group by row having min(cause) = max(cause)) one
join cause c on c.id = one.cause
group by c.entity, c.code;

-- name: edges
-- Rows whose cause is at a reference, by the parent that keeps them back where one does.
select entity, reference, parent_entity, count(*) from rejected where reference is not null group by all;

-- name: flows
-- Victims by their root's cause.
select r.root_entity, coalesce(p.code, 'repaired'), r.entity, count(*)
from rejected r left join rejected p on p.entity = r.root_entity and p.key = r.root_key
where (r.root_entity, r.root_key) <> (r.entity, r.key)
group by all order by count(*) desc, 1, 2, 3;
