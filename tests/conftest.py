"""Two embedded servers for the whole session, fresh databases per test, and a project over them."""

from __future__ import annotations

import gc
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from textwrap import dedent, indent
from typing import Any
from uuid import UUID, uuid5

import pytest
from psycopg.conninfo import make_conninfo

from rowcall.explain import Proof
from rowcall.forecast import ForecastDocument
from rowcall.migration import Migration, RunResult
from rowcall.move.chunking import chunk_ranges
from rowcall.move.replan import Remains
from rowcall.postgres.connect import Session, connect
from rowcall.postgres.embedded import EmbeddedServers
from rowcall.postgres.embedded_postmaster import free_port
from rowcall.postgres.embedded_programs import unprivileged

NAMESPACE = UUID("5b0e7f0c-0000-4000-8000-00000000000b")
SYSTEM_15 = Path("/usr/lib/postgresql/15/bin")
DATABASES = count(1)
ADMINS: dict[str, Session] = {}
LONG = {
    "test_sequences.py",
    "test_killed.py",
    "test_console.py",
    "test_weekend.py",
    "test_cli.py",
    "test_scaling.py",
    "test_moved.py",
}
MEMORY, ROOM = Path("/dev/shm"), 6 << 30  # bytes


def pytest_configure() -> None:
    """Tests send signals: whoever started pytest in the background may have had them ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_finish() -> None:
    """What is loaded by now stays: it need not be looked through again and again for garbage."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: a file is one worker's, and the last one would be worked on alone."""
    items.sort(key=lambda item: item.path.name not in LONG)


@dataclass
class Project:
    """A project folder with `env:` endpoints, and a session on either side to make data and to look at what became of it."""

    folder: Path
    source_dsn: str
    target_dsn: str
    source: Session
    target: Session
    notes: list[str] = field(default_factory=list)

    def variable(self, side: str) -> str:
        """The environment variable that holds a side's DSN."""
        return f"LAB_{side}_{self.folder.name}".upper()

    def write(self, entities: str, more: str = "") -> None:
        """Writes rowcall.yaml: `entities` is its section of that name, `more` any other top-level lines."""
        head = [
            "rowcall: 1",
            "project: lab",
            f"namespace: {NAMESPACE}",
            f"source: {{env: {self.variable('source')}}}",
            f"target: {{env: {self.variable('target')}}}",
        ]
        body = [*head, dedent(more).strip(), "entities:", indent(dedent(entities).strip(), "  "), ""]
        (self.folder / "rowcall.yaml").write_text("\n".join(body))

    @property
    def migration(self) -> Migration:
        return Migration.open(self.folder, self.notes.append)

    def check(self) -> ForecastDocument:
        return self.migration.check()

    def run(self, **more: Any) -> RunResult:
        return self.migration.run(**more)

    def foreseen_run(self, matched: bool = True) -> RunResult:
        """check, then run: the sums close, the forecast holds (or, where the target refuses rows, does not), and so do all
        proofs."""
        self.check()
        result = self.run()
        assert result.complete
        assert all(e.counts.conserved for e in result.entities)
        assert result.forecast_matched is matched
        if result.open:
            self.prove()
        return result

    def prove(self) -> dict[tuple[str, str], Proof]:
        """(entity, code) -> the proof, which was asked and holds."""
        proofs = {(c.entity, c.code): c.proof for c in self.migration.prove()}
        assert {cause: p for cause, p in proofs.items() if p is None or not p.held} == {}
        return {cause: p for cause, p in proofs.items() if p}

    def fates(self, entity: str) -> dict[str, str]:
        """Key -> "migrated", the code that quarantined the row, or the name of the rule that excluded it."""
        rows = self.target.rows(
            "select source_key, coalesce(cause, outcome) from rowcall.settlements where entity = %s", [entity]
        )
        return dict(rows)

    def rejections(self, entity: str, key: str) -> list[dict[str, Any]]:
        """All rejections of one quarantined row, in their order."""
        sql = "select rejections from rowcall.quarantine where entity = %s and source_key = %s"
        return list(self.target.value(sql, [entity, key]) or [])

    def codes(self, entity: str, key: str) -> list[str]:
        return [r["code"] for r in self.rejections(entity, key)]

    def evidence(self, entity: str) -> dict[str, str]:
        """Key -> evidence of the first rejection, of every quarantined row."""
        sql = "select source_key, rejections->0->>'evidence' from rowcall.quarantine where entity = %s"
        return dict(self.target.rows(sql, [entity]))

    def roots(self, entity: str) -> dict[str, tuple[str, str]]:
        """Key -> (entity, key) of the root, of every quarantined row."""
        sql = "select source_key, root_entity, root_key from rowcall.quarantine where entity = %s"
        return {key: (e, k) for key, e, k in self.target.rows(sql, [entity])}

    def values(self, table: str, column: str, entity: str = "") -> dict[str, str | None]:
        """Source key -> a column of its target row, as text."""
        sql = (
            f"select m.legacy_id, t.{column}::text from {table} t "
            "join rowcall.migration_mappings m on m.entity_uuid = t.id and m.entity_type = %s"
        )
        return dict(self.target.rows(sql, [entity or table]))

    def state(self, tables: Mapping[str, str]) -> str:
        """A hash over what a run made: target rows (table -> order), the ledger's lines, and how many."""
        parts = [
            f"(select md5(coalesce(string_agg(t::text, '|' order by {by}), '')) || count(*) from {table} t)"
            for table, by in tables.items()
        ]
        parts.append(
            "(select md5(string_agg(concat_ws(',', entity, source_key, outcome, target_id, cause), '|' "
            "order by entity, source_key)) || count(*) from rowcall.settlements)"
        )
        parts.append(
            "(select md5(coalesce(string_agg(q::text, '|' order by entity, source_key), '')) || count(*) "
            "from rowcall.quarantine q)"
        )
        return str(self.target.value(f"select concat_ws(' ', {', '.join(parts)})"))


