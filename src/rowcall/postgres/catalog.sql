-- name: types
-- Every type that a column or an expression may have; of composite types those of columns. `send` is null for pseudo-types.
select t.oid::int8, t.typname, n.nspname, t.typtype::text, t.typcategory::text, t.typelem::int8, t.typbasetype::int8, t.typtypmod,
       format_type(t.typbasetype, t.typtypmod), t.typnotnull,
       case when t.typsend <> 0 then quote_ident(sn.nspname) || '.' || quote_ident(sp.proname) end,
       (select array_agg(e.enumlabel::text order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid)
from pg_type t
join pg_namespace n on n.oid = t.typnamespace
left join pg_proc sp on sp.oid = t.typsend
left join pg_namespace sn on sn.oid = sp.pronamespace
where t.oid in (select atttypid from pg_attribute a join pg_class c on c.oid = a.attrelid
                where c.relkind in ('r', 'p', 'v', 'm', 'f') and a.attnum > 0)
   or t.oid in (select d.typbasetype from pg_type d where d.typtype = 'd')
   or t.typtype not in ('c', 'p');

-- name: tables
select c.oid::int8, n.nspname, c.relname, c.relkind::text, c.relrowsecurity, greatest(c.reltuples, 0)::int8
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't'
  and n.nspname not in ('pg_catalog', 'information_schema', 'rowcall') and n.nspname not like 'pg\_toast%'
order by n.nspname, c.relname;

-- name: columns
select a.attrelid::int8, a.attname, a.atttypid::int8, a.atttypmod, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       a.atthasdef or t.typdefault is not null,
       {generated}, a.attidentity::text
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
join pg_type t on t.oid = a.atttypid
where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and n.nspname not in ('pg_catalog', 'information_schema', 'rowcall') and n.nspname not like 'pg\_toast%'
order by a.attrelid, a.attnum;

-- name: uniques
-- Of tables that are not the system's own: FirstNormalObjectId is 16384 (src/include/access/transam.h).
select i.indrelid::int8, ic.relname, i.indisprimary, {nulls_distinct},
       (select array_agg(a.attname::text order by k.place)
        from unnest(i.indkey::int2[]) with ordinality k(attnum, place)
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
        where k.place <= i.indnkeyatts)
from pg_index i join pg_class ic on ic.oid = i.indexrelid
where i.indrelid >= 16384 and i.indisunique and i.indisvalid and i.indexprs is null and i.indpred is null
order by i.indrelid, not i.indisprimary, ic.relname;

-- name: foreign_keys
select k.conrelid::int8, k.conname, fn.nspname || '.' || fc.relname, k.condeferrable, k.confdeltype::text,
       (select array_agg(a.attname::text order by x.place) from unnest(k.conkey) with ordinality x(attnum, place)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = x.attnum),
       (select array_agg(a.attname::text order by x.place) from unnest(k.confkey) with ordinality x(attnum, place)
        join pg_attribute a on a.attrelid = k.confrelid and a.attnum = x.attnum)
from pg_constraint k join pg_class fc on fc.oid = k.confrelid join pg_namespace fn on fn.oid = fc.relnamespace
where k.contype = 'f'
order by k.conrelid, k.conname;

-- name: checks
select k.conrelid::int8, k.conname, pg_get_constraintdef(k.oid)
from pg_constraint k where k.contype = 'c' and k.conrelid >= 16384
order by k.conrelid, k.conname;

-- name: room
-- How many more sessions this role may open in this database, by the narrowest limit; and what tells this server from others.
-- Whose session it is everybody may see, so sessions are counted by that; the few of autovacuum count as well.
select least(
           current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
               - coalesce(current_setting('reserved_connections', true), '0')::int
               - (select count(*) from pg_stat_activity where datid is not null),
           case when r.rolconnlimit >= 0 and not r.rolsuper
                then r.rolconnlimit - (select count(*) from pg_stat_activity where usesysid = r.oid) end,
           case when d.datconnlimit >= 0 and not r.rolsuper
                then d.datconnlimit - (select count(*) from pg_stat_activity where datid = d.oid) end)::int,
       pg_postmaster_start_time()::text || ' ' || current_setting('port')
from pg_roles r, pg_database d where r.rolname = session_user and d.datname = current_database();

-- name: triggers
select t.tgrelid::int8, t.tgname from pg_trigger t where not t.tgisinternal and t.tgenabled <> 'D' order by t.tgrelid, t.tgname;
