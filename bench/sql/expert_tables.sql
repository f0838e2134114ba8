-- What somebody who knows Postgres well makes before the weekend: staging tables, the map of ids, a cast that does not throw.
create schema staging;

create unlogged table staging.auth_user (
    id integer, password text, last_login timestamptz, is_superuser boolean, username text, first_name text,
    last_name text, email text, is_staff boolean, is_active boolean, date_joined timestamptz
);

create unlogged table staging.dispatch_notification (
    id bigint, recipient_id integer, template_name text, template_context text, channel text, priority smallint,
    is_read boolean, created_at timestamptz, read_at timestamptz
);

create table staging.id_map (
    entity text, legacy_id bigint, new_id uuid not null default gen_random_uuid(), primary key (entity, legacy_id)
);

create table staging.rejected (legacy_id bigint, template_context text);

create function staging.try_jsonb(value text) returns jsonb language plpgsql immutable as $$
begin
    return value::jsonb;
exception when others then
    return null;
end $$;
