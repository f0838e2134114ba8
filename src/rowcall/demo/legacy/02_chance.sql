-- Chance that repeats itself: every value is a hash of (seed, salt, i). By hand in psql, first say:
--   set demo.seed = '42'; set demo.scale = 'seed';   -- small, seed or full
-- All helpers live in pg_temp, so nothing of them stays in the database. Those that read a setting or a temporary table are
-- called immutable on purpose: both stand still while this session generates, so the planner folds them into constants.

set timezone to 'UTC';

create function pg_temp.seed() returns bigint immutable language sql as
$$ select current_setting('demo.seed')::bigint $$;

-- A whole number from 0 to n - 1.
create function pg_temp.draw(salt text, i bigint, n bigint) returns bigint immutable language sql as
$$ select (hashint8extended(i, hashtextextended(salt, pg_temp.seed())) & 9223372036854775807) % n $$;

-- True in `percent` of a hundred cases.
create function pg_temp.chance(salt text, i bigint, percent bigint) returns boolean immutable language sql as
$$ select pg_temp.draw(salt, i, 100) < percent $$;

create function pg_temp.one_of(options text[], salt text, i bigint) returns text immutable language sql as
$$ select options[1 + pg_temp.draw(salt, i, cardinality(options))] $$;

-- A time up to so many seconds later, to the microsecond.
create function pg_temp.after(moment timestamptz, salt text, i bigint, seconds bigint) returns timestamptz stable language sql as
$$ select moment + pg_temp.draw(salt, i, seconds * 1000000) * interval '1 microsecond' $$;

create function pg_temp.given_name(salt text, i bigint) returns text immutable language sql as
$$ select pg_temp.one_of('{Zoë,Łukasz,Ngọc,Ayşe,José,Søren,Иван,美咲,Siobhán,Anna,Omar,Fatima,Björn,Chloé,Priya,
  Γιώργος,Noa,Mehmet,Ana,Wei,Renée,Tom,Lucía,Þóra,דנה,Kwame,Ines,Jürgen,Maja,Dmitri,عمر,Léa}', salt, i) $$;

create function pg_temp.last_name(salt text, i bigint) returns text immutable language sql as
$$ select pg_temp.one_of('{Müller,O’Brien,Nguyễn,Çelik,García,Ångström,Петрова,田中,van der Berg,Smith,Haddad,D''Angelo,
  Østergård,Lefèvre,Patel,Παππάς,Cohen,Yılmaz,Kovačević,Zhang,Dvořák,Jones,Ibáñez,Jónsdóttir,לוי,Mensah,Silva,Weiß,Nowak,Ivanov,حداد,
  Lévy}', salt, i) $$;
