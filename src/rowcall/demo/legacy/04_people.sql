-- Users, offices, patients, and Django's list of its models.

insert into auth_user
select key, 'pbkdf2_sha256$260000$' || md5('salt' || key) || '$' || md5('one' || key) || md5('two' || key),
       case when pg_temp.chance('user.seen', i, 85) then pg_temp.after('2025-01-01 00:00:00+00', 'user.login', i, 25000000) end,
       i = 1, name, pg_temp.given_name('user.given', i), pg_temp.last_name('user.last', i),
       name || case when v.kind is null
                    then '@clinic-' || pg_temp.draw('user.clinic', i, 60) || '.example' else '@qa.example' end,
       pg_temp.chance('user.staff', i, 20), pg_temp.chance('user.active', i, 88),
       pg_temp.moment('user.joined', i, 'profiles')
from generate_series(1, pg_temp.rows_of('profiles')) as i
left join victims as v on v.entity = 'profiles' and v.place = i
cross join lateral (select pg_temp.key('profiles', i) as key) as k
cross join lateral (
    select case when v.kind is null then pg_temp.one_of('{ana,ben,chloe,dmitri,emre,fatima,grace,hugo}', 'user.name', i)
                else 'qa-' end || key as name
) as u
order by key;

insert into sound
select 'profiles', row_number() over (order by id), id from auth_user where username not like 'qa-%';
analyze sound;

insert into auth_group values (1, 'administrators'), (2, 'doctors'), (3, 'technicians'), (4, 'offices');

-- What a user is, only the groups tell; some are in two, and some in none.
insert into auth_user_groups (user_id, group_id)
select u.id, g.id
from auth_user as u
join auth_group as g on pg_temp.chance('group.' || g.name, u.id, ('{8,45,30,15}'::integer[])[g.id])
order by u.id, g.id;

insert into dispatch_office
select pg_temp.key('offices', i),
       pg_temp.one_of('{Praxis,Clinic,Kliniek,Klinik,Cabinet,Clínica,Studio,"Dental Office"}', 'office.kind', i)
           || ' ' || pg_temp.last_name('office.name', i),
       case when pg_temp.chance('office.street', i, 90) then 'Street ' || 1 + pg_temp.draw('office.number', i, 200) end,
       case when pg_temp.chance('office.post', i, 80) then lpad(pg_temp.draw('office.code', i, 100000)::text, 5, '0') end,
       ('{Zürich,Kraków,Ankara,København,Málaga,Lyon,Wien,Αθήνα}'::text[])[home],
       ('{CH,PL,TR,DK,ES,FR,AT,GR}'::text[])[home],
       'Europe/' || ('{Zurich,Warsaw,Istanbul,Copenhagen,Madrid,Paris,Vienna,Athens}'::text[])[home],
       array(select '+' || 30 + pg_temp.draw('office.prefix', i, 60) || ' ' || pg_temp.draw('office.phone', i * 8 + p, 10000000)
             from generate_series(1, pg_temp.draw('office.phones', i, 4)) as p),
       case when pg_temp.chance('office.opens', i, 70)
            then time '07:00' + pg_temp.draw('office.hour', i, 8) * interval '15 minutes' end,
       jsonb_build_object('currency', 'EUR', 'express', pg_temp.chance('office.express', i, 30),
                          'discount', round(pg_temp.draw('office.discount', i, 15) / 100.0, 2)),
       case pg_temp.draw('office.contract', i, 3)
           when 0 then 'infinity'
           when 1 then pg_temp.moment('office.until', i, 'offices') + interval '5 years' end,
       pg_temp.moment('office.created', i / 2, 'offices')
from generate_series(1, pg_temp.rows_of('offices')) as i
cross join lateral (select 1 + pg_temp.draw('office.home', i, 8) as home) as h;

insert into sound
select 'offices', row_number() over (order by id), id from dispatch_office;
analyze sound;

insert into dispatch_patient
select pg_temp.key('patients', i), office.id,
       case when pg_temp.chance('patient.ref', i, 60)
            then 'P-' || upper(left(md5('patient' || pg_temp.draw('patient.code', i, 1::bigint << 40)), 8)) end,
       pg_temp.given_name('patient.given', i), pg_temp.last_name('patient.last', i),
       case when pg_temp.chance('patient.birth', i, 95)
            then date '1938-01-01' + pg_temp.draw('patient.born', i, 29000)::integer end,
       pg_temp.one_of('{f,m,x,NULL}', 'patient.sex', i),
       case when pg_temp.chance('patient.tags', i, 40)
            then ('{vip,allergy: latex,"second opinion",recall,"pays, late",NULL}'::text[])[1:pg_temp.draw('patient.tag', i, 7)] end,
       case when pg_temp.chance('patient.notes', i, 25) then e'Prefers mornings.\nSays "no" to X-rays.\tCall back \\ e-mail' end,
       pg_temp.chance('patient.archived', i, 7), created, pg_temp.after(created, 'patient.edited', i, 9000000)
from generate_series(1, pg_temp.rows_of('patients')) as i
cross join lateral (select pg_temp.moment('patient.created', i, 'patients') as created) as c
join sound as office on office.entity = 'offices'
    and office.nth = pg_temp.earlier('patient.office', i, 'patients', 'offices')
where not exists (select from victims as v where v.entity = 'patients' and v.kind = 'deleted' and v.place = i)
order by i;

insert into sound
select 'patients', row_number() over (order by id), id from dispatch_patient;
analyze sound;

insert into dispatch_portal_access (patient_id, email, opened_at)
select p.id, 'patient-' || p.id || case n when 1 then '@mail.example' else '@new.example' end,
       pg_temp.after(p.created_at, 'portal.opened', p.id * 2 + n, 20000000)
from dispatch_patient as p
cross join generate_series(1, 2) as n
where pg_temp.chance('portal.' || n, p.id, case n when 1 then 30 else 10 end)
order by p.id, n;

-- 51 models. In June 2021 the model `plan` was taken out and put in again: its number 12 went with the old line of this table,
-- and comments made since then carry 52. Those made before still carry 12.
insert into django_content_type
select id, split_part(label, '.', 1), split_part(label, '.', 2)
from unnest('{
  admin.logentry,auth.permission,auth.group,auth.user,contenttypes.contenttype,sessions.session,sites.site,
  dispatch.office,dispatch.patient,dispatch.instruction,dispatch.case,dispatch.old_plan,dispatch.casestate,
  dispatch.record,dispatch.file,dispatch.fileinstruction,dispatch.fileplan,dispatch.operation,
  dispatch.rolepermission,dispatch.purchase,dispatch.messageattachment,dispatch.notification,dispatch.template,
  dispatch.holiday,dispatch.carrier,dispatch.shipment,dispatch.parcel,dispatch.invoice,dispatch.invoiceline,
  dispatch.payment,dispatch.reminder,dispatch.discount,dispatch.pricelist,dispatch.material,dispatch.materialbatch,
  dispatch.machine,dispatch.machinejob,dispatch.scanner,dispatch.scan,dispatch.survey,dispatch.answer,
  dispatch.device,dispatch.apitoken,axes.accessattempt,axes.accesslog,otp_totp.totpdevice,otp_static.staticdevice,
  otp_static.statictoken,celery_results.taskresult,reversion.revision,reversion.version,dispatch.plan
}'::text[]) with ordinality as t (label, id)
where label <> 'dispatch.old_plan';

create function pg_temp.type_of(name text) returns integer immutable language sql as
$$ select id from django_content_type where app_label = 'dispatch' and model = name $$;
