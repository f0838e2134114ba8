-- Files reach their case by an order, by a plan, or both ways; both must name the same case.

create temporary table file_list as
select f as i, pg_temp.key('case_files', f) as id, v.kind, v.nth,
       case v.kind
           when 'victim' then victim.id
           when 'two_cases' then o.id
           else case when way < 74 then o.id when way >= 92 then p.family_order end
       end as order_id,
       case when v.kind = 'two_cases' then other.id end as other_order_id,
       case when v.kind is null and way >= 74 then p.id end as plan_id
from generate_series(1, pg_temp.rows_of('case_files')) as f
left join victims as v on v.entity = 'case_files' and v.place = f
cross join lateral (
    select pg_temp.draw('file.way', f, 100) as way,
           pg_temp.earlier('file.order', f, 'case_files', 'orders') as order_nth,
           pg_temp.earlier('file.plan', f, 'case_files', 'plans') as plan_nth
) as d
join sound as o on o.entity = 'orders' and o.nth = d.order_nth
join sound as other on other.entity = 'orders' and other.nth = 1 + d.order_nth % pg_temp.sound_of('orders')
join sound as s on s.entity = 'plans' and s.nth = d.plan_nth
join plan_list as p on p.id = s.id
left join order_list as victim on victim.kind = 'patient_gone'
    and victim.nth = 1 + v.nth % pg_temp.planted('orders', 'patient_gone');

analyze file_list;

insert into dispatch_file
select f.id,
       case
           when kind = 'victim' and f.nth = 1 then '136062118_shell_occlusion_l.stl.stl'
           when kind = 'two_cases' and f.nth = 1 then 'treatment_auxiliary_002.stl'
           when shape < 4 then
               100000000 + i || ('{_shell_occlusion_l,_shell_occlusion_u,_model_upper,_model_lower}'::text[])[1 + shape] || '.stl'
           when shape < 6 then 'treatment_step_' || lpad((i % 48)::text, 3, '0') || '.stl'
           when shape = 6 then 'IMG_' || i || '.JPG'
           when shape = 7 then 'röntgen ' || pg_temp.last_name('file.name', i) || '.dcm'
           else 'scan (' || i % 9 || ').zip'
       end,
       case when shape < 6 then 'model/stl'
            when shape = 6 then 'image/jpeg'
            when pg_temp.chance('file.typed', i, 50) then 'application/octet-stream' end,
       case when kind = 'victim' and f.nth = 1 then 2411724 else 1024 + pg_temp.draw('file.size', i, 48000000) end,
       case when pg_temp.chance('file.sum', i, 90) then decode(md5('file' || i || pg_temp.seed()), 'hex') end,
       case when pg_temp.chance('file.owner', i, 97) then uploader.id end,
       pg_temp.moment('file.uploaded', i, 'case_files')
from (select *, case when kind is null then pg_temp.draw('file.shape', i, 10) else 4 end as shape from file_list) as f
join sound as uploader on uploader.entity = 'profiles'
    and uploader.nth = pg_temp.earlier('file.uploader', i, 'case_files', 'profiles')
order by f.id;

insert into dispatch_file_instruction
select row_number() over (order by file_id, second), file_id, order_id
from (
    select id as file_id, false as second, order_id from file_list where order_id is not null
    union all
    select id, true, other_order_id from file_list where other_order_id is not null
) as links
order by 1;

insert into dispatch_file_plan
select row_number() over (order by id), id, plan_id from file_list where plan_id is not null
order by 1;

insert into sound
select 'case_files', row_number() over (order by id), id from file_list where kind is null;
analyze sound;

insert into dispatch_message_attachment
select pg_temp.key('message_attachments', i), message.id, file.id,
       case when pg_temp.chance('attachment.label', i, 35) then 'Foto №' || i % 12 end,
       pg_temp.draw('attachment.position', i, 5), pg_temp.moment('attachment.created', i, 'message_attachments')
from generate_series(1, pg_temp.rows_of('message_attachments')) as i
join sound as message on message.entity = 'case_messages'
    and message.nth = pg_temp.earlier('attachment.message', i, 'message_attachments', 'case_messages')
join sound as file on file.entity = 'case_files'
    and file.nth = pg_temp.earlier('attachment.file', i, 'message_attachments', 'case_files')
order by 1;
