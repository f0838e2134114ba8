-- The administrators' log, the sequences, the indexes.

-- Django notes deletions only where they were made by hand in its admin pages.
insert into django_admin_log (action_time, object_id, object_repr, action_flag, change_message, content_type_id, user_id)
select at, object_id, repr, flag, message, type, "user".id
from (
    select created as made, id::text as object_id, 'Order ' || id as repr, 3 as flag, '' as message,
           pg_temp.type_of('instruction') as type, i
    from order_list where kind = 'deleted' and pg_temp.chance('log.order', i, 60)
    union all
    select opened, id::text, 'Case ' || id, 3, '', pg_temp.type_of('case'), i
    from case_list where fate = 'deleted' and pg_temp.chance('log.case', i, 60)
    union all
    select pg_temp.moment('patient.created', place, 'patients'), pg_temp.key('patients', place)::text,
           'Patient', 3, '', pg_temp.type_of('patient'), place
    from victims where entity = 'patients' and kind = 'deleted' and pg_temp.chance('log.patient', place, 80)
    union all
    select created, id::text, 'Order ' || id, 1 + pg_temp.draw('log.flag', i, 2),
           '[{"changed": {"fields": ["Status"]}}]', pg_temp.type_of('instruction'), i
    from order_list where kind is null and pg_temp.chance('log.change', i, 35)
) as log
cross join lateral (
    select made + pg_temp.draw('log.after', i, 1000000) / 1e6::float8 * (timestamptz '2025-10-17 00:00:00+00' - made) as at  -- any time since
) as moment
join sound as "user" on "user".entity = 'profiles'
    and "user".nth = 1 + pg_temp.draw('log.user', i, pg_temp.sound_of('profiles'))
order by at, type, object_id;

-- Sequences stand behind the last key that was ever given out, also where its row is deleted.
select setval(pg_get_serial_sequence(place.name, 'id'), pg_temp.rows_of(entity) * pg_temp.stride(entity))
from (values ('auth_user', 'profiles'), ('dispatch_office', 'offices'), ('dispatch_patient', 'patients'),
             ('dispatch_instruction', 'orders'), ('dispatch_case', 'cases'), ('dispatch_record', 'case_messages'),
             ('dispatch_case_state', 'case_states'), ('dispatch_file', 'case_files'),
             ('dispatch_operation', 'operations'), ('dispatch_role_permission', 'role_permissions'),
             ('dispatch_purchase', 'purchases'), ('dispatch_message_attachment', 'message_attachments'),
             ('dispatch_notification', 'system_messages')) as place (name, entity);
select setval('dispatch_plan_id_seq', pg_temp.rows_of('families') * pg_temp.stride('families') * 8 + 8),
       setval('django_content_type_id_seq', 52),
       setval('auth_group_id_seq', 4),
       setval('dispatch_file_instruction_id_seq', (select max(id) from dispatch_file_instruction)),
       setval('dispatch_file_plan_id_seq', (select max(id) from dispatch_file_plan));

create index on django_admin_log (content_type_id, object_id);
create index on auth_user_groups (group_id);
create index on dispatch_portal_access (patient_id);
create index on dispatch_patient (office_id);
create index on dispatch_instruction (patient_id);
create index on dispatch_instruction (number);
create index on dispatch_case (patient_id);
create index on dispatch_plan (parent_id);
create index on dispatch_plan (instruction_id);
create index on dispatch_case_state (case_id, created_at);
create index on dispatch_record (content_type_id, object_id);
create index on dispatch_record (author_id);
create index on dispatch_file (filename);
create index on dispatch_file_instruction (file_id);
create index on dispatch_file_instruction (instruction_id);
create index on dispatch_file_plan (file_id);
create index on dispatch_file_plan (plan_id);
create index on dispatch_operation (case_id);
create unique index on dispatch_role_permission (office_id, role, codename);
create index on dispatch_purchase (instruction_id);
create index on dispatch_message_attachment (record_id);
create index on dispatch_message_attachment (file_id);
create index on dispatch_notification (recipient_id) where not is_read;
analyze;
