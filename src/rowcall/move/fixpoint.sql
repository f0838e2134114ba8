-- DuckDB. Verdicts that hang together by references: whoever needs a row that will not migrate falls, to the fixpoint.

-- name: create
create or replace table pre (entity varchar, k varchar, chunk integer, state varchar, root_entity varchar, root_key varchar,
    uid blob, named varchar);
create or replace table link (entity varchar, k varchar, parent_entity varchar, parent_key varchar, sound boolean, included boolean,
    place integer);

-- name: add
insert into pre
select $entity, k::varchar, $chunk,
       case when merged_uid is not null then 'merged' when excluded is not null then 'excluded' when findings is not null then 'bad'
            else 'sound' end,
       case when is_victim(findings) then findings[1].root_entity when merged_uid is not null then merged_entity else $entity end,
       case when is_victim(findings) then findings[1].root_key when merged_uid is not null then merged_key
            else coalesce(excluded, k::varchar) end,
       coalesce(merged_uid, uid), named
from verdicts;

-- name: forget
delete from pre where entity = $entity and chunk = $chunk;
delete from link where entity = $entity and k not in (select k from pre where entity = $entity);

-- name: refuse
update pre set state = 'bad', root_entity = entity, root_key = k
where state = 'sound' and (entity, k) in (select entity, k from refused);

-- name: frontier
create or replace table frontier as select entity, k, state, root_entity, root_key from pre where state not in ('sound', 'merged');

-- name: spread
-- Children of rows that will not migrate: a quarantined parent hands its root on, an excluded one makes the child a root,
-- whoever else keeps it back; of several parents the first reference's counts.
create or replace table hit as
select l.entity, l.k, 'bad' as state,
       arg_min(case when f.state = 'bad' then f.root_entity else l.entity end, (f.state <> 'excluded', l.place, f.k)) as root_entity,
       arg_min(case when f.state = 'bad' then f.root_key else l.k end, (f.state <> 'excluded', l.place, f.k)) as root_key
from frontier f
join link l on l.parent_entity = f.entity and l.parent_key = f.k
join pre p on p.entity = l.entity and p.k = l.k and p.state in ('sound', 'merged')
where (f.state = 'bad' and l.sound) or (f.state = 'excluded' and l.included)
group by l.entity, l.k;

-- name: mark
update pre set state = 'bad', root_entity = h.root_entity, root_key = h.root_key
from hit h where h.entity = pre.entity and h.k = pre.k;
create or replace table frontier as select * from hit;

-- name: chains
-- Rows that are merged into one of the same group that is merged itself.
select p.entity, p.k, p.root_entity, p.root_key from pre p join pre w on w.entity = p.root_entity and w.k = p.root_key
where p.state = 'merged' and w.state = 'merged' order by p.entity, length(p.k), p.k limit 1;

-- name: keep
-- Who was not asked for stays only where somebody who was, and is sound, needs it.
create or replace table needed as
with recursive need as (
    select p.entity, p.k from pre p semi join asked a on a.entity = p.entity and a.k = p.k where p.state in ('sound', 'merged')
    union
    select l.parent_entity, l.parent_key from need n join link l on l.entity = n.entity and l.k = n.k
)
select * from need;
delete from pre
where (entity, k) not in (select entity, k from asked) and (state not in ('sound', 'merged') or (entity, k) not in (select entity, k from needed));
