"""Sessions: one connection each, with settings under which text means the same on every server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from rowcall.errors import ConnectionFailed, UsageError
from rowcall.postgres.errors import reason, stopped
from rowcall.sql import ident, literal

# Every session: values in text form mean the same everywhere, and no timeout of the project cuts a long statement off
# (Supabase sets a two-minute statement_timeout for all). A server notices within a minute that a machine is gone, and gives
# back what its session held (Linux' default: two hours).
# https://www.postgresql.org/docs/current/runtime-config-connection.html#RUNTIME-CONFIG-TCP-SETTINGS
_SETTINGS = {
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": "0",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "standard_conforming_strings": "on",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "3",
    "array_nulls": "on",
    "client_encoding": "UTF8",
    "default_transaction_isolation": "read committed",
}
_NEWER = {"idle_session_timeout": "0", "transaction_timeout": "0"}  # which not every version knows
_OF_SIDE = {
    # Nothing is ever written there; a policy raises an error where it would silently hide rows.
    "source": {"row_security": "off", "default_transaction_read_only": "on"},
    "target": {"default_transaction_read_only": "off"},
}
# A server that went away is noticed within a minute.
_LIVELY = {
    "connect_timeout": "15",
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}


class Session:
    """A psycopg connection in autocommit mode. SQL comes compiled, with %s for parameters only where some are given.

    The room's face for the others: they need not know the driver.
    """

    def __init__(self, connection: psycopg.Connection[Any], side: str) -> None:
        self.connection, self.side = connection, side

    @property
    def server_version(self) -> int:
        """As server_version_num, e.g. 160014."""
        return self.connection.info.server_version

    def execute(self, sql: str, params: Sequence[Any] | None = None) -> int:
        """Runs one statement (several where there are no params); the number of rows it touched."""
        return self.connection.execute(sql.encode(), params).rowcount

    def rows(self, sql: str, params: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql.encode(), params).fetchall()

    def value(self, sql: str, params: Sequence[Any] | None = None) -> Any:
        row = self.connection.execute(sql.encode(), params).fetchone()
        return row[0] if row else None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self.connection.transaction():
            yield

    def cancel(self) -> None:
        """Ends the statement that runs in another thread, if one does."""
        self.connection.cancel_safe(timeout=5.0)

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(dsn: str, side: str, *, search_path: str = "public") -> Session:
    """Opens a session on "source" or "target". Raises ConnectionFailed; never shows the DSN's secrets."""
    try:
        connection = psycopg.connect(lively(dsn), autocommit=True)
        connection.execute(settings(side, search_path).encode())
        session = Session(connection, side)
        replica = side == "target" and session.value("show session_replication_role") == "replica"
    except psycopg.OperationalError as error:
        what, then = _why_not(error, dsn)
        raise ConnectionFailed(side, what, sqlstate=error.sqlstate or "", hint=then) from None
    except psycopg.ProgrammingError:
        raise ConnectionFailed(
            side, "the DSN is malformed", hint='write it as "host=... dbname=... user=..."'
        ) from None
    except psycopg.Error as error:
        raise stopped(error, side, "login") from None
    if replica:
        session.close()
        raise UsageError(
            "the target's session_replication_role is replica: foreign keys and triggers would not fire",
            hint="take the setting back (`alter role` or `alter database ... reset session_replication_role`)",
        )
    return session


def lively(dsn: str) -> str:
    """The DSN with keepalives and a patience for connecting, where it names none itself."""
    own = conninfo_to_dict(dsn)
    return make_conninfo(dsn, **{k: v for k, v in _LIVELY.items() if k not in own})


def settings(side: str, schema: str) -> str:
    """The statement that begins a session on "source" or "target". `schema` comes before the database's own search_path,
    which triggers and functions may need."""
    path = f"concat_ws(', ', {literal(ident(schema))}, nullif(current_setting('search_path'), ''), 'public')"
    given = [f"set_config('{name}', '{value}', false)" for name, value in (_SETTINGS | _OF_SIDE[side]).items()]
    newer = [
        f"case when current_setting('{name}', true) is not null then set_config('{name}', '{value}', false) end"
        for name, value in _NEWER.items()
    ]
    return "select " + ", ".join([*given, *newer, f"set_config('search_path', {path}, false)"])


# What libpq says when no session comes about, where it gives no SQLSTATE: its words -> the state, or ours.
_REFUSALS = (
    (r"password authentication failed|no password supplied", "28P01"),
    (r'role "[^"]*" does not exist', "28000"),
    (r'database "[^"]*" does not exist', "3D000"),
)
_SAYINGS = (
    ("definition of service", ("the service is not defined", "add it to ~/.pg_service.conf or set PGSERVICEFILE")),
    ("could not translate host name", ("the host name is not known", "check the host name")),
)


def _why_not(error: psycopg.OperationalError, dsn: str) -> tuple[str, str]:
    if error.sqlstate:
        return reason(error.sqlstate)
    text = str(error)
    for pattern, state in _REFUSALS:
        if re.search(pattern, text):
            return reason(state)
    for words, saying in _SAYINGS:
        if words in text:
            return saying
    return f"{describe_dsn(dsn)} does not answer", "check host and port, and whether the server runs"


def describe_dsn(dsn: str) -> str:
    """A DSN as it may be shown: host, port and database, nothing else."""
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        return "a malformed DSN"
    if "service" in parts:
        return f"service {parts['service']}"
    return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


def dsn_port(dsn: str) -> str:
    """The port that a DSN names, "" where it names none."""
    try:
        return str(conninfo_to_dict(dsn).get("port", ""))
    except psycopg.ProgrammingError:
        return ""
