"""The peers: tools that others made. None of them re-keys, judges or proves; each moves the legacy table as it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from bench.clock import Command, Job
from bench.install import Absent, Program, debian, dlt
from bench.results import Measured
from bench.ways import Way
from bench.world import HERE, SOURCE, TARGET, Copy

LACKS = (
    "uuids, the new table, judging, quarantine, proof: the rows arrive as they were, integer keys and bad JSON included"
)
COUNT = "select count(*) from {}"
PGLOADER = """load database from {source} into {target}
with include no drop, create tables, create indexes, workers = 4, concurrency = 2, prefetch rows = 100000
set maintenance_work_mem to '512MB'
including only table names matching 'dispatch_notification' in schema 'public';
"""
# A database of its own, because pgcopydb's filter leaves traces of the other tables in what it restores.
SINGLE = "bench_single"
OTHERS = """select format('drop table %s cascade', c.oid::regclass) from pg_class c join pg_namespace n on n.oid = relnamespace
where relkind = 'r' and nspname in ('public', 'bench') and relname <> 'dispatch_notification'"""


def _address(dsn: str, password: str = "", scheme: str = "postgresql") -> str:
    words = conninfo_to_dict(dsn)
    user = f"{words['user']}:{quote(password)}" if password else words["user"]
    return f"{scheme}://{user}@{words['host']}:{words['port']}/{words['dbname']}"


def _pgloader(program: Program, copy: Copy) -> Sequence[Job]:
    file = copy.folder / "pgloader.load"
    file.write_text(PGLOADER.format(source=_address(copy.source), target=_address(copy.target)))
    argv = (str(program.path), "--on-error-stop", "--root-dir", str(copy.folder / "pgloader"), str(file))
    return (Job("pgloader", (Command(argv, {**program.environment, **_passfile(copy)}),)),)


def _passfile(copy: Copy) -> dict[str, str]:
    return {"PGPASSFILE": str(copy.world.passfile), "PGSSLMODE": "disable"}


def _pgcopydb(program: Program, copy: Copy) -> Sequence[Job]:
    source = _single(copy)
    tools = str(copy.world.servers.binary(TARGET, "pg_dump").parent)
    options = (
        "--table-jobs",
        "4",
        "--index-jobs",
        "2",
        "--split-tables-larger-than",
        "100MB",
        "--no-owner",
        "--no-acl",
    )
    argv = (
        *(str(program.path), "clone", "--dir", str(copy.folder / "pgcopydb")),
        *("--source", _address(source), "--target", _address(copy.target), *options),
    )
    path = {"PATH": os.pathsep.join((tools, os.environ.get("PATH", os.defpath)))}
    return (Job("pgcopydb", (Command(argv, {**program.environment, **path, **_passfile(copy)}),)),)


def _single(copy: Copy) -> str:
    """The DSN of a source database that holds the one table only; made once."""
    world, admin = copy.world, copy.world.dsn(SOURCE, "postgres")
    dsn = world.dsn(SOURCE, SINGLE)
    if not world.rows(admin, f"select from pg_database where datname = '{SINGLE}'"):
        world.execute(admin, f"create database {SINGLE} template {SOURCE}")
        world.execute(dsn, *(drop for (drop,) in world.rows(dsn, OTHERS)), "vacuum (analyze) dispatch_notification")
    return dsn


def _dlt(backend: str, format_: str, program: Program, copy: Copy) -> Sequence[Job]:
    home = copy.folder / "dlt"
    home.mkdir()
    environment = {
        "BENCH_SOURCE": _address(copy.source, copy.world.password(SOURCE), "postgresql+psycopg2"),
        "BENCH_TARGET": _address(copy.target, copy.world.password(TARGET)),
        "BENCH_BACKEND": backend,
        "BENCH_FORMAT": format_,
        "DLT_DATA_DIR": str(home),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "PYTHONPATH": "",
    }
    return (Job("dlt", (Command((str(program.path), str(HERE / "dlt_job.py")), environment),)),)


@dataclass(frozen=True)
class Peer:
    """A peer before it is known to be here. `find` gets its program and raises Absent."""

    name: str
    label: str
    does: str
    find: Callable[[], Program]
    jobs: Callable[[Program, Copy], Sequence[Job]]
    arrived: str = COUNT.format("dispatch_notification")

    def way(self) -> Way:
        """Raises Absent."""
        program = self.find()
        jobs = partial(self.jobs, program)
        return Way(self.name, self.label, self.does, LACKS, jobs, self.arrived, program.version)


PEERS = (
    Peer(
        "pgloader",
        "pgloader",
        "moves the legacy table as it is, with four workers, prefetching 100,000 rows; it makes the table and adds no key",
        partial(debian, "pgloader"),
        _pgloader,
    ),
    Peer(
        "pgcopydb",
        "pgcopydb",
        "clones a database that holds the legacy table only, by four parallel COPYs of a quarter each, then its primary key "
        "and its index at once, then VACUUM ANALYZE",
        partial(debian, "pgcopydb"),
        _pgcopydb,
    ),
    Peer(
        "dlt",
        "dlt, pyarrow and csv",
        "extracts the legacy table as Arrow through SQLAlchemy (backend pyarrow), loads csv files by COPY, where an empty text "
        "becomes NULL; no key",
        dlt,
        partial(_dlt, "pyarrow", "csv"),
        COUNT.format("loaded.dispatch_notification"),
    ),
    Peer(
        "dlt_adbc",
        "dlt, connectorx and ADBC",
        "extracts the legacy table as Arrow in Rust (backend connectorx), loads parquet files through ADBC: its fastest "
        "settings; the whole table is held in memory; no key",
        dlt,
        partial(_dlt, "connectorx", "parquet"),
        COUNT.format("loaded.dispatch_notification"),
    ),
)


def gather(peers: Sequence[Peer], say: Callable[[str], None]) -> tuple[list[Way], dict[str, Measured]]:
    """The ways of the peers that are here, and those that are absent, with the reason."""
    ways, absent = [], {}
    for peer in peers:
        say(f"looking for {peer.label} ...")
        try:
            ways.append(peer.way())
        except Absent as error:
            absent[peer.name] = Measured(peer.label, peer.does, LACKS, status="absent", reason=str(error))
            say(f"ABSENT: {peer.label}: {error}")
    return ways, absent
