-- Which rows of the legacy database cannot be migrated, and why: worked out from the finished tables alone, in plain SQL.
with recursive
bad_order as (
    select id from dispatch_instruction as o where not exists (select from dispatch_patient as p where p.id = o.patient_id)
),
fate_of_case (id, cause) as (
    select c.id, case
        when c.instruction_id is null and c.patient_id is null then 'check'
        when c.instruction_id is not null and o.id is null or c.patient_id is not null and p.id is null then 'dangling_reference'
        when o.id in (select id from bad_order) then 'parent_quarantined' end
    from dispatch_case as c
    left join dispatch_instruction as o on o.id = c.instruction_id
    left join dispatch_patient as p on p.id = c.patient_id
),
case_of_order (order_id, case_id) as (
    select o.id, c.id from dispatch_instruction as o left join dispatch_case as c on c.instruction_id = o.id
),
climb (start, at, seen) as (
    select id, id, array[id] from dispatch_plan
    union all
    select start, p.parent_id, seen || p.parent_id
    from climb join dispatch_plan as p on p.id = at
    where p.instruction_id is null and p.parent_id is not null and not (p.parent_id = any (seen))
),
end_of_plan as (
    select start as plan_id, p.instruction_id as order_id,
           case when p.id is null then 'dangling_reference'
                when p.instruction_id is null and p.parent_id is null then 'null_reference'
                when p.instruction_id is null then 'cyclic_path' end as cause
    from (select distinct on (start) start, at from climb order by start, cardinality(seen) desc) as last
    left join dispatch_plan as p on p.id = at
),
message as (
    select r.id, case
        when t.model = 'plan' then coalesce(e.cause, case when e.plan_id is null or via.case_id is null then 'dangling_reference' end)
        when t.model = 'instruction' and via.case_id is null then 'dangling_reference'
        when t.model is null then 'unknown_type' end as broken,
        case t.model when 'case' then r.object_id else via.case_id end as case_id
    from dispatch_record as r
    left join django_content_type as t on t.id = case r.content_type_id when 12 then 52 else r.content_type_id end
    left join end_of_plan as e on t.model = 'plan' and e.plan_id = r.object_id
    left join case_of_order as via on via.order_id = case t.model when 'plan' then e.order_id when 'instruction' then r.object_id end
),
bad_message as (
    select m.id, coalesce(broken, case when c.id is null then 'dangling_reference' end, c.cause) as cause
    from message as m left join fate_of_case as c on c.id = m.case_id
),
way as (
    select f.file_id, v.case_id from dispatch_file_instruction as f left join case_of_order as v on v.order_id = f.instruction_id
    union
    select f.file_id, v.case_id from dispatch_file_plan as f
    left join end_of_plan as e using (plan_id) left join case_of_order as v on v.order_id = e.order_id
),
bad_file as (
    select f.id, case
        when count(distinct w.case_id) > 1 then 'ambiguous_reference'
        when count(w.case_id) = 0 then 'dangling_reference'
        else min(c.cause) end as cause
    from dispatch_file as f left join way as w on w.file_id = f.id left join fate_of_case as c on c.id = w.case_id
    group by f.id
),
profile as (select id from auth_user where username not like 'qa-%'),
verdict (entity, key, cause) as (
    select 'orders', id, 'dangling_reference' from bad_order
    union all
    select 'cases', id, cause from fate_of_case
    union all
    select 'case_messages', id, cause from bad_message
    union all
    select 'case_states', s.id, case
        when s.case_id is null then 'null_reference'
        when s.case_id = 0 then 'sentinel_reference'
        when c.id is null then 'dangling_reference'
        when c.cause is not null then 'parent_quarantined'
        when s.created_at > '2025-10-18 00:00:00+00' then 'after_cutoff' end
    from dispatch_case_state as s left join fate_of_case as c on c.id = s.case_id
    union all
    select 'case_files', id, cause from bad_file
    union all
    select 'message_attachments', a.id, case
        when m.id is null or f.id is null then 'dangling_reference'
        when m.cause is not null or f.cause is not null then 'parent_quarantined' end
    from dispatch_message_attachment as a
    left join bad_message as m on m.id = a.record_id left join bad_file as f on f.id = a.file_id
    union all
    select 'operations', o.id, case when c.id is null then 'dangling_reference' when c.cause is not null then 'parent_quarantined' end
    from dispatch_operation as o left join fate_of_case as c on c.id = o.case_id
    union all
    select 'purchases', p.id, case
        when o.id is null then 'dangling_reference'
        when o.id in (select id from bad_order) then 'parent_quarantined' end
    from dispatch_purchase as p left join dispatch_instruction as o on o.id = p.instruction_id
    where p.instruction_id is not null
    union all
    select 'system_messages', id, case
        when template_context is null then 'null_in_required'
        when pg_input_is_valid(template_context, 'jsonb') then null
        when pg_input_is_valid(template_context, 'json') then 'unstorable_text'
        else 'malformed_json' end
    from dispatch_notification
    union all
    -- Everything that must point at a living person or office does.
    select entity, id, 'dangling_reference' from (
        select 'patients', id from dispatch_patient where office_id not in (select id from dispatch_office)
        union all
        select 'orders', id from dispatch_instruction
        where office_id not in (select id from dispatch_office) or created_by_id not in (select id from profile)
        union all
        select 'case_messages', id from dispatch_record where author_id not in (select id from profile)
        union all
        select 'case_states', id from dispatch_case_state where changed_by_id not in (select id from profile)
        union all
        select 'case_files', id from dispatch_file where uploaded_by_id not in (select id from profile)
        union all
        select 'operations', id from dispatch_operation where operator_id not in (select id from profile)
        union all
        select 'role_permissions', id from dispatch_role_permission
        where granted_by_id not in (select id from profile) or office_id not in (select id from dispatch_office)
        union all
        select 'purchases', id from dispatch_purchase where office_id not in (select id from dispatch_office)
        union all
        select 'system_messages', id from dispatch_notification where recipient_id not in (select id from profile)
    ) as orphan (entity, id)
)
select entity, cause, array_agg(key order by key) from verdict where cause is not null group by 1, 2 order by 1, 2
