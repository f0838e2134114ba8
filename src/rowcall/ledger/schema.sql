-- The run's book. It opens in psql; a run creates it, `undo` removes it.
-- Diagrams and meanings: docs/ledger.md. Python twins of the enums: rowcall.rows; a test compares them.
create schema rowcall;

create type rowcall.outcome as enum ('migrated', 'quarantined', 'excluded');
create type rowcall.disposition as enum ('open', 'repaired', 'archived', 'accepted', 'deferred');
create type rowcall.run_state as enum ('running', 'interrupted', 'complete', 'undoing');
create type rowcall.chunk_state as enum ('planned', 'settled');
create type rowcall.key_state as enum ('away', 'built', 'back');
create type rowcall.repair_state as enum ('applied', 'undone');

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
    hash_probe          bigint,  -- what a known row hashes to: by another hash nothing can be told of what was written
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
    row_hash   bigint,  -- of the row as it was written (DuckDB's hash of its COPY BINARY form): what changed since, a later run tells
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
    decided_at    timestamptz,   -- of a disposition other than open
    decided_by    text,
    reason        text,
    primary key (entity, source_key),
    check (disposition <> 'open' or decided_at is null),
    check ((decided_at is null) = (decided_by is null))
);
create index quarantined_row_chunk on rowcall.quarantined_row (chunk);

-- One use of a remedy, or of a decision about many rows: who, when, why. What it did stands in the tables below;
-- a repair that is undone stays in the book, for the audit.
create table rowcall.repair (
    id                  integer primary key,
    entity              smallint not null references rowcall.entity,
    code                text not null,
    remedy              text not null,
    settings            jsonb not null default '{}',
    state               rowcall.repair_state not null default 'applied',
    origin              text not null check (origin in ('command', 'project')),
    actor               text not null,
    reason              text not null default '',
    mapping_fingerprint text not null,
    source_read         text,               -- txid_current_snapshot() of the source, as the rows were read; null: they were not
    applied_at          timestamptz not null default clock_timestamp(),
    undone_at           timestamptz,
    undone_by           text,
    undone_reason       text,
    purged_at           timestamptz,        -- what it put into rows is gone: it cannot be undone any more
    rows_chosen         bigint not null,
    rows_amended        bigint not null,
    rows_home           bigint not null,
    rows_created        bigint not null default 0,
    xids                bigint[] not null,  -- every number (low 32 bits) under which it, or its undoing, wrote
    check ((state = 'undone') = (undone_at is not null)),
    check ((undone_at is null) = (undone_by is null))
);

-- What a repair puts into one column of a row, in place of what the mapping makes of the source: a value as text, or a parent; all
-- NULL: NULL. Patients' data, as the payload is; `purge` removes it.
create table rowcall.amendment (
    repair        integer not null references rowcall.repair,
    entity        smallint not null,
    source_key    text collate "C" not null,
    target_column text not null,
    kind          text not null check (kind in ('value', 'parent')),
    value         text,
    parent_entity text,
    parent_key    text collate "C",
    parent_id     uuid,              -- of a row that a repair created
    purged        boolean not null default false,  -- its value is gone: it counts no more
    primary key (entity, source_key, target_column, repair),
    check (kind = 'parent' or (parent_entity is null and parent_key is null and parent_id is null)),
    check (kind = 'value' or value is null)
);
create index amendment_repair on rowcall.amendment (repair);
create index amendment_parent on rowcall.amendment (parent_id) where parent_id is not null;

-- What a repair did with a row: brought it home (it has a target_id then), decided about it, or amended it, though something else
-- (`left_for`) still keeps it back. `before` is what was decided of it until then; `version` the xmin of the row that was written.
create table rowcall.repaired_row (
    repair     integer not null references rowcall.repair,
    entity     smallint not null,
    source_key text collate "C" not null,
    before     jsonb not null,
    target_id  uuid,
    version    bigint,
    left_for   text,
    primary key (entity, source_key, repair),
    check ((target_id is null) = (version is null)),
    check (target_id is null or left_for is null)
);
create index repaired_row_repair on rowcall.repaired_row (repair);

-- A row of the target that no source row has: made by a repair for one of the source's. Such a row stays marked for ever.
create table rowcall.synthetic_row (
    repair       integer not null references rowcall.repair,
    entity       text not null,      -- as whose row it was made
    target_table text not null,
    id_column    text not null,
    target_id    uuid not null,
    for_entity   text not null,
    for_key      text collate "C" not null,
    for_whom     text not null,      -- what it was made once for (a row, a missing parent, an owner), as a hash
    version      bigint,             -- null: it is gone again, as its repair was undone
    primary key (target_table, target_id, repair)
);
create index synthetic_row_repair on rowcall.synthetic_row (repair);

-- What `archive` keeps: the row and why it was rejected. Not purged.
create table rowcall.archive (
    repair      integer not null references rowcall.repair,
    entity      text not null,
    source_key  text collate "C" not null,
    payload     jsonb,
    rejections  jsonb not null,
    reason      text not null default '',
    archived_at timestamptz not null default clock_timestamp(),
    primary key (entity, source_key, repair)
);

