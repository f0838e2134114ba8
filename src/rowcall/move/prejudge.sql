-- DuckDB. Verdicts that hang together across chunks: a cyclic group to its fixpoint, unique values over the whole entity.

-- name: create
create or replace table pre (entity varchar, k varchar, chunk integer, state varchar, root_entity varchar, root_key varchar);
create or replace table link (entity varchar, k varchar, parent_entity varchar, parent_key varchar, sound boolean, included boolean,
    place integer);
create or replace table claim (entity varchar, k varchar, uniq integer, value varchar);

-- name: add
insert into pre
select $entity, k::varchar, $chunk,
       case when excluded is not null then 'excluded' when findings is not null then 'bad' else 'sound' end,
       case when is_victim(findings) then findings[1].root_entity else $entity end,
       case when is_victim(findings) then findings[1].root_key else coalesce(excluded, k::varchar) end
from verdicts;

-- name: forget
delete from pre where entity = $entity and chunk = $chunk;
delete from link where entity = $entity and k not in (select k from pre where entity = $entity);
delete from claim where entity = $entity and k not in (select k from pre where entity = $entity);

-- name: refuse
update pre set state = 'bad', root_entity = entity, root_key = k
where state = 'sound' and (entity, k) in (select entity, k from refused);

-- name: frontier
create or replace table frontier as select entity, k, state, root_entity, root_key from pre where state <> 'sound';

-- name: spread
-- Children of rows that will not migrate: a quarantined parent hands its root on, an excluded one makes the child a root,
-- whoever else keeps it back; of several parents the first reference's counts.
create or replace table hit as
select l.entity, l.k, 'bad' as state,
       arg_min(case when f.state = 'bad' then f.root_entity else l.entity end, (f.state <> 'excluded', l.place, f.k)) as root_entity,
       arg_min(case when f.state = 'bad' then f.root_key else l.k end, (f.state <> 'excluded', l.place, f.k)) as root_key
from frontier f
join link l on l.parent_entity = f.entity and l.parent_key = f.k
join pre p on p.entity = l.entity and p.k = l.k and p.state = 'sound'
where (f.state = 'bad' and l.sound) or (f.state = 'excluded' and l.included)
group by l.entity, l.k;

-- name: mark
update pre set state = 'bad', root_entity = h.root_entity, root_key = h.root_key
from hit h where h.entity = pre.entity and h.k = pre.k;
create or replace table frontier as select * from hit;

-- name: contest
-- Who claims a value that is taken already is a duplicate; who shares one with others of the entity contends for it.
create or replace table duplicate as
select c.k, c.uniq from claim c join pre p on p.entity = c.entity and p.k = c.k and p.state = 'sound'
semi join existing e on e.uniq = c.uniq and e.value = c.value
where c.entity = $entity;
create or replace table contender as
select c.k, c.uniq, c.value from claim c join pre p on p.entity = c.entity and p.k = c.k and p.state = 'sound'
where c.entity = $entity and c.value is not null and c.k not in (select k from duplicate)
qualify count(*) over (partition by c.uniq, c.value) > 1;

-- name: decide
-- A row stays that has the lowest key for each of its values; who shares a value with it goes. So, round by round, every
-- value stays with the lowest key that stays at all. {kind} is the key's type.
create or replace table winner as
select k from (select k, k::{kind} = min(k::{kind}) over (partition by uniq, value) as lowest from contender)
group by k having bool_and(lowest);
insert into duplicate
select distinct c.k, c.uniq from contender c join contender w on w.uniq = c.uniq and w.value = c.value
where w.k in (select k from winner) and c.k not in (select k from winner);
delete from contender where k in (select k from winner) or k in (select k from duplicate);
