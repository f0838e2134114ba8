set work_mem = '256MB';
analyze staging.auth_user;
analyze staging.dispatch_notification;

insert into staging.id_map (entity, legacy_id)
select 'profiles', id from staging.auth_user where username not like 'qa-%';
insert into staging.id_map (entity, legacy_id)
select 'system_messages', id from staging.dispatch_notification;
analyze staging.id_map;

insert into profiles
select m.new_id, u.id, u.username, u.first_name || ' ' || u.last_name, lower(u.email), u.is_staff, u.is_active, u.last_login,
       u.date_joined
from staging.auth_user u
join staging.id_map m on m.entity = 'profiles' and m.legacy_id = u.id;

insert into system_messages
select new_id, id, recipient, template_name, context, channel::notification_channel, priority::notification_priority,
       is_read, created_at, read_at
from (
    select m.new_id, n.id, p.new_id as recipient, n.template_name, staging.try_jsonb(n.template_context) as context,
           case n.channel when 'inapp' then 'in_app' else n.channel end as channel,
           (array['low', 'normal', 'high'])[n.priority + 1] as priority, n.is_read, n.created_at, n.read_at
    from staging.dispatch_notification n
    join staging.id_map m on m.entity = 'system_messages' and m.legacy_id = n.id
    join staging.id_map p on p.entity = 'profiles' and p.legacy_id = n.recipient_id
    offset 0  -- the cast is made once per row
) judged
where context is not null;

insert into staging.rejected
select id, template_context
from staging.dispatch_notification n
where not exists (select from system_messages s where s.legacy_notification_id = n.id);

analyze system_messages;
