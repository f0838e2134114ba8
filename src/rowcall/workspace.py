"""The DuckDB workspace: one in-memory database that spills to the project folder beyond its memory limit."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

import duckdb

from rowcall.rows import Reason

DuckError = duckdb.Error

MEMORY_LIMIT = "320MB"
THREADS = 1  # each worker computes in a thread of its own; with more, it would spin while another computes for it

# uuid5: RFC 9562, 5.5: SHA-1 over namespace bytes and name; version 5 in the high nibble of byte 6, variant 10 in byte 8. The
# judge yields the digest in hex, of which move.ids makes uuids: strings are cut and joined slower than arrays.
# rejection: one finding of the judge; sorts by the contract's order of codes, then as declared, but a parent that fell by the row
# `itself` (in a circle) comes last. Only a victim has a root
# and a parent other than itself. is_victim: whether a row is rejected only because its parents were. other_rejections: those
# behind a row's first one. uuid_text: 16 bytes as people write them.
MACROS = f"""
create or replace macro uuid5_digest(namespace, name) as sha1(unhex(namespace) || encode(name));
create or replace macro uuid_of_hex(h, version) as unhex(concat(
    substr(h, 1, 12), version, substr(h, 14, 3), '89ab89ab89ab89ab'[instr('0123456789abcdef', substr(h, 17, 1))],
    substr(h, 18, 15)));
create or replace macro uuid5(namespace, name) as uuid_of_hex(uuid5_digest(namespace, name), '5');
create or replace macro uuid_text(b) as lower(concat(
    hex(b)[1:8], '-', hex(b)[9:12], '-', hex(b)[13:16], '-', hex(b)[17:20], '-', hex(b)[21:32]));
create type reason as enum ({", ".join(f"'{r.value}'" for r in Reason)});
create or replace macro if_victim(code, x) as case when code = 'parent_quarantined' then x end::varchar;
create or replace macro rejection(
    place, code, col, reference, hop, seen, evidence, detail, itself, root_entity, root_key, parent_entity, parent_key
) as struct_pack(
    rank := case when itself and code = 'parent_quarantined' then 99 else enum_code(code::reason)::integer end,
    place := place::integer, hop := hop::integer, code := code::varchar,
    "column" := col::varchar, reference := reference::varchar, "value" := seen::varchar, evidence := evidence::varchar,
    detail := detail::varchar,
    root_entity := if_victim(code, root_entity), root_key := if_victim(code, root_key),
    parent_entity := if_victim(code, parent_entity), parent_key := if_victim(code, parent_key));
create or replace macro other_rejections(rejections) as case when json_array_length(rejections) > 1 then
    from_json(rejections, '[{{"code": "VARCHAR", "parent_entity": "VARCHAR", "parent_key": "VARCHAR"}}]')[2:] end;
create or replace macro is_victim(findings) as coalesce(
    len(findings) > 0 and len(list_filter(findings, lambda f: f.code <> 'parent_quarantined')) = 0, false);
"""


class Workspace:
    """Owns the database and its spill folder. Threads take a `cursor()` each; tables are shared, registered batches are not."""

    def __init__(self, folder: Path | None = None) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder)
        self._spill = tempfile.TemporaryDirectory(prefix=f"spill-{os.getpid()}-", dir=folder)
        self.duck = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": self._spill.name,
                "threads": THREADS,
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
            },
        )
        self.duck.execute("set timezone = 'UTC'")
        self.duck.execute(MACROS)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        return self.duck.cursor()

    def hash_probe(self) -> int:
        """What DuckDB's hash, which may change with its version, makes of a known value; signed, as Postgres has it."""
        row = self.duck.execute("select hash('rowcall'::blob)").fetchone()
        return int.from_bytes(int(row[0]).to_bytes(8, "big"), "big", signed=True) if row else 0

    def close(self) -> None:
        self.duck.close()
        self._spill.cleanup()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def is_interrupt(error: BaseException) -> bool:
    """Whether Ctrl-C ended a query: DuckDB says so by an error of its own."""
    return isinstance(error, KeyboardInterrupt | duckdb.InterruptException) or (
        isinstance(error, RuntimeError) and "interrupted" in str(error).lower()
    )


def _sweep(folder: Path) -> None:
    """Removes what killed commands left behind; a folder is named after its process."""
    for path in folder.glob("spill-*"):
        pid = path.name.split("-")[1]
        if pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
