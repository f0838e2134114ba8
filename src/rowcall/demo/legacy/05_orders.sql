-- Orders and cases. Deleted orders and patients are planned like all others and then left out, with their cases.

create temporary table order_list as
select i, pg_temp.key('orders', i) as id, v.kind, v.nth,
       case when v.kind is distinct from 'patient_gone' then patient.id
            when v.nth % 3 = 0 then pg_temp.beyond('patients', v.nth)
            else pg_temp.key('patients', gone.place)
       end as patient_id,
       pg_temp.moment('order.created', i, 'orders') as created
from generate_series(1, pg_temp.rows_of('orders')) as i
left join victims as v on v.entity = 'orders' and v.place = i
join sound as patient on patient.entity = 'patients'
    and patient.nth = pg_temp.earlier('order.patient', i, 'orders', 'patients')
left join victims as gone on gone.entity = 'patients'
    and gone.kind = 'deleted' and gone.nth = 1 + v.nth % pg_temp.planted('patients', 'deleted');

create unique index on order_list (id);
analyze order_list;

insert into dispatch_instruction
select o.id, o.patient_id, office.id,
       to_char(created, 'YYYY') || '-' || lpad(i::text, 6, '0'),
       1 + pg_temp.draw('order.kind', i, 4),
       pg_temp.one_of('{NEW,REVIEW,PRODUCTION,SHIPPED,DONE,CANCELLED}', 'order.status', i),
       case when pg_temp.chance('order.due', i, 80) then created::date + 5 + pg_temp.draw('order.days', i, 40)::integer end,
       case when pg_temp.chance('order.priced', i, 85) then 40 + pg_temp.draw('order.price', i, 240000) / 100.0 end,
       jsonb_build_object('jaw', pg_temp.one_of('{upper,lower,both}', 'order.jaw', i),
                          'steps', 1 + pg_temp.draw('order.steps', i, 48),
                          'remarks', case when pg_temp.chance('order.remark', i, 30)
                                          then pg_temp.given_name('order.remarked', i) || ': "bitte prüfen" ✓' end),
       author.id, created, pg_temp.after(created, 'order.edited', i, 3000000)
from order_list as o
join sound as office on office.entity = 'offices' and office.nth = pg_temp.earlier('order.office', i, 'orders', 'offices')
join sound as author on author.entity = 'profiles' and author.nth = pg_temp.earlier('order.author', i, 'orders', 'profiles')
where o.kind is distinct from 'deleted'
order by o.id;

insert into sound
select 'orders', row_number() over (order by id), id from order_list where kind is null;
analyze sound;

-- fate: 'sound', 'victim' (of its order), 'deleted' (with its order or patient).
create temporary table case_list as
select i, pg_temp.key('cases', i) as id, order_id, patient_id, fate, opened
from (
    select row_number() over (order by opened, order_id, patient_id) as i, *
    from (
        select id as order_id, null as patient_id, created as opened,
               case kind when 'deleted' then 'deleted' when 'patient_gone' then 'victim' else 'sound' end as fate
        from order_list
        union all
        select null, pg_temp.key('patients', i), pg_temp.moment('patient.created', i, 'patients'), coalesce(v.kind, 'sound')
        from generate_series(1, pg_temp.rows_of('patients')) as i
        left join victims as v on v.entity = 'patients' and v.place = i
    ) as all_cases
) as numbered;

create index on case_list (order_id);
analyze case_list;

insert into dispatch_case
select id, order_id, patient_id, patient_id is not null,
       case when patient_id is not null then 'General'
            else 'Order ' || to_char(opened, 'YYYY') || ' · ' || pg_temp.last_name('case.title', i) end,
       opened,
       case when order_id is not null and pg_temp.chance('case.closed', i, 60) then pg_temp.after(opened, 'case.days', i, 7000000) end
from case_list where fate <> 'deleted'
order by id;

insert into sound
select 'cases', row_number() over (order by id), id from case_list where fate = 'sound';
analyze sound;
