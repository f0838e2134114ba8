-- DuckDB. Unique values over the whole entity.

-- name: create
create or replace table claim (entity varchar, k varchar, uniq integer, value varchar);

-- name: forget
delete from claim where entity = $entity and k not in (select k from pre where entity = $entity);

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
