-- What a load may take away from a table and put back: its indexes, keys and foreign keys. Read with an empty search_path, so
-- that every name in a definition is qualified. `stays`: why it cannot be taken away. {…} are words of other versions.

-- name: indexes
select n.nspname || '.' || c.relname, ic.relname,
       case when i.indisprimary then 'primary key' when con.oid is not null then 'unique' else 'index' end,
       pg_get_indexdef(ic.oid), i.indisunique, con.condeferrable, con.condeferred,
       obj_description(ic.oid, 'pg_class'), obj_description(con.oid, 'pg_constraint'),
       (select array_agg(a.attname::text order by k.place)
        from unnest(i.indkey::int2[]) with ordinality k(attnum, place)
        left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
        where k.place <= i.indnkeyatts and i.indexprs is null),
       (select array_agg(pg_get_indexdef(ic.oid, k, true) order by k) from generate_series(1, i.indnkeyatts) k),
       pg_get_expr(i.indpred, i.indrelid), {nulls_distinct},
       case when c.relkind <> 'r' or c.relispartition
                 or exists (select from pg_inherits h where c.oid in (h.inhrelid, h.inhparent)) then 'the table has partitions or heirs'
            when not pg_has_role(c.relowner, 'USAGE') then 'another role owns the table'
            when not has_schema_privilege(n.oid, 'CREATE') then 'the right to create in its schema is missing'
            when i.indisexclusion then 'it is an exclusion constraint'
            when not (i.indisvalid and i.indisready and i.indislive) then 'it is not valid'
            when ic.reltablespace <> 0 then 'it has a tablespace of its own'
            when i.indisclustered then 'the table is clustered by it'
            when i.indisreplident or (i.indisprimary and c.relreplident = 'd' and exists (
                select from pg_publication_tables p where p.schemaname = n.nspname and p.tablename = c.relname))
                 then 'the table is published by it'
            when exists (select from pg_attribute a where a.attrelid = ic.oid and coalesce(a.attstattarget, -1) <> -1)
                 then 'it has a statistics target'
            when exists (select from pg_depend d where d.deptype in ('e', 'x') and
                         ((d.classid = 'pg_class'::regclass and d.objid = ic.oid) or
                          (d.classid = 'pg_constraint'::regclass and d.objid = con.oid))) then 'it belongs to an extension'
            when exists (select from pg_depend d left join pg_constraint f on d.classid = 'pg_constraint'::regclass and f.oid = d.objid
                         where d.deptype <> 'i' and f.contype is distinct from 'f' and
                               ((d.refclassid = 'pg_class'::regclass and d.refobjid = ic.oid) or
                                (d.refclassid = 'pg_constraint'::regclass and d.refobjid = con.oid)))
                 then 'another object, such as a view, depends on it'
            else '' end
from pg_index i
join pg_class ic on ic.oid = i.indexrelid
join pg_class c on c.oid = i.indrelid
join pg_namespace n on n.oid = c.relnamespace
left join pg_constraint con on con.conindid = ic.oid and con.conrelid = c.oid and con.contype in ('p', 'u', 'x')
where n.nspname || '.' || c.relname = any (%s)
order by 1, 2;

-- name: foreign_keys
select n.nspname || '.' || c.relname, k.conname, pg_get_constraintdef(k.oid), rn.nspname || '.' || r.relname, ic.relname,
       k.condeferrable, k.confdeltype::text,
       (select array_agg(a.attname::text order by x.place) from unnest(k.conkey) with ordinality x(attnum, place)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = x.attnum),
       (select array_agg(a.attname::text order by x.place) from unnest(k.confkey) with ordinality x(attnum, place)
        join pg_attribute a on a.attrelid = k.confrelid and a.attnum = x.attnum),
       obj_description(k.oid, 'pg_constraint'),
       case when k.conrelid = k.confrelid then 'the table refers to itself'
            when c.relkind <> 'r' or c.relispartition or k.conparentid <> 0 or r.relkind <> 'r'
                 or exists (select from pg_inherits h where c.oid in (h.inhrelid, h.inhparent)) then 'the table has partitions or heirs'
            when not pg_has_role(c.relowner, 'USAGE') then 'another role owns the table'
            when not (has_table_privilege(r.oid, 'REFERENCES') or not exists (
                select from unnest(k.confkey) a where not has_column_privilege(r.oid, a, 'REFERENCES')))
                 then 'the right to refer to the other table is missing'
            when k.confmatchtype <> 's' then 'it matches in full'
            when not k.convalidated {enforced} then 'it is not validated'
            when exists (select from pg_trigger t where t.tgconstraint = k.oid and t.tgenabled <> 'O') then 'its triggers are set apart'
            when exists (select from pg_depend d where d.deptype in ('e', 'x') and d.classid = 'pg_constraint'::regclass
                         and d.objid = k.oid) then 'it belongs to an extension'
            else '' end
from pg_constraint k
join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
join pg_class r on r.oid = k.confrelid join pg_namespace rn on rn.oid = r.relnamespace
left join pg_class ic on ic.oid = k.conindid
where k.contype = 'f' and (n.nspname || '.' || c.relname = any (%s) or rn.nspname || '.' || r.relname = any (%s))
order by 1, 2;