MakeProject = Callable[..., Project]


def undisturbed(
    make_project: MakeProject, project: Project, target_sql: str, mapping: str, tables: Mapping[str, str]
) -> str:
    """The state that a run which nothing disturbs reaches on the same source."""
    other = make_project(target_sql=target_sql, source_of=project.source_dsn)
    other.write(mapping)
    assert other.run().complete
    return other.state(tables)


def uid(entity: str, key: object) -> UUID:
    """The uuid that a row of an entity gets."""
    return uuid5(NAMESPACE, f"{entity}:{key}")


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """`legacy` on Postgres 16 and `target` on 18; they need not survive a power cut."""
    folder = _quick_folder() or tmp_path_factory.mktemp("pair")
    with pytest.MonkeyPatch.context() as patch:
        if folder.parent == MEMORY:
            patch.setattr("rowcall.postgres.embedded.OUTSIDE", MEMORY)
        servers = EmbeddedServers(folder)
    servers.create({"legacy": 16, "target": 18})
    try:
        with servers.use():
            for name in servers.names():
                _hasten(servers.dsn(name))
            yield servers
    finally:
        servers.remove()
        shutil.rmtree(folder, ignore_errors=True)


def _quick_folder() -> Path | None:
    """In memory, where there is room: each of a thousand tests makes two databases, and a disk gets ever slower under that."""
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
        return Path(tempfile.mkdtemp(prefix="rowcall-pair-", dir=MEMORY))
    return None


@pytest.fixture(scope="session")
def postgres_15() -> Iterator[str]:
    """The DSN of a server of the system's Postgres 15, where it has one: it asks nothing softly (pg_input_is_valid is of 16)."""
    if not (SYSTEM_15 / "postgres").exists():
        pytest.skip(f"no Postgres 15 in {SYSTEM_15}: the path for servers before 16 is NOT tested here")
    with _server_15() as dsn:
        _hasten(dsn)
        yield dsn


@contextmanager
def _server_15() -> Iterator[str]:
    account, port = unprivileged(), free_port(0)
    home = Path(tempfile.mkdtemp(prefix="rowcall-15-"))
    account.own(home)

    def program(name: str, *words: str) -> None:
        subprocess.run(
            [SYSTEM_15 / name, "-D", home / "data", *words],
            check=True,
            cwd="/",
            stdout=subprocess.DEVNULL,
            **account.options,
        )

    try:
        program("initdb", "-U", "lab", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories="
        program("pg_ctl", "-w", "-l", str(home / "log"), "-o", options, "start")
        yield f"host=127.0.0.1 port={port} user=lab dbname=postgres"
    finally:
        subprocess.run(
            [SYSTEM_15 / "pg_ctl", "-D", home / "data", "-m", "immediate", "stop"], cwd="/", **account.options
        )
        shutil.rmtree(home, ignore_errors=True)


def _hasten(dsn: str) -> None:
    with connect(dsn, "target") as session:
        for setting in ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_wal_size = '512MB'"):
            session.execute(f"alter system set {setting}")
        session.execute("select pg_reload_conf()")


@pytest.fixture
def make_project(pair: EmbeddedServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeProject]:
    """Makes projects over fresh databases: make_project(source_sql, target_sql); `source_dsn`, `target_dsn` name another
    server, `source_of` a database that another project made."""
    with ExitStack() as stack:

        def make(
            source_sql: str = "", target_sql: str = "", source_dsn: str = "", target_dsn: str = "", source_of: str = ""
        ) -> Project:
            folder = tmp_path / f"project_{next(DATABASES)}"
            folder.mkdir()
            source = source_of or _fresh(stack, source_dsn or pair.dsn("legacy"))
            dsns = source, _fresh(stack, target_dsn or pair.dsn("target"))
            sessions = [stack.enter_context(connect(dsn, "target")) for dsn in dsns]
            for session, sql in zip(sessions, (source_sql, target_sql), strict=True):
                if sql:
                    session.execute(sql)
            project = Project(folder, *dsns, source=sessions[0], target=sessions[1])
            for side, dsn in zip(("source", "target"), dsns, strict=True):
                monkeypatch.setenv(project.variable(side), dsn)
            return project

        for variable in ("ROWCALL_SOURCE", "ROWCALL_TARGET"):
            monkeypatch.delenv(variable, raising=False)
        yield make


def _fresh(stack: ExitStack, dsn: str) -> str:
    """A new database on a server, dropped when the test is over; its DSN."""
    name = f"lab_{next(DATABASES)}"
    _admin(dsn).execute(f"create database {name} template template0 strategy file_copy")  # twice as fast here
    stack.callback(_drop, dsn, name)
    return make_conninfo(dsn, dbname=name)


def _drop(dsn: str, name: str) -> None:
    _admin(dsn).execute(f"drop database {name} with (force)")


def _admin(dsn: str) -> Session:
    """The one session on a server that makes databases and drops them."""
    if dsn not in ADMINS or ADMINS[dsn].connection.closed:
        ADMINS[dsn] = connect(dsn, "target")
    return ADMINS[dsn]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of ten rows."""
    set_chunk_rows(monkeypatch, 10)


def set_chunk_rows(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    for function in (chunk_ranges, Remains.spans):
        monkeypatch.setattr(function, "__defaults__", (rows,))
