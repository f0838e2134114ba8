-- The legacy database: a Django application that has grown since 2016.
-- It declares primary keys and indexes (10_finish.sql) but no foreign key: the tables came from an engine that had none,
-- and nobody put them back. So every kind of damage can also be made by hand.

set client_encoding to 'UTF8';  -- of the scripts that follow

create table auth_user (
    id           serial primary key,
    password     varchar(128) not null,
    last_login   timestamptz,
    is_superuser boolean not null,
    username     varchar(150) not null unique,
    first_name   varchar(150) not null,
    last_name    varchar(150) not null,
    email        varchar(254) not null,
    is_staff     boolean not null,
    is_active    boolean not null,
    date_joined  timestamptz not null
);

create table auth_group (
    id   serial primary key,
    name varchar(150) not null unique
);

create table auth_user_groups (
    id       serial primary key,
    user_id  integer not null,
    group_id integer not null,
    unique (user_id, group_id)
);

-- Patients who may look at their own case, with the address that they gave for it: some gave a new one later.
create table dispatch_portal_access (
    id         serial primary key,
    patient_id integer not null,
    email      varchar(254) not null,
    opened_at  timestamptz not null
);

create table django_content_type (
    id        serial primary key,
    app_label varchar(100) not null,
    model     varchar(100) not null,
    unique (app_label, model)
);

create table django_admin_log (
    id              serial primary key,
    action_time     timestamptz not null,
    object_id       text,
    object_repr     varchar(200) not null,
    action_flag     smallint not null check (action_flag >= 0),  -- 1 added, 2 changed, 3 deleted
    change_message  text not null,
    content_type_id integer,
    user_id         integer not null
);

create table dispatch_office (
    id             serial primary key,
    name           varchar(200) not null,
    street         varchar(200),
    postal_code    varchar(12),
    city           varchar(100) not null,
    country        char(2) not null,
    time_zone      varchar(63) not null,
    phones         text[] not null default '{}',
    opens_at       time,
    settings       jsonb not null default '{}',
    contract_until timestamptz,                  -- 'infinity': no end agreed
    created_at     timestamptz not null
);

create table dispatch_patient (
    id           serial primary key,
    office_id    integer not null,
    external_ref varchar(32),
    first_name   varchar(100) not null,
    last_name    varchar(100) not null,
    birth_date   date,
    sex          char(1),
    tags         text[],
    notes        text,
    is_archived  boolean not null default false,
    created_at   timestamptz not null,
    updated_at   timestamptz not null
);

-- An order: what the office asks the laboratory to make.
create table dispatch_instruction (
    id            serial primary key,
    patient_id    integer not null,
    office_id     integer not null,
    number        varchar(20) not null,
    kind          smallint not null,             -- 1 aligner, 2 retainer, 3 splint, 4 model
    status        varchar(16) not null,
    due_date      date,
    price         numeric(10, 2),
    details       jsonb not null default '{}',
    created_by_id integer not null,
    created_at    timestamptz not null,
    updated_at    timestamptz not null
);

-- Each order has one case and reaches its patient through it; each patient has one general case, without an order.
create table dispatch_case (
    id             serial primary key,
    instruction_id integer unique,
    patient_id     integer,                      -- only of a general case
    is_general     boolean not null default false,
    title          varchar(200) not null,
    opened_at      timestamptz not null,
    closed_at      timestamptz
);

-- A treatment plan. A revision names its parent; usually only the first of a line names the order.
create table dispatch_plan (
    id             serial primary key,
    parent_id      integer,
    instruction_id integer,
    patient_id     integer,
    name           varchar(200) not null,
    version        smallint not null,
    is_draft       boolean not null default false,
    created_at     timestamptz not null
);

create table dispatch_case_state (
    id            serial primary key,
    case_id       integer,
    state         varchar(16) not null,
    note          text,
    changed_by_id integer,
    created_at    timestamptz not null,
    updated_at    timestamptz not null
);

-- A comment on a plan, an order or a case (a generic foreign key).
create table dispatch_record (
    id              serial primary key,
    content_type_id integer not null,
    object_id       integer not null check (object_id >= 0),
    author_id       integer not null,
    body            text not null,
    is_internal     boolean not null default false,
    created_at      timestamptz not null,
    edited_at       timestamptz
);

create table dispatch_file (
    id             bigserial primary key,
    filename       varchar(255) not null,
    mime_type      varchar(100),
    size_bytes     bigint not null,
    checksum       bytea,
    uploaded_by_id integer,
    uploaded_at    timestamptz not null
);

create table dispatch_file_instruction (
    id             bigserial primary key,
    file_id        bigint not null,
    instruction_id integer not null
);

create table dispatch_file_plan (
    id      bigserial primary key,
    file_id bigint not null,
    plan_id integer not null
);

create table dispatch_operation (
    id          serial primary key,
    case_id     integer not null,
    operator_id integer,
    name        varchar(100) not null,
    duration    interval,
    machine     inet,
    started_at  timestamptz not null,
    finished_at timestamptz
);

create table dispatch_role_permission (
    id            serial primary key,
    role          varchar(40) not null,
    codename      varchar(100) not null,
    office_id     integer not null,
    is_granted    boolean not null,
    granted_by_id integer,
    granted_at    timestamptz not null
);

create table dispatch_purchase (
    id             serial primary key,
    instruction_id integer,
    office_id      integer not null,
    invoice_no     varchar(30) not null,
    item           varchar(200) not null,
    quantity       integer not null,
    total          varchar(20) not null,         -- an amount, kept as text by the first version of the shop
    vat_rate       numeric(5, 4),
    currency       char(3) not null,
    delivered_on   varchar(10),                  -- YYYY-MM-DD, as text
    ordered_at     timestamptz not null
);

create table dispatch_message_attachment (
    id         serial primary key,
    record_id  integer not null,
    file_id    bigint not null,
    label      varchar(200),
    position   smallint not null,
    created_at timestamptz not null
);

create table dispatch_notification (
    id               bigserial primary key,
    recipient_id     integer not null,
    template_name    varchar(100) not null,
    template_context text,                       -- meant to be JSON
    channel          varchar(10) not null,
    priority         smallint not null,          -- 0 low, 1 normal, 2 high
    is_read          boolean not null default false,
    created_at       timestamptz not null,
    read_at          timestamptz
);
