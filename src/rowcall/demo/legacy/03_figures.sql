-- How many rows there are, which of them are spoilt, and how: the planting list. Nothing is spoilt that does not stand here.

-- n rows for `seed`; `least` at any scale; keys are `stride` apart on average, so that they have gaps.
create temporary table figures as
select entity, base,
       case current_setting('demo.scale')
           when 'small' then greatest(least, round(base / 50.0))
           when 'full' then coalesce(base_full, base)
           else base
       end::bigint as n,
       stride
from (values
    ('profiles',             430,   24, 2, null),
    ('offices',               64,    5, 1, null),
    ('patients',            2400,   30, 5, null),
    ('orders',              3900,   40, 7, null),
    ('families',            2100,   30, 6, null),     -- of plans: a first one and its revisions
    ('case_messages',      16165,  100, 76, null),
    ('case_states',         5464,   60, 9, null),
    ('case_files',        160420,  100, 3, null),
    ('operations',          3720,   10, 4, null),
    ('role_permissions',    1346,   10, 2, null),
    ('purchases',           3701,   10, 3, null),
    ('message_attachments', 8703,   10, 2, null),
    ('system_messages',    79000,  500, 1, 2039588)
) as f (entity, base, least, stride, base_full);

-- What is planted for `seed`. No cause: not a defect of a row, but a row to be known by its kind.
create temporary table defects as
select entity, kind, cause, n::bigint, number
from (values
    ('profiles',        'test_account',        null,                    7,  1),
    ('patients',        'deleted',             null,                   14,  2),
    ('orders',          'deleted',             null,                   45,  3),
    ('orders',          'patient_gone',        'dangling_reference',    5,  4),
    ('families',        'order_gone.named',    null,                   11,  5),   -- its plans name a patient
    ('families',        'order_gone.nameless', null,                    5,  6),
    ('families',        'cycle.named',         null,                    2,  7),
    ('families',        'cycle.nameless',      null,                    1,  8),
    ('families',        'victim',              null,                    4,  9),   -- the order's patient is gone
    ('families',        'draft',               null,                   80, 10),   -- abandoned, and nothing points at it
    ('case_messages',   'order_gone.named',    'dangling_reference',   28, 11),
    ('case_messages',   'order_gone.nameless', 'dangling_reference',   13, 12),
    ('case_messages',   'cycle.named',         'cyclic_path',           4, 13),
    ('case_messages',   'cycle.nameless',      'cyclic_path',           2, 14),
    ('case_messages',   'victim',              'parent_quarantined',   16, 15),
    ('case_states',     'case_gone',           'dangling_reference',  156, 16),
    ('case_states',     'late',                'after_cutoff',         41, 17),
    ('case_states',     'no_case',             'null_reference',       10, 18),
    ('case_states',     'case_zero',           'sentinel_reference',   15, 19),
    ('case_files',      'victim',              'parent_quarantined',    1, 20),
    ('case_files',      'two_cases',           'ambiguous_reference',   1, 21),
    ('system_messages', 'null',                'null_in_required',    312, 22),
    ('system_messages', 'empty',               'malformed_json',      187, 23),
    ('system_messages', 'truncated',           'malformed_json',      461, 24),
    ('system_messages', 'python',              'malformed_json',      398, 25),
    ('system_messages', 'nan',                 'malformed_json',      118, 26),
    ('system_messages', 'nul',                 'unstorable_text',     104, 27)
) as d (entity, kind, cause, n, number);

-- Another seed has other counts: never the same, by up to `width` more or (where that leaves one) less. 42 has those above.
create function pg_temp.varied(name text, n bigint, width bigint) returns bigint immutable language sql as $$
    select case
        when pg_temp.seed() = 42 then n
        when n > shift and pg_temp.chance(name || '.less', 0, 50) then n - shift
        else n + shift
    end
    from (select 1 + pg_temp.draw(name || '.shift', 0, width) as shift) as s
$$;

update figures set n = pg_temp.varied(entity, n, greatest(1, n / 40));
update defects as d
set n = pg_temp.varied(d.entity || '.' || kind, s.n, greatest(2, s.n / 5))
from (
    select d.number, greatest(1, round(d.n * f.n / f.base))::bigint as n
    from defects as d join figures as f using (entity)
) as s
where s.number = d.number;

-- A patient for each general case, an order for each other.
insert into figures select 'cases', sum(base), sum(n), 5 from figures where entity in ('patients', 'orders');

create function pg_temp.rows_of(name text) returns bigint immutable language sql as
$$ select n from figures where entity = name $$;

create function pg_temp.stride(name text) returns bigint immutable language sql as
$$ select stride from figures where entity = name $$;

-- The primary key of row i. No key is beyond n * stride, where the table's sequence stands.
create function pg_temp.key(entity text, i bigint) returns bigint immutable language sql as
$$ select (i - 1) * pg_temp.stride(entity) + 1 + pg_temp.draw(entity || '.key', i, pg_temp.stride(entity)) $$;

-- A key that no row of this table ever had.
create function pg_temp.beyond(entity text, i bigint) returns bigint immutable language sql as
$$ select pg_temp.rows_of(entity) * pg_temp.stride(entity) + 1000 + pg_temp.draw(entity || '.beyond', i, 50000) $$;

-- k rows scattered over n, one from each k-th part, in a shuffled order.
create function pg_temp.scatter(salt text, n bigint, k bigint) returns table (rank bigint, place bigint) stable language sql as $$
    select row_number() over (order by pg_temp.draw(salt || '.order', j, 1::bigint << 62)),
           j * (n / k) + 1 + pg_temp.draw(salt, j, n / k)
    from generate_series(0, k - 1) as j
$$;

-- The planting list: row `place` of `entity` is the nth of its kind.
create temporary table victims as
select d.entity, d.kind, d.cause, s.place,
       row_number() over (partition by d.entity, d.kind order by s.place) as nth
from (
    select entity, f.n, sum(d.n)::bigint as spoilt
    from defects as d join figures as f using (entity) group by entity, f.n
) as t
cross join lateral pg_temp.scatter(t.entity, t.n, t.spoilt) as s
join (select *, sum(n) over (partition by entity order by number) as upto from defects) as d
    on d.entity = t.entity and s.rank > d.upto - d.n and s.rank <= d.upto;

create unique index on victims (entity, place);
analyze victims;

create function pg_temp.planted(name text, what text) returns bigint immutable language sql as
$$ select count(*) from victims where entity = name and kind = what $$;

-- What other rows may point at without becoming victims: the nth sound row of an entity. Filled table by table.
create temporary table sound (entity text, nth bigint, id bigint, primary key (entity, nth));

create function pg_temp.sound_of(name text) returns bigint immutable language sql as
$$ select count(*) from sound where entity = name $$;

-- One of those sound rows that were there when row i of `made` was: its nth.
create function pg_temp.earlier(salt text, i bigint, made text, name text) returns bigint immutable language sql as $$
    select 1 + pg_temp.draw(salt, i, greatest(1, least(pg_temp.sound_of(name), i * pg_temp.sound_of(name) / pg_temp.rows_of(made))))
$$;

-- The time of row i of `made`, to the microsecond: from March 2016 (1456812000 s since 1970) over 303674400 s to October 2025.
create function pg_temp.moment(salt text, i bigint, made text) returns timestamptz immutable language sql as $$
    select to_timestamp((
        1456812000000000 + i * 303674400 / pg_temp.rows_of(made) * 1000000 + pg_temp.draw(salt, i, 86400000000)
    ) / 1e6::float8)
$$;
