-- The new database: uuid keys, real foreign keys, enums, jsonb, checks, row level security on. Needs Postgres 14 or later.

create type order_kind as enum ('aligner', 'retainer', 'splint', 'model');
create type order_status as enum ('new', 'in_review', 'in_production', 'shipped', 'completed', 'cancelled');
create type case_state as enum ('new', 'in_review', 'in_production', 'shipped', 'completed', 'on_hold');
create type message_subject as enum ('plan', 'order', 'case');
create type notification_channel as enum ('email', 'push', 'sms', 'in_app');
create type notification_priority as enum ('low', 'normal', 'high');

create table profiles (
    id             uuid primary key default gen_random_uuid(),
    legacy_user_id bigint unique,
    username       text not null unique,
    full_name      text not null,
    email          text not null unique check (position('@' in email) > 1),
    is_staff       boolean not null default false,
    is_active      boolean not null default true,
    last_seen_at   timestamptz,
    created_at     timestamptz not null default now()
);

-- One user of the old system may be both: each is that profile, under the same id.
create table doctors (
    id         uuid primary key references profiles,
    full_name  text not null,
    groups     jsonb not null check (jsonb_typeof(groups) = 'array'),
    created_at timestamptz not null
);

create table technicians (
    id         uuid primary key references profiles,
    full_name  text not null,
    is_active  boolean not null
);

create table offices (
    id               uuid primary key default gen_random_uuid(),
    legacy_office_id bigint unique,
    name             text not null check (name <> ''),
    street           text,
    postal_code      varchar(16),
    city             text not null,
    country          char(2) not null check (country ~ '^[A-Z]{2}$'),
    time_zone        text not null,
    phones           text[] not null default '{}',
    opens_at         time,
    settings         jsonb not null default '{}' check (jsonb_typeof(settings) = 'object'),
    contract_until   timestamptz,
    created_at       timestamptz not null default now()
);

create table patients (
    id                uuid primary key default gen_random_uuid(),
    legacy_patient_id bigint unique,
    office_id         uuid not null references offices,
    external_ref      text,
    first_name        text not null,
    last_name         text not null,
    birth_date        date,
    sex               char(1) check (sex in ('f', 'm', 'x')),
    tags              text[],
    notes             text,
    is_archived       boolean not null default false,
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now()
);

create table orders (
    id                    uuid primary key default gen_random_uuid(),
    legacy_instruction_id bigint unique,
    patient_id            uuid not null references patients,
    office_id             uuid not null references offices,
    created_by            uuid not null references profiles,
    number                varchar(20) not null,
    kind                  order_kind not null,
    status                order_status not null,
    due_date              date,
    price                 numeric(12, 2) check (price >= 0),
    details               jsonb not null default '{}',
    created_at            timestamptz not null default now(),
    updated_at            timestamptz not null default now(),
    check (updated_at >= created_at)
);

-- A case belongs to an order; the general one belongs to its patient directly.
create table cases (
    id             uuid primary key default gen_random_uuid(),
    legacy_case_id bigint unique,
    order_id       uuid unique references orders,
    patient_id     uuid references patients,
    is_general     boolean not null default false,
    title          text not null check (title <> ''),
    opened_at      timestamptz not null,
    closed_at      timestamptz check (closed_at >= opened_at),
    check (num_nonnulls(order_id, patient_id) = 1)
);

create table case_messages (
    id               uuid primary key default gen_random_uuid(),
    legacy_record_id bigint unique,
    case_id          uuid not null references cases,
    author_id        uuid not null references profiles,
    subject          message_subject not null,
    body             text not null,
    is_internal      boolean not null default false,
    created_at       timestamptz not null default now(),
    edited_at        timestamptz
);

create table case_states (
    id              uuid primary key default gen_random_uuid(),
    legacy_state_id bigint unique,
    case_id         uuid not null references cases,
    state           case_state not null,
    note            text,
    changed_by      uuid references profiles,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now()
);

create table case_files (
    id             uuid primary key default gen_random_uuid(),
    legacy_file_id bigint unique,
    case_id        uuid not null references cases,
    filename       varchar(255) not null check (filename <> ''),
    mime_type      varchar(100) not null default 'application/octet-stream',
    size_bytes     bigint not null check (size_bytes >= 0),
    checksum       bytea check (octet_length(checksum) = 16),
    uploaded_by    uuid references profiles,
    uploaded_at    timestamptz not null default now()
);

create table operations (
    id                  uuid primary key default gen_random_uuid(),
    legacy_operation_id bigint unique,
    case_id             uuid not null references cases,
    operator_id         uuid references profiles,
    name                text not null,
    duration            interval,
    machine             inet,
    started_at          timestamptz not null,
    finished_at         timestamptz check (finished_at >= started_at)
);

create table role_permissions (
    id                   uuid primary key default gen_random_uuid(),
    legacy_permission_id bigint unique,
    office_id            uuid not null references offices,
    role                 varchar(40) not null,
    permission           varchar(100) not null,
    is_granted           boolean not null,
    granted_by           uuid references profiles,
    granted_at           timestamptz not null,
    unique (office_id, role, permission)
);

create table purchases (
    id                 uuid primary key default gen_random_uuid(),
    legacy_purchase_id bigint unique,
    order_id           uuid references orders,
    office_id          uuid not null references offices,
    invoice_no         varchar(30) not null unique,
    item               text not null,
    quantity           integer not null check (quantity > 0),
    total              numeric(12, 2) not null,
    vat_rate           numeric(5, 4) check (vat_rate between 0 and 1),
    currency           char(3) not null check (currency ~ '^[A-Z]{3}$'),
    delivered_on       date,
    ordered_at         timestamptz not null
);

create table message_attachments (
    id                   uuid primary key default gen_random_uuid(),
    legacy_attachment_id bigint unique,
    message_id           uuid not null references case_messages,
    file_id              uuid not null references case_files,
    label                text,
    position             integer not null default 0 check (position >= 0),
    created_at           timestamptz not null default now()
);

create table system_messages (
    id                     uuid primary key default gen_random_uuid(),
    legacy_notification_id bigint unique,
    recipient_id           uuid not null references profiles,
    template_name          varchar(100) not null,
    context                jsonb not null,
    channel                notification_channel not null,
    priority               notification_priority not null default 'normal',
    is_read                boolean not null default false,
    created_at             timestamptz not null default now(),
    read_at                timestamptz
);

create index on patients (office_id);
create index on orders (patient_id);
create index on cases (patient_id) where is_general;
create index on case_messages (case_id, created_at);
create index on case_messages (author_id);
create index on case_states (case_id, created_at);
create index on case_files (case_id);
create index on operations (case_id);
create index on purchases (order_id);
create index on message_attachments (message_id);
create index on system_messages (recipient_id) where not is_read;

-- Row level security is on everywhere. Staff data can be read; a table without a policy is open to its owner only.
alter table profiles enable row level security;
alter table doctors enable row level security;
alter table technicians enable row level security;
alter table offices enable row level security;
alter table patients enable row level security;
alter table orders enable row level security;
alter table cases enable row level security;
alter table case_messages enable row level security;
alter table case_states enable row level security;
alter table case_files enable row level security;
alter table operations enable row level security;
alter table role_permissions enable row level security;
alter table purchases enable row level security;
alter table message_attachments enable row level security;
alter table system_messages enable row level security;

create policy "profiles can be read" on profiles for select using (true);
create policy "offices can be read" on offices for select using (true);
create policy "open messages can be read" on case_messages for select using (not is_internal);
create policy "states can be read" on case_states for select using (true);
create policy "role permissions can be read" on role_permissions for select using (true);
