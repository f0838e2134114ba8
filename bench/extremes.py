"""rowcall at ten times the rows, and at rows that are a megabyte wide: does the rate hold, does memory stay flat?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.clock import Timing, take
from bench.results import MEGABYTE
from bench.ways import engine_run
from bench.world import SOURCE, World, fresh_copy

FACTOR = 10
WIDE_ROWS, WIDE_BYTES = 2000, 1_000_000
NAMES = ("scale", "wide")

# Keys follow each other, on the pages too; every copy of a row is as sound or as bad as the row.
MULTIPLY = f"""
do $$
declare last bigint := (select max(id) from dispatch_notification);
begin
    for part in 1..{FACTOR - 1} loop
        insert into dispatch_notification
        select id + part * last, recipient_id, template_name, template_context, channel, priority, is_read, created_at, read_at
        from dispatch_notification where id <= last order by id;
    end loop;
end $$"""
# Stored as they are (not compressed): every byte is read from the table.
WIDEN = (
    "create temporary table one as select * from dispatch_notification order by id limit 1",
    "create temporary table body as select string_agg(md5(i::text), '') as text "
    f"from generate_series(1, {WIDE_BYTES // 32}) i",
    "truncate dispatch_notification",
    "alter table dispatch_notification alter template_context set storage external",
    "insert into dispatch_notification select i, recipient_id, template_name, "
    'format(\'{"number": %s, "body": "%s"}\', i, text), channel, priority, is_read, created_at, read_at '
    "from one, body, generate_series(1, {rows}) i",
)


def scale(here: World, limit: float, say: Callable[[str], None]) -> dict[str, Any]:
    """{"source", "rows", "seconds", "rows_per_second", "cpu_seconds", "peak_rss_mb"} at ten times the rows."""
    return _measure(here, "scale", (MULTIPLY,), limit, say)


def wide(here: World, limit: float, say: Callable[[str], None], rows: int = WIDE_ROWS) -> dict[str, Any]:
    """The same for a few rows with texts of 1 MB."""
    statements = tuple(statement.replace("{rows}", str(rows)) for statement in WIDEN)
    return {"bytes": WIDE_BYTES} | _measure(here, "wide", statements, limit, say)


def _measure(
    here: World, name: str, statements: tuple[str, ...], limit: float, say: Callable[[str], None]
) -> dict[str, Any]:
    source, admin = f"bench_{name}", here.dsn(SOURCE, "postgres")
    say(f"{name}: making the rows ...")
    here.execute(admin, f"create database {source} template {SOURCE}")
    try:
        dsn = here.dsn(SOURCE, source)
        here.execute(dsn, "drop schema bench cascade", *statements, "vacuum (analyze) dispatch_notification")
        rows = here.value(dsn, "select count(*) from dispatch_notification")
        say(f"{name}: rowcall run of {rows:,} rows ...")
        with fresh_copy(here, name, source) as copy:
            job = engine_run(copy)
            here.settle()
            timing = take(job, copy.log, limit)
            arrived = here.value(copy.target, "select count(*) from system_messages")
    finally:
        here.execute(admin, f"drop database {source} with (force)")
    return _told(rows, arrived, timing)


def _told(rows: int, arrived: int, timing: Timing) -> dict[str, Any]:
    return {
        "source": rows,
        "rows": arrived,
        "seconds": round(timing.seconds, 2),
        "rows_per_second": round(rows / timing.seconds),
        "cpu_seconds": round(timing.cpu_seconds, 2),
        "peak_rss_mb": round(timing.peak_rss / MEGABYTE),
    }
