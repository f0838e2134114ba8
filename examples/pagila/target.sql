-- The new shop: UUID keys, real foreign keys (none deferrable), and a legacy_*_id wherever the old row had a single key.
create domain release_year as integer check (value between 1901 and 2155);
create type rating as enum ('general', 'parental_guidance', 'parents_cautioned', 'restricted', 'adults_only');

create table countries (
    id                uuid primary key default gen_random_uuid(),
    legacy_country_id integer unique,
    name              text not null unique
);

create table cities (
    id             uuid primary key default gen_random_uuid(),
    legacy_city_id integer unique,
    name           text not null,
    country_id     uuid not null references countries,
    unique (country_id, name)
);

create table addresses (
    id                uuid primary key default gen_random_uuid(),
    legacy_address_id integer unique,
    street            text not null check (street <> ''),
    extra             text check (extra <> ''),
    district          text check (district <> ''),
    postal_code       text check (postal_code <> ''),
    phone             text check (phone ~ '^[0-9]+$'),
    city_id           uuid not null references cities
);

-- Each needs the other, at once.
create table stores (
    id              uuid primary key default gen_random_uuid(),
    legacy_store_id integer unique,
    manager_id      uuid not null unique,
    address_id      uuid not null references addresses
);

create table employees (
    id              uuid primary key default gen_random_uuid(),
    legacy_staff_id integer unique,
    full_name       text not null,
    email           text not null unique,
    username        varchar(16) not null unique,
    is_active       boolean not null default true,
    picture         bytea,
    store_id        uuid not null references stores,
    address_id      uuid not null references addresses
);
alter table stores add foreign key (manager_id) references employees;

create table customers (
    id                 uuid primary key default gen_random_uuid(),
    legacy_customer_id integer unique,
    full_name          text not null,
    email              text unique,
    is_active          boolean not null,
    customer_since     date not null,
    store_id           uuid not null references stores,
    address_id         uuid not null references addresses
);

create table languages (
    id                 uuid primary key default gen_random_uuid(),
    legacy_language_id integer unique,
    name               text not null unique
);

create table films (
    id                   uuid primary key default gen_random_uuid(),
    legacy_film_id       integer unique,
    title                text not null,
    description          text,
    release_year         release_year,
    rental_days          smallint not null check (rental_days > 0),
    rental_rate          numeric(6,2) not null,
    minutes              smallint check (minutes > 0),
    replacement_cost     numeric(6,2) not null,
    rating               rating,
    special_features     text[] not null default '{}',
    language_id          uuid not null references languages,
    original_language_id uuid references languages,
    search               tsvector generated always as
                         (to_tsvector('english', title || ' ' || coalesce(description, ''))) stored
);
create index films_search on films using gin (search);

create table categories (
    id                 uuid primary key default gen_random_uuid(),
    legacy_category_id integer unique,
    name               text not null unique
);

create table film_categories (
    id          uuid primary key default gen_random_uuid(),
    film_id     uuid not null references films,
    category_id uuid not null references categories,
    unique (film_id, category_id)
);

create table actors (
    id              uuid primary key default gen_random_uuid(),
    legacy_actor_id integer unique,
    first_name      text not null,
    last_name       text not null,
    unique (last_name, first_name)
);

create table film_actors (
    id       uuid primary key default gen_random_uuid(),
    film_id  uuid not null references films,
    actor_id uuid not null references actors,
    unique (film_id, actor_id)
);

create table copies (
    id                  uuid primary key default gen_random_uuid(),
    legacy_inventory_id integer unique,
    film_id             uuid not null references films,
    store_id            uuid not null references stores
);

create table rentals (
    id               uuid primary key default gen_random_uuid(),
    legacy_rental_id integer unique,
    period           tsrange not null check (not isempty(period)),
    is_returned      boolean not null,
    copy_id          uuid not null references copies,
    customer_id      uuid not null references customers,
    employee_id      uuid not null references employees
);

-- One table again: a partitioned one could not have its id alone as key.
create table payments (
    id                uuid primary key default gen_random_uuid(),
    legacy_payment_id integer unique,
    amount            numeric(8,2) not null check (amount > 0),
    paid_at           timestamptz not null,
    rental_id         uuid not null references rentals,
    customer_id       uuid not null references customers,
    employee_id       uuid not null references employees
);

-- Triggers of the new shop fire for every row that rowcall writes, too.
create table customer_log (
    customer_id uuid not null,
    noted_at    timestamptz not null default now()
);

create function note_customer() returns trigger language plpgsql as $$
begin
    insert into customer_log (customer_id) values (new.id);
    return new;
end
$$;
create trigger note_customer after insert on customers for each row execute function note_customer();
