-- UUID keys, real foreign keys in the place of Django's generic ones.
create type device_status as enum ('offline', 'active', 'planned', 'staged', 'failed', 'inventory', 'decommissioning');
create type device_face as enum ('front', 'rear');

create table regions (
    id        uuid primary key,
    legacy_id bigint not null unique,
    name      text not null,
    slug      text not null unique,
    parent_id uuid references regions
);
create table sites (
    id         uuid primary key,
    legacy_id  bigint not null unique,
    name       text not null unique,
    slug       text not null unique,
    status     text not null,
    time_zone  text check (time_zone <> ''),
    region_id  uuid references regions,
    created_at timestamptz
);
create table racks (
    id        uuid primary key,
    legacy_id bigint not null unique,
    name      text not null,
    height    smallint not null check (height between 1 and 100),
    site_id   uuid not null references sites,
    unique (site_id, name)
);
create table tags (
    id        uuid primary key,
    legacy_id bigint not null unique,
    name      text not null unique,
    color     char(6) not null
);
create table site_tags (
    id      uuid primary key,
    site_id uuid not null references sites,
    tag_id  uuid not null references tags,
    unique (site_id, tag_id)
);
create table manufacturers (
    id        uuid primary key,
    legacy_id bigint not null unique,
    name      text not null unique
);
create table device_types (
    id              uuid primary key,
    legacy_id       bigint not null unique,
    model           text not null,
    height          smallint not null,
    manufacturer_id uuid not null references manufacturers,
    unique (manufacturer_id, model)
);
create table devices (
    id             uuid primary key,
    legacy_id      bigint not null unique,
    name           text,
    face           device_face,
    status         device_status not null,
    serial         text unique,
    custom_fields  jsonb not null default '{}',
    device_type_id uuid not null references device_types,
    site_id        uuid not null references sites,
    rack_id        uuid references racks,
    created_at     timestamptz,
    unique (site_id, name)
);
create table interfaces (
    id         uuid primary key,
    legacy_id  bigint not null unique,
    name       text not null,
    kind       text not null,
    mac        macaddr,
    is_enabled boolean not null,
    device_id  uuid not null references devices,
    lag_id     uuid references interfaces,
    unique (device_id, name)
);
create table ip_addresses (
    id        uuid primary key,
    legacy_id bigint not null unique,
    address   inet not null unique,
    status    text not null
);
create table providers (
    id        uuid primary key,
    legacy_id bigint not null unique,
    name      text not null unique
);
create table circuits (
    id          uuid primary key,
    legacy_id   bigint not null unique,
    number      text not null,
    status      text not null,
    provider_id uuid not null references providers,
    a_end_id    uuid unique,
    z_end_id    uuid unique,
    unique (provider_id, number)
);
create table terminations (
    id         uuid primary key,
    legacy_id  bigint not null unique,
    side       char(1) not null check (side in ('A', 'Z')),
    circuit_id uuid not null references circuits,
    site_id    uuid references sites,
    unique (circuit_id, side)
);
alter table circuits add foreign key (a_end_id) references terminations, add foreign key (z_end_id) references terminations;
create table cables (
    id               uuid primary key,
    legacy_id        bigint not null unique,
    status           text not null,
    color            char(6),
    a_kind           text not null,
    b_kind           text not null,
    a_device_id      uuid references devices,
    a_termination_id uuid references terminations,
    b_device_id      uuid not null references devices,
    check (num_nonnulls(a_device_id, a_termination_id) = 1)
);
create table cable_paths (
    id        uuid primary key,
    legacy_id bigint not null unique,
    is_active boolean not null,
    is_split  boolean not null
);
create table path_elements (
    id             uuid primary key,
    path_id        uuid not null references cable_paths,
    place          int not null,
    kind           text not null,
    cable_id       uuid references cables,
    termination_id uuid references terminations,
    device_id      uuid references devices,
    unique (path_id, place),
    check (num_nonnulls(cable_id, termination_id, device_id) <= 1)
);
create table users (
    id        uuid primary key,
    legacy_id bigint not null unique,
    username  text not null unique,
    joined_at timestamptz not null
);
create table user_settings (
    id       uuid primary key references users,
    settings jsonb not null
);
