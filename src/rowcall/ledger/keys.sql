-- name: missing
select definition, state::text from rowcall.taken_key where state <> 'back' order by table_name, name;

-- name: take
insert into rowcall.taken_key (table_name, name, definition) values (%s, %s, %s)
on conflict (table_name, name) do update set state = 'away', definition = excluded.definition, taken_at = clock_timestamp(), back_at = null;

-- name: note
update rowcall.taken_key set state = %s::rowcall.key_state, back_at = case when %s = 'back' then clock_timestamp() end
where table_name = %s and name = %s;
