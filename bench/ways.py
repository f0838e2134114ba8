"""The ways to move dispatch_notification. Each gets its copy ready, untimed, and answers with the jobs to be timed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.clock import Command, Job, take
from bench.world import HERE, SQL, TARGET, Copy

TABLE = "system_messages"
READY_ROWS, READY_PROFILES = "select * from bench.ready_rows", "select * from bench.ready_profiles"
ANALYZE = f"analyze {TABLE}"
# More than a careful person would give it: the floor is to be low.
MEMORY = "set maintenance_work_mem = '512MB'"
PREPARATION_SECONDS = 600.0
FINE = frozenset({0, 3})  # 3: complete, with rows in quarantine

# Of each key and index: how it is taken away, how it comes back, and what is done last.
KEYS = f"""
select format('alter table %s drop constraint %I', conrelid::regclass, conname),
       case contype when 'f' then format('alter table %s add constraint %I %s not valid', conrelid::regclass, conname, def)
                    else format('alter table %s add constraint %I %s', conrelid::regclass, conname, def) end,
       case contype when 'f' then format('alter table %s validate constraint %I', conrelid::regclass, conname) end
from (select *, pg_get_constraintdef(oid) as def from pg_constraint) c
where conrelid = '{TABLE}'::regclass and contype in ('p', 'u', 'f')
union all
select format('drop index %s', indexrelid::regclass), pg_get_indexdef(indexrelid), null
from pg_index i
where indrelid = '{TABLE}'::regclass and not exists (select from pg_constraint where conindid = indexrelid)
order by 3 nulls first, 1"""


@dataclass(frozen=True)
class Way:
    """`does` says in one plain sentence what is timed, `lacks` what of the job is left out. `arrived` counts the rows."""

    name: str
    label: str
    does: str
    lacks: str
    jobs: Callable[[Copy], Sequence[Job]]
    arrived: str = f"select count(*) from {TABLE}"
    version: str = ""


# -- the pipe -----------------------------------------------------------------------------------------------------------


def _floor(copy: Copy) -> Sequence[Job]:
    keys = copy.world.rows(copy.target, KEYS)
    copy.world.execute(copy.target, *(drop for drop, _, _ in keys))
    _ready_profiles(copy)
    back = [statement for _, *again in keys for statement in again if statement]
    return (
        copy.pipe("pipe", READY_ROWS, TABLE),
        copy.statements("keys", MEMORY, *back),
        copy.statements("analyze", ANALYZE),
    )


def _kept(copy: Copy) -> Sequence[Job]:
    _ready_profiles(copy)
    return copy.pipe("pipe", READY_ROWS, TABLE), copy.statements("analyze", ANALYZE)


def _ready_profiles(copy: Copy) -> None:
    take(copy.pipe("profiles", READY_PROFILES, "profiles"), copy.log, PREPARATION_SECONDS)


# -- rowcall ------------------------------------------------------------------------------------------------------------


def engine_run(copy: Copy) -> Job:
    return _engine(copy, "run", "--entity", TABLE)


def _rowcall(copy: Copy) -> Sequence[Job]:
    return (engine_run(copy),)


def _check(copy: Copy) -> Sequence[Job]:
    return (_engine(copy, "check"),)


def _engine(copy: Copy, command: str, *options: str) -> Job:
    argv = (sys.executable, "-m", "rowcall", "-p", str(copy.project()), command, *options, "--quiet")
    return Job(command, (Command(argv, copy.variables, FINE),))


# -- what people write by hand ------------------------------------------------------------------------------------------


def _script(copy: Copy) -> Sequence[Job]:
    return (Job("script", (Command((sys.executable, str(HERE / "batches.py")), copy.variables),)),)


def _expert(copy: Copy) -> Sequence[Job]:
    copy.world.script(TARGET, copy.target, SQL / "expert_tables.sql")
    return (
        copy.pipe("stage profiles", "select * from auth_user", "staging.auth_user"),
        copy.pipe("stage", "select * from dispatch_notification", "staging.dispatch_notification"),
        Job("move", (copy.world.psql(TARGET, copy.target, "-f", str(SQL / "expert_move.sql")),)),
    )


WAYS = (
    Way(
        "floor",
        "floor: raw pipe, then keys",
        "psql COPY | psql COPY in binary, of rows that are ready-made (uuids in place, bad rows gone), into the table "
        "without keys; then the same keys built set-wise (512 MB of memory for it), then ANALYZE",
        "any work: it reads a table that somebody must have made before",
        _floor,
    ),
    Way(
        "kept",
        "raw pipe, keys kept",
        "the same pipe of ready-made rows into the table as it is, with its keys and indexes on; then ANALYZE",
        "any work, as the floor",
        _kept,
    ),
    Way(
        "rowcall",
        "rowcall run",
        "the whole job as one process, from its start to its end: reads, judges every row, re-keys, converts text to jsonb and "
        "enums, writes a ledger line per row and the bad rows with their causes into quarantine; parents included; in the end "
        "the table has all its keys",
        "nothing",
        _rowcall,
    ),
    Way(
        "check",
        "rowcall check",
        "the forecast: reads and judges every row of the same two entities",
        "the writing: the target is not touched",
        _check,
        "select 0",
    ),
    Way(
        "expert",
        "expert's staging SQL",
        "binary COPY to unlogged staging, an id map, INSERT..SELECT..JOIN with a guarded plpgsql cast to jsonb, rows that "
        "failed set aside, ANALYZE; with primary key, unique key and foreign key kept on",
        "causes per row, resuming, a forecast, proof",
        _expert,
    ),
    Way(
        "script",
        "script, 1,000-row batches",
        "a Python loop: fetch 1,000 rows, check the JSON, look the parent up in a dict, psycopg executemany of the rows and of "
        "their old and new ids, commit; keys on; then ANALYZE",
        "quarantine (the bad rows are left out), resuming, a forecast, proof",
        _script,
    ),
)
