-- The run's book. It opens in psql; a run creates it, `undo` removes it.
-- Diagrams and meanings: docs/ledger.md. Python twins of the enums: rowcall.rows; a test compares them.
create schema rowcall;

create type rowcall.outcome as enum ('migrated', 'quarantined', 'excluded');
create type rowcall.disposition as enum ('open', 'repaired', 'archived', 'accepted', 'deferred');
create type rowcall.run_state as enum ('running', 'interrupted', 'complete', 'undoing');
create type rowcall.chunk_state as enum ('planned', 'settled');
create type rowcall.key_state as enum ('away', 'built', 'back');

create table rowcall.run (
    id                  uuid primary key,
    state               rowcall.run_state not null default 'running',
    project             text not null,
    mapping_fingerprint text not null,
    rowcall_version     text not null,
    started_at          timestamptz not null default clock_timestamp(),
    finished_at         timestamptz,
    forecast            jsonb,
    verification        jsonb,
    mapping             text,  -- the project file without its endpoints, for workers on other machines
    only_one            boolean not null default true unique check (only_one),
    check (state <> 'complete' or finished_at is not null)
);

-- Each state of the source that rows were read in. `visible` is txid_current_snapshot() of the session that exported it.
create table rowcall.snapshot (
    id       integer generated always as identity primary key,
    taken_at timestamptz not null,
    lsn      pg_lsn,
    visible  text not null,
    digests  jsonb not null default '{}',  -- of the tables that paths walk on: table -> digest
    note     text
);

create table rowcall.entity (
    id             smallint primary key,
    name           text not null unique,
    identity       text not null,
    source_table   text not null,
    target_table   text not null,
    id_column      text not null,
    impact         text not null default '',
    step           smallint not null,
    rows_expected  bigint,
    rows_counted   boolean not null default false, -- rows_expected is a count, no estimate
    together       boolean not null default false, -- settled in one transaction with the others of its step (a cycle)
    occupied       boolean not null default false  -- the target table held rows of others before the run
);

create table rowcall.chunk (
    id               integer primary key,
    entity           smallint not null references rowcall.entity,
    lower_key        jsonb,    -- a range of keys: exclusive; null: from the first key
    upper_key        jsonb,    -- inclusive; null: to the last key
    first_page       bigint,   -- or a range of the source table's pages, on the snapshot that it was planned on: inclusive
    end_page         bigint,   -- exclusive; null: to the last page
    without          tid[],    -- rows on these pages that were settled before
    state            rowcall.chunk_state not null default 'planned',
    epoch            integer not null default 0,
    snapshot         integer references rowcall.snapshot,
    rows_read        bigint,
    rows_migrated    bigint,
    rows_quarantined bigint,
    rows_excluded    bigint,
    xid              xid8,
    subxids          bigint[],  -- other numbers that its rows may bear: of savepoints, of triggers', of earlier settlings and takings back
    settled_at       timestamptz,
    seconds          double precision,
    check (first_page is null or (lower_key is null and upper_key is null)),
    check (first_page is not null or (end_page is null and without is null)),
    check (state <> 'settled' or (rows_read is not null and snapshot is not null and xid is not null
                                  and rows_read = rows_migrated + rows_quarantined + rows_excluded))
);

-- A partition per entity (settlement_1, ...); its unique index on source_key is built when the entity's last row is in.
create table rowcall.settlement (
    entity     smallint not null,
    source_key text collate "C" not null,
    outcome    rowcall.outcome not null,
    target_id  uuid,
    cause      text,
    chunk      integer not null,
    check ((outcome = 'migrated') = (target_id is not null)),
    check ((outcome = 'migrated') = (cause is null))
) partition by list (entity);

create table rowcall.quarantined_row (
    entity        smallint not null,
    source_key    text collate "C" not null,
    payload       jsonb,
    rejections    jsonb not null check (jsonb_typeof(rejections) = 'array' and jsonb_array_length(rejections) > 0),
    disposition   rowcall.disposition not null default 'open',
    root_entity   text not null,
    root_key      text collate "C" not null,
    parent_entity text,          -- of a victim: the row that keeps it back
    parent_key    text collate "C",
    chunk         integer not null,
    primary key (entity, source_key)
);
create index quarantined_row_chunk on rowcall.quarantined_row (chunk);

-- A reference that the mapping allowed to become NULL (`missing:`): no link is dropped unseen.
create table rowcall.nulled_reference (
    entity        smallint not null,
    source_key    text collate "C" not null,
    target_column text not null,
    code          text not null,
    hop           integer,
    value         text,
    chunk         integer not null
);

-- Indexes, keys and foreign keys of the target that a load took away, each with all that it takes to put it back. The line and
-- the DROP are of one transaction, and so are the CREATE and the change of state: whatever happens, the book is right.
create table rowcall.taken_key (
    table_name text not null,
    name       text not null,
    state      rowcall.key_state not null default 'away',
    definition jsonb not null,
    taken_at   timestamptz not null default clock_timestamp(),
    back_at    timestamptz,
    primary key (table_name, name),
    check ((state = 'back') = (back_at is not null))
);

-- Rows whose unique values an earlier row or the target has (`columns` names the keys): found over all chunks of the entity
-- before one is settled, and booked where workers on other machines settle them.
create table rowcall.duplicate (
    entity     smallint not null,
    source_key text collate "C" not null,
    columns    text not null,
    primary key (entity, source_key)
);

-- The Proof of each cause: kind "query" is one SELECT for the source, "checked" says what rowcall itself checks; `held` is null
-- until it was asked. `missing` and `surplus` count the keys by which what it returned differs from what was rejected.
create table rowcall.proof (
    entity   smallint not null references rowcall.entity,
    code     text not null,
    kind     text not null check (kind in ('query', 'checked')),
    sql      text not null,
    held     boolean,
    rows     bigint,
    missing  bigint not null default 0,
    surplus  bigint not null default 0,
    asked_at timestamptz,
    primary key (entity, code),
    check ((held is null) = (asked_at is null)),
    check (held is not true or (missing = 0 and surplus = 0))
);

create view rowcall.settlements as
    select e.name as entity, s.source_key, s.outcome::text as outcome, s.target_id, s.cause, s.chunk
    from rowcall.settlement s join rowcall.entity e on e.id = s.entity;

create view rowcall.migration_mappings as
    select e.name as entity_type, s.source_key as legacy_id, s.target_id as entity_uuid
    from rowcall.settlement s join rowcall.entity e on e.id = s.entity
    where s.outcome = 'migrated';

create view rowcall.quarantine as
    select e.name as entity, q.source_key, q.payload, q.rejections, q.disposition::text as disposition,
           q.root_entity, q.root_key
    from rowcall.quarantined_row q join rowcall.entity e on e.id = q.entity;

-- Every number (low 32 bits) under which the run wrote: a row with another xmin was changed by somebody else.
create view rowcall.own_xids as
    select (xid::text::numeric % 4294967296)::bigint as xid from rowcall.chunk where xid is not null
    union
    select unnest(subxids) from rowcall.chunk;

-- Patients' data: nobody but the owner reads the book.
do $$
declare
    role text;
begin
    revoke all on schema rowcall from public;
    foreach role in array array['anon', 'authenticated', 'service_role'] loop
        if exists (select from pg_roles where rolname = role) then
            execute format('revoke all on schema rowcall from %I', role);
            execute format('revoke all on all tables in schema rowcall from %I', role);
        end if;
    end loop;
end
$$;
