-- The answer sheet, from the planting list: which keys are spoilt, and how. No word of it comes from the engine.

create temporary table answers as
select v.entity, v.kind, v.cause, (v.place - 1) * f.stride + 1 + pg_temp.draw(v.entity || '.key', v.place, f.stride) as key
from victims as v join figures as f using (entity)
where v.cause is not null
union all
select 'cases', 'victim', 'parent_quarantined', id from case_list where fate = 'victim';  -- of an order whose patient is gone

-- What else was known when planting: rows that a rule excludes, rows that a remedy brings home, and how a missing parent went.
create temporary table facts as
select 'excluded' as fact, 'profiles' as entity, 'not_a_test_account' as name, pg_temp.key('profiles', place) as key
from victims where entity = 'profiles' and kind = 'test_account'
union all
select 'recoverable', entity, 'link_parent', key from answers where entity = 'case_messages' and kind like '%.named'
union all
select 'recoverable', entity, 'follow_parent', key from answers where entity = 'case_messages' and kind = 'victim'
union all
select 'evidence', entity,
       case when parent > pg_temp.rows_of(parents) * pg_temp.stride(parents) then 'never_existed' else 'was_deleted' end, key
from (
    select entity, key, 'cases' as parents, s.case_id as parent
    from answers join dispatch_case_state as s on s.id = key where entity = 'case_states'
    union all
    select entity, key, 'patients', o.patient_id from answers join order_list as o on o.id = key where entity = 'orders'
    union all
    select entity, key, 'orders', p.family_order
    from answers join dispatch_record as r on r.id = key join plan_list as p on p.id = r.object_id
    where entity = 'case_messages'
) as missing
join answers using (entity, key)
where answers.cause = 'dangling_reference';
