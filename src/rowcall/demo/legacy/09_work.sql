-- What happened to the cases, who may do what, what was bought, and the notifications.

-- Gone cases: deleted ones, and each third time one that never was (99999 among them).
insert into dispatch_case_state
select pg_temp.key('case_states', i),
       case
           when v.kind is null or v.kind = 'late' then sound_case.id
           when v.kind = 'case_zero' then 0
           when v.kind = 'no_case' then null
           when v.nth % 3 <> 1 then gone.id
           when v.nth = 1 then 99999
           else pg_temp.beyond('cases', i)
       end,
       pg_temp.one_of('{NEW,REVIEW,PRODUCTION,SHIPPED,DONE,HOLD}', 'state.state', i),
       case when pg_temp.chance('state.note', i, 20) then 'waiting for ' || pg_temp.given_name('state.for', i) end,
       case when pg_temp.chance('state.by', i, 90) then changer.id end,
       created, created
from generate_series(1, pg_temp.rows_of('case_states')) as i
left join victims as v on v.entity = 'case_states' and v.place = i
cross join lateral (
    select case when v.kind = 'late'
                then pg_temp.after('2025-10-18 00:00:00.000001+00', 'state.late', i, 60000)
                else pg_temp.moment('state.created', i, 'case_states') end as created
) as c
join sound as sound_case on sound_case.entity = 'cases'
    and sound_case.nth = pg_temp.earlier('state.case', i, 'case_states', 'cases')
join sound as changer on changer.entity = 'profiles'
    and changer.nth = pg_temp.earlier('state.changer', i, 'case_states', 'profiles')
left join (
    select id, row_number() over (order by id) as nth, count(*) over () as size from case_list where fate = 'deleted'
) as gone on gone.nth = 1 + v.nth % gone.size
order by 1;

insert into dispatch_operation
select pg_temp.key('operations', i), c.id, case when pg_temp.chance('operation.by', i, 92) then operator.id end,
       pg_temp.one_of('{scan,segment,set-up,print,thermoform,trim,polish,"quality check",pack}', 'operation.name', i),
       case when ended then pg_temp.draw('operation.took', i, 5400000000) * interval '1 microsecond'
                            + pg_temp.draw('operation.day', i, 2) * interval '1 day' end,
       case when pg_temp.chance('operation.machine', i, 70) then inet '10.4.0.0' + pg_temp.draw('operation.host', i, 1000) end,
       started, case when ended then started + interval '2 days' end
from generate_series(1, pg_temp.rows_of('operations')) as i
cross join lateral (
    select pg_temp.chance('operation.ended', i, 95) as ended, pg_temp.moment('operation.started', i, 'operations') as started
) as o
join sound as c on c.entity = 'cases' and c.nth = pg_temp.earlier('operation.case', i, 'operations', 'cases')
join sound as operator on operator.entity = 'profiles'
    and operator.nth = pg_temp.earlier('operation.operator', i, 'operations', 'profiles')
order by 1;

-- Each (office, role, permission) at most once: row i takes one out of its own part of all combinations.
insert into dispatch_role_permission
select pg_temp.key('role_permissions', i),
       ('{owner,dentist,assistant,technician,planner,reception,accounting,courier}'::text[])[1 + combination / 24 % 8],
       ('{add,change,delete,view}'::text[])[1 + combination % 4]
           || '_' || ('{instruction,case,plan,file,purchase,record}'::text[])[1 + combination / 4 % 6],
       office.id, pg_temp.chance('permission.granted', i, 90),
       case when pg_temp.chance('permission.by', i, 75) then giver.id end,
       pg_temp.moment('permission.at', i, 'role_permissions')
from generate_series(1, pg_temp.rows_of('role_permissions')) as i
cross join lateral (select pg_temp.sound_of('offices') * 192 / pg_temp.rows_of('role_permissions') as part) as p
cross join lateral (select (i - 1) * part + pg_temp.draw('permission.what', i, part) as combination) as c
join sound as office on office.entity = 'offices' and office.nth = 1 + combination / 192
join sound as giver on giver.entity = 'profiles'
    and giver.nth = 1 + pg_temp.draw('permission.giver', i, pg_temp.sound_of('profiles'))
