-- Comments, and what is attached to them.

-- What a comment can be about, by type and kind.
create temporary table subjects as
select type, kind, id,
       row_number() over (partition by type, kind order by id) as nth,
       count(*) over (partition by type, kind) as size
from (
    select 'plan' as type, kind, id from plan_list where kind <> 'draft'
    union all
    select 'instruction', case kind when 'patient_gone' then 'victim' else 'sound' end, id
    from order_list where kind is distinct from 'deleted'
    union all
    select 'case', fate, id from case_list where fate <> 'deleted'
) as s;

create unique index on subjects (type, kind, nth);
analyze subjects;

create temporary table message_list as
select i, pg_temp.key('case_messages', i) as id, coalesce(v.kind, 'sound') as kind,
       case when v.kind is not null and v.kind <> 'victim' then 'plan'
            else pg_temp.one_of('{plan,plan,plan,plan,plan,instruction,instruction,instruction,case,case}', 'message.type', i)
       end as type,
       pg_temp.moment('message.created', i, 'case_messages') as created
from generate_series(1, pg_temp.rows_of('case_messages')) as i
left join victims as v on v.entity = 'case_messages' and v.place = i;

analyze message_list;

insert into dispatch_record
select m.id, case when m.type = 'plan' and created < '2021-06-14 05:30:00+00' then 12 else t.id end, subject.id, author.id,
       pg_temp.one_of('{"Please check the bite on the left side.","Attachments on 13 and 23, see photo.","OK ✅",
         "Proszę o szybszą realizację 🙏","Hastanın randevusu ertelendi.","","Μπορούμε να προχωρήσουμε;",
         "He said \"later\"; C:\\\\scans\\\\new","先生、確認をお願いします。",
         "50% of the IPR is done; the rest on Monday"}', 'message.body', i)
           || case when pg_temp.chance('message.long', i, 12)
                   then e'\n\n-- \n' || pg_temp.given_name('message.sign', i) || e'\t' || repeat('…', 20) else '' end,
       pg_temp.chance('message.internal', i, 15), created,
       case when pg_temp.chance('message.edited', i, 6) then pg_temp.after(created, 'message.edit', i, 3600) end
from message_list as m
join (select distinct type, kind, size from subjects) as z using (type, kind)
join subjects as subject on subject.type = m.type
    and subject.kind = m.kind and subject.nth = 1 + pg_temp.draw('message.subject', i, z.size)
join django_content_type as t on t.app_label = 'dispatch' and t.model = m.type
join sound as author on author.entity = 'profiles'
    and author.nth = pg_temp.earlier('message.author', i, 'case_messages', 'profiles')
order by m.id;

insert into sound
select 'case_messages', row_number() over (order by id), id from message_list where kind = 'sound';
analyze sound;