-- Every purge: who removed how many payloads, when and why.
create table rowcall.purge (
    purged_at timestamptz not null default clock_timestamp(),
    purged_by text not null,
    reason    text not null default '',
    rows      bigint not null
);

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

-- Rows for which other rows are to stand (`merge:`): which. They do where the row itself is excluded as merged; the other may
-- be in quarantine, and the row with it. `named` is the name of the row that stays, by which ways to both are told to mean one.
create table rowcall.merged_row (
    entity      smallint not null,
    source_key  text collate "C" not null,
    into_entity text not null,
    into_key    text collate "C" not null,
    named       text collate "C" not null,
    chunk       integer not null,
    primary key (entity, source_key)
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

-- A later run that took up what changed at the source since: which snapshot it read, and every number (low 32 bits) under which it
-- wrote. What it did, by entity, stands beside.
create table rowcall.catch_up (
    id         integer primary key,
    snapshot   integer not null references rowcall.snapshot,
    started_at timestamptz not null,
    ended_at   timestamptz not null default clock_timestamp(),
    xids       bigint[] not null
);
create table rowcall.caught_up (
    catch_up integer not null references rowcall.catch_up,
    entity   smallint not null references rowcall.entity,
    inserted bigint not null,  -- rows of the target
    updated  bigint not null,
    removed  bigint not null,
    rejected bigint not null,  -- source rows that are quarantined anew, or for something else
    excluded bigint not null,
    gone     bigint not null,  -- rows that the source has no more
    kept     bigint not null,  -- target rows that stay as they are, though the source says otherwise
    primary key (catch_up, entity)
);

-- Rows of the target that are not as the source has them, for somebody changed or removed them (edited, removed), a repair made
-- them (repaired), rows of others refer to them (referred), the target does not take the change (refused; `detail`: why), or a row of
-- the target to which they refer is not found any more by the column that the mapping names (unfound).
create table rowcall.kept_row (
    entity     smallint not null references rowcall.entity,
    source_key text collate "C" not null,
    target_id  uuid,
    why        text not null check (why in ('edited', 'removed', 'repaired', 'referred', 'refused', 'unfound')),
    detail     text,
    catch_up   integer not null references rowcall.catch_up,
    primary key (entity, source_key)
);

-- Rows of the run that somebody changed in the target, noted before a catch-up could write them, too: a trigger of the target, or ON
-- UPDATE CASCADE, may, and their xmin tells nothing any more then.
create table rowcall.edited_row (
    target_table text not null,
    target_id    uuid not null,
    primary key (target_table, target_id)
);

-- Migrated rows that the source has deleted since: their lines went, the target's rows were kept, marked or removed.
create table rowcall.gone_row (
    entity     smallint not null references rowcall.entity,
    source_key text collate "C" not null,
    target_id  uuid not null,
    became     text not null check (became in ('kept', 'marked', 'removed')),
    marked_in  text,  -- the column that holds the mark
    catch_up   integer not null references rowcall.catch_up,
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

create view rowcall.merged as
    select m.entity, m.source_key, m.into_entity, m.into_key, s.target_id
    from rowcall.merged_row m join rowcall.entity e on e.name = m.into_entity
    join rowcall.settlement o on o.entity = m.entity and o.source_key = m.source_key and o.outcome <> 'quarantined'
    left join rowcall.settlement s on s.entity = e.id and s.source_key = m.into_key and s.outcome = 'migrated';

create view rowcall.migration_mappings as
    select e.name as entity_type, s.source_key as legacy_id, s.target_id as entity_uuid
    from rowcall.settlement s join rowcall.entity e on e.id = s.entity
    where s.outcome = 'migrated' and not exists (
        select from rowcall.merged_row m where m.entity = s.entity and m.source_key = s.source_key)
    union all
    select e.name, m.source_key, m.target_id from rowcall.merged m join rowcall.entity e on e.id = m.entity
    where m.target_id is not null;

create view rowcall.quarantine as
    select e.name as entity, q.source_key, q.payload, q.rejections, q.disposition::text as disposition,
           q.root_entity, q.root_key, q.decided_at, q.decided_by, q.reason
    from rowcall.quarantined_row q join rowcall.entity e on e.id = q.entity;

-- Every number (low 32 bits) under which the run wrote: a row with another xmin was changed by somebody else.
create view rowcall.own_xids as
    select (xid::text::numeric % 4294967296)::bigint as xid from rowcall.chunk where xid is not null
    union
    select unnest(subxids) from rowcall.chunk
    union
    select unnest(xids) from rowcall.repair
    union
    select unnest(xids) from rowcall.catch_up;

-- Rows of the target that the run wrote, and that are there: those of its lines, and those that the source has no more.
create view rowcall.written as
    select entity, source_key, target_id from rowcall.settlement where outcome = 'migrated'
    union all
    select entity, source_key, target_id from rowcall.gone_row where became <> 'removed';

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
