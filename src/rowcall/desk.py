"""The desk of one command: sessions, mapping, plan and workspace, open for its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rowcall.errors import ConnectionFailed
from rowcall.ledger import Ledger
from rowcall.mapping import Mapping
from rowcall.move.belt import Stop
from rowcall.move.worker import Crew, Servers
from rowcall.plan.plan import Plan, make_plan
from rowcall.postgres.connect import Session, connect
from rowcall.postgres.errors import DriverError, stopped
from rowcall.postgres.places import Dsns, Places
from rowcall.postgres.read import Reader
from rowcall.postgres.snapshot import SourceSnapshot
from rowcall.survey import survey
from rowcall.verify import Scope
from rowcall.workspace import Workspace


@dataclass
class Desk:
    """What every command works on: sessions, mapping and plan, for the time of the command."""

    dsns: Dsns
    source: Session
    target: Session
    ledger: Ledger
    mapping: Mapping
    plan: Plan
    workspace: Workspace
    stack: ExitStack

    def reader(self, side: str, **more: Any) -> Reader:
        endpoint = self.mapping.source if side == "source" else self.mapping.target
        dsn = self.dsns.source if side == "source" else self.dsns.target
        reader = Reader(dsn, side, schema=endpoint.schema, **more)
        self.stack.callback(reader.close)
        return reader

    def snapshot(self) -> SourceSnapshot:
        taken = SourceSnapshot(self.dsns.source, self.plan.locked_tables, search_path=self.mapping.source.schema)
        self.stack.callback(taken.close)
        return taken

    def crew(self, snapshot: SourceSnapshot, stop: Stop, size: int = 0) -> Crew:
        """`size` workers; 0: as many as the plan has. Raises ConnectionFailed where a server does not take them."""
        servers = Servers(
            self.dsns.source,
            self.dsns.target,
            snapshot.name,
            snapshot.tables,
            self.mapping.source.schema,
            self.mapping.target.schema,
        )
        return self.stack.enter_context(Crew(size or self._workers(), servers, self.workspace, stop))

    def _workers(self) -> int:
        workers = self.plan.workers
        if workers.lacking:
            raise ConnectionFailed(
                workers.lacking, f"too few connections for the workers: {workers.why}",
                hint="close some, raise the limit (max_connections, or that of the role or database), or lower `workers`",
            )  # fmt: skip
        return workers.number

    def scope(
        self, snapshot: SourceSnapshot, names: frozenset[str] | None = None, source: Reader | None = None
    ) -> Scope:
        """What verify works on, reading the source in this snapshot."""
        know = self.plan.knowledge
        records = [e for e in self.ledger.entities() if names is None or e.name in names]
        source = source or self.reader("source", snapshot=snapshot.name, tables=snapshot.tables)
        return Scope(
            records,
            self.mapping,
            know.source,
            know.content_types,
            source,
            self.reader("target"),
            self.workspace.cursor(),
        )


@contextmanager
def open_desk(file: Path, places: Places, notify: Callable[[str], None], *, lock: bool = False) -> Iterator[Desk]:
    """`lock`: no other command may write meanwhile; taken first, for what is read next must stay true."""
    with ExitStack() as stack, _typed_errors():
        dsns = stack.enter_context(places.use())
        schemas = places.endpoints["source"].schema, places.endpoints["target"].schema
        source = stack.enter_context(connect(dsns.source, "source", search_path=schemas[0]))
        target = stack.enter_context(connect(dsns.target, "target", search_path=schemas[1]))
        ledger = Ledger(target)
        if lock:
            ledger.lock(notify)
        mapping, knowledge = survey(file, source, target, schemas, ledger)
        workspace = stack.enter_context(Workspace(places.folder / ".rowcall" / "tmp"))
        yield Desk(dsns, source, target, ledger, mapping, make_plan(mapping, knowledge), workspace, stack)


@contextmanager
def target_only(places: Places) -> Iterator[Session]:
    """A session on the target, for what needs neither source nor mapping."""
    schema = places.endpoints["target"].schema
    with places.use("target") as dsns, connect(dsns.target, "target", search_path=schema) as target, _typed_errors():
        yield target


@contextmanager
def _typed_errors() -> Iterator[None]:
    """What a server refuses outside the belt, in our own words: a driver's message may quote a row."""
    try:
        yield
    except DriverError as error:
        place = ".".join(filter(None, (error.diag.schema_name, error.diag.table_name)))
        raise stopped(error, "target", place or "a statement of rowcall") from None
