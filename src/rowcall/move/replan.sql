-- DuckDB. What is left of an entity that is cut by pages: now_rows (k, place) are its rows, settled_rows (k) those with a line.

-- name: cut
-- Pages in their order, cut wherever a part is full; then each part is trimmed to the pages on which rows are left.
create or replace temp table place as
select n.place, split_part(n.place[2:], ',', 1)::bigint as page, s.k is not null as settled
from now_rows n left join settled_rows s on s.k = n.k;
create or replace temp table page_part as
select page, open, ((sum(rows) over (order by page) - rows) // $rows)::bigint as part
from (select page, count(*) as rows, count(*) filter (not settled) as open from place group by page);
create or replace temp table part as
select part, min(page) as first, max(page) as last from page_part where open > 0 group by part;

-- name: strays
-- Settled rows that stand among those of a part: as the text of a tid[].
create or replace temp table stray as
select p.part, count(*) as strays, '{' || string_agg('"' || x.place || '"', ',') || '}' as without
from place x join page_part g on g.page = x.page join part p on p.part = g.part and x.page between p.first and p.last
where x.settled group by p.part;

-- name: parts
select part, first, last from part order by part;

-- name: stray
select strays, without from stray where part = $part;
