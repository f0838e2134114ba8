"""What every way is measured in: two embedded servers with the demo's legacy database, and fresh copies of its target."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from ruamel.yaml import YAML

from bench.clock import Command, Job, WayFailed
from rowcall.postgres.embedded import EmbeddedServers
from rowcall.postgres.shell import environment

HERE = Path(__file__).resolve().parent
SQL = HERE / "sql"
ENTITIES = ("profiles", "system_messages")
SOURCE, TARGET = "legacy", "target"


@dataclass(frozen=True)
class Size:
    """How much is moved: a scale of the demo, of which at most `rows` notifications stay."""

    scale: str
    rows: int | None = None


class World:
    """The servers while they run. `folder` is ours: everything in it may be deleted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.demo = folder / "demo"
        self.servers = EmbeddedServers(self.demo)

    def dsn(self, server: str, database: str | None = None) -> str:
        """A DSN with no password in it."""
        return make_conninfo(self.servers.dsn(server), dbname=database or server, passfile=str(self.passfile))

    @property
    def passfile(self) -> Path:
        """Both servers' passwords, by port; libpq and every peer can read it."""
        return self.folder / "passfile"

    def password(self, server: str) -> str:
        return (self.servers.folder / server / "password").read_text().strip()

    def write_passfile(self) -> None:
        lines = []
        for server in (SOURCE, TARGET):
            words = conninfo_to_dict(self.servers.dsn(server))
            lines.append(f"{words['host']}:{words['port']}:*:{words['user']}:{self.password(server)}\n")
        with open(os.open(self.passfile, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.writelines(lines)

    def rows(self, dsn: str, sql: str) -> list[tuple[Any, ...]]:
        with _session(dsn) as connection:
            return connection.execute(sql.encode()).fetchall()

    def value(self, dsn: str, sql: str) -> Any:
        return self.rows(dsn, sql)[0][0]

    def execute(self, dsn: str, *statements: str) -> None:
        with _session(dsn) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def psql(self, server: str, dsn: str, *arguments: str) -> Command:
        """A psql process of the server's own version that stops at the first error."""
        program = str(self.servers.binary(server, "psql"))
        return Command((program, "-X", "-q", "-v", "ON_ERROR_STOP=1", *arguments), environment(dsn))

    def script(self, server: str, dsn: str, path: Path) -> None:
        """Runs a file of SQL to its end. Raises WayFailed."""
        command = self.psql(server, dsn, "-f", str(path))
        done = subprocess.run(command.argv, env={**os.environ, **command.environment}, capture_output=True, text=True)
        if done.returncode != 0:
            raise WayFailed(f"{path.name}: {' '.join(done.stderr.split())[-300:]}")

    def settle(self) -> None:
        """Writes everything to disk, so that no way pays for what an earlier one left to be written."""
        for server in (SOURCE, TARGET):
            self.execute(self.dsn(server), "checkpoint")
        os.sync()


@dataclass(frozen=True)
class Copy:
    """One timing's own target database, source and folder for scratch files."""

    world: World
    name: str
    source: str  # DSN
    target: str  # DSN
    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def pipe(self, name: str, query: str, table: str) -> Job:
        """psql | psql: the result of a query on the source into a table of the target, in binary."""
        out = self.world.psql(SOURCE, self.source, "-c", f"copy ({query}) to stdout (format binary)")
        into = self.world.psql(TARGET, self.target, "-c", f"copy {table} from stdin (format binary)")
        return Job(name, (out, into))

    def statements(self, name: str, *statements: str) -> Job:
        """Statements on the target, one after the other in one session."""
        words = [word for statement in statements for word in ("-c", statement)]
        return Job(name, (self.world.psql(TARGET, self.target, *words),))

    def project(self) -> Path:
        """A project folder with the mapping of the two entities; the DSNs come by the environment."""
        yaml = YAML()
        document = yaml.load(self.world.demo / "rowcall.yaml")
        document.pop("remedies", None)  # of entities that are not measured
        document["source"], document["target"] = {"env": "BENCH_SOURCE"}, {"env": "BENCH_TARGET"}
        for entity in set(document["entities"]) - set(ENTITIES):
            del document["entities"][entity]
        folder = self.folder / "project"
        folder.mkdir()
        yaml.dump(document, folder / "rowcall.yaml")
        return folder

    @property
    def variables(self) -> Mapping[str, str]:
        return {"BENCH_SOURCE": self.source, "BENCH_TARGET": self.target}


@contextmanager
def _session(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection in autocommit mode. Raises WayFailed where Postgres refuses something."""
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            yield connection
    except psycopg.Error as error:
        raise WayFailed(" ".join(str(error).split())) from None


@contextmanager
def world(folder: Path, size: Size) -> Iterator[World]:
    """Makes the demo and keeps its servers running; afterwards all of it is deleted. Raises RowcallError, WayFailed."""
    made = World(folder)
    made.servers.remove()  # of a bench that was killed; refused while another one runs
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(made.servers.remove)
        _demo(made.demo, size.scale)
        stack.enter_context(made.servers.use())
        made.write_passfile()
        if size.rows is not None:
            made.execute(made.dsn(SOURCE), _fewer(size.rows))
        made.script(SOURCE, made.dsn(SOURCE), SQL / "ready.sql")
        yield made


def _demo(folder: Path, scale: str) -> None:
    plain = {key: value for key, value in os.environ.items() if not key.startswith("ROWCALL_")}
    command = [sys.executable, "-m", "rowcall", "demo", str(folder), "--scale", scale, "--no-run", "--quiet"]
    subprocess.run(command, env=plain, check=True, stdout=subprocess.DEVNULL)


def _fewer(rows: int) -> str:
    return f"delete from dispatch_notification where id not in (select id from dispatch_notification order by id limit {rows})"


@contextmanager
def fresh_copy(world: World, name: str, source: str = SOURCE) -> Iterator[Copy]:
    """A new copy of the target, as empty as on its first day; dropped afterwards."""
    database, folder = f"bench_{name}", world.folder / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    admin = world.dsn(TARGET, "postgres")
    world.execute(
        admin, f"drop database if exists {database} with (force)", f"create database {database} template {TARGET}"
    )
    try:
        yield Copy(world, name, world.dsn(SOURCE, source), world.dsn(TARGET, database), folder)
    finally:
        world.execute(admin, f"drop database if exists {database} with (force)")
