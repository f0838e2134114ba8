-- On the source, untimed: the rows that should arrive, ready-made, so that the floor's pipe has nothing left to do.
create schema bench;

create table bench.ready_profiles as
select gen_random_uuid() as id, id::bigint as legacy_user_id, username, first_name || ' ' || last_name as full_name,
       lower(email) as email, is_staff, is_active, last_login as last_seen_at, date_joined as created_at
from auth_user
where username not like 'qa-%';

create table bench.ready_rows as
select gen_random_uuid() as id, n.id as legacy_notification_id, p.id as recipient_id, n.template_name,
       n.template_context::jsonb as context, case n.channel when 'inapp' then 'in_app' else n.channel end as channel,
       (array['low', 'normal', 'high'])[n.priority + 1] as priority, n.is_read, n.created_at, n.read_at
from dispatch_notification n
join bench.ready_profiles p on p.legacy_user_id = n.recipient_id
where pg_input_is_valid(n.template_context, 'jsonb')
order by n.id;

vacuum (analyze) bench.ready_rows;
vacuum (analyze) dispatch_notification;