order by 1;

insert into dispatch_purchase
select pg_temp.key('purchases', i), case when pg_temp.chance('purchase.order', i, 80) then o.id end, office.id,
       'R' || to_char(ordered, 'YYYYMM') || '-' || lpad(i::text, 5, '0'),
       pg_temp.one_of('{"Aligner set",Retainer,"Resin, 1 l","Étui bleu","Night guard",Postage}', 'purchase.item', i),
       1 + pg_temp.draw('purchase.quantity', i, 12), (pg_temp.draw('purchase.total', i, 900000) / 100.0)::numeric(10, 2)::text,
       case when pg_temp.chance('purchase.taxed', i, 95) then 0.0770 + pg_temp.draw('purchase.vat', i, 3) / 20.0 end,
       pg_temp.one_of('{EUR,CHF,PLN,TRY,DKK}', 'purchase.currency', i),
       case when pg_temp.chance('purchase.delivered', i, 88) then to_char(ordered + interval '4 days', 'YYYY-MM-DD') end, ordered
from generate_series(1, pg_temp.rows_of('purchases')) as i
cross join lateral (select pg_temp.moment('purchase.ordered', i, 'purchases') as ordered) as t
join sound as o on o.entity = 'orders' and o.nth = pg_temp.earlier('purchase.for', i, 'purchases', 'orders')
join sound as office on office.entity = 'offices'
    and office.nth = pg_temp.earlier('purchase.office', i, 'purchases', 'offices')
order by 1;

-- template_context was written by three generations of code. Beside the planted defects there are harmless oddities that a
-- judge must let pass: empty values, an escaped backslash before u0000, surrogate pairs, {} and odd white space.
insert into dispatch_notification
select i, recipient.id,
       ('{order_created,order_shipped,case_message,plan_ready,invoice_due,password_reset,case_state,reminder}'::text[])[1 + template],
       case v.kind
           when 'null' then null
           when 'empty' then ''
           when 'truncated' then left(context, length(context) - 1 - pg_temp.draw('notification.cut', i, 40)::integer)
           when 'python' then replace(replace(context, '"', ''''), 'true', 'True')
           when 'nan' then left(context, -1) || ', "total": NaN}'
           when 'nul' then left(context, -1) || ', "scan": "upper\u0000"}'
           else case odd
               when 0 then left(context, -1) || ', "path": "C:\\scans\\u0000.stl", "mood": "\ud83e\uddb7"}'
               when 1 then left(context, -1) || ', "note": "", "total": 1e400}'
               when 2 then '{}'
               when 3 then e' \n' || context || e'\t'
               else context
           end
       end,
       pg_temp.one_of('{email,email,email,push,sms,inapp}', 'notification.channel', i),
       template % 3, is_read, created,
       case when is_read then pg_temp.after(created, 'notification.read', i, 600000) end
from generate_series(1, pg_temp.rows_of('system_messages')) as i
cross join lateral (
    select pg_temp.draw('notification.template', i, 8) as template,
           pg_temp.draw('notification.odd', i, 400) as odd,
           pg_temp.chance('notification.is_read', i, 70) as is_read,
           pg_temp.moment('notification.created', i, 'system_messages') as created,
           '{"order": ' || 1 + pg_temp.draw('notification.order', i, 27300)
               || ', "patient": "' || pg_temp.given_name('notification.patient', i)
               || '", "office": ' || pg_temp.draw('notification.office', i, 64)
               || ', "urgent": true, "url": "/cases/' || i % 31500 || '/"}' as context
) as d
join sound as recipient on recipient.entity = 'profiles'
    and recipient.nth = 1 + pg_temp.draw('notification.to', i, pg_temp.sound_of('profiles'))
left join victims as v on v.entity = 'system_messages' and v.place = i;
