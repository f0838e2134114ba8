-- Treatment plans come in families: a first one and its revisions, each of which names an earlier one as its parent.

create temporary table family_list as
select f as i, coalesce(v.kind, 'sound') as kind,
       case when v.kind like 'cycle.%' then 2 + pg_temp.draw('family.cycle', f, 3)
            else 1 + pg_temp.draw('family.size', f, 6) end as size,
       case
           when v.kind is null then o.id
           when v.kind = 'victim' then victim.id
           when v.kind not like 'order_gone.%' then null
           when v.nth % 3 = 0 then pg_temp.beyond('orders', f)
           else deleted.id
       end as order_id,
       case when v.kind like '%.named' or v.kind = 'draft' and pg_temp.chance('family.draft', f, 50) then patient.id
            when v.kind is null and pg_temp.chance('family.named', f, 55) then o.patient_id
       end as patient_id
from generate_series(1, pg_temp.rows_of('families')) as f
left join victims as v on v.entity = 'families' and v.place = f
join sound as s on s.entity = 'orders' and s.nth = pg_temp.earlier('family.order', f, 'families', 'orders')
join order_list as o on o.id = s.id
join sound as patient on patient.entity = 'patients'
    and patient.nth = pg_temp.earlier('family.patient', f, 'families', 'patients')
left join order_list as victim on victim.kind = 'patient_gone'
    and victim.nth = 1 + v.nth % pg_temp.planted('orders', 'patient_gone')
left join order_list as deleted on deleted.kind = 'deleted'
    and deleted.nth = 1 + v.nth % pg_temp.planted('orders', 'deleted');

analyze family_list;

-- Revision j (0 is the first) of a sound family names revision (j - 1) / 2; every sixth one repeats the order.
-- In a cycle of two or three, each names the next and the last names the first; a fourth one hangs on the cycle.
create temporary table plan_list as
select f.i * 8 + j as n, pg_temp.key('families', f.i) * 8 + j as id, f.i, j, f.kind, f.patient_id,
       case
           when f.kind like 'cycle.%' then
               pg_temp.key('families', f.i) * 8 + case when j = 3 then 0 else (j + 1) % least(f.size, 3) end
           when j > 0 then pg_temp.key('families', f.i) * 8 + (j - 1) / 2
       end as parent_id,
       case when j = 0 or pg_temp.chance('plan.repeats', f.i * 8 + j, 17) then f.order_id end as order_id,
       f.order_id as family_order
from family_list as f
cross join lateral generate_series(0, f.size - 1) as j;

create unique index on plan_list (id);
analyze plan_list;

insert into dispatch_plan
select id, parent_id, order_id, patient_id,
       pg_temp.one_of('{Plan,Refinement,Retention,"Wariant próbny","Πλάνο","Plan B / \"final\""}', 'plan.name', n)
           || ' ' || i || case when j > 0 then '.' || j else '' end,
       1 + j, kind = 'draft' or pg_temp.chance('plan.draft', n, 5), pg_temp.moment('plan.created', n / 8, 'families')
from plan_list
order by id;

insert into sound
select 'plans', row_number() over (order by id), id from plan_list where kind = 'sound';
analyze sound;
