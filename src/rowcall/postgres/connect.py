"""Sessions: one connection each, with settings under which text means the same on every server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from rowcall.errors import ConnectionFailed
from rowcall.postgres.errors import reason, stopped

# Every session: values in text form mean the same everywhere, and no timeout of the project cuts a long statement off
# (Supabase sets a two-minute statement_timeout for all).
SETTINGS = (
    "set standard_conforming_strings = on",
    "set timezone = 'UTC'",
    "set datestyle = 'ISO, YMD'",
    "set intervalstyle = 'postgres'",
    "set bytea_output = 'hex'",
    "set extra_float_digits = 3",
    "set client_encoding = 'UTF8'",
    "set statement_timeout = 0",
    "set idle_in_transaction_session_timeout = 0",
)
# Nothing is ever written there; a policy raises an error where it would silently hide rows.
SOURCE_SETTINGS = (*SETTINGS, "set row_security = off", "set default_transaction_read_only = on")
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

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(dsn: str, side: str, *, search_path: str = "public") -> Session:
    """Opens a session on "source" or "target". Raises ConnectionFailed; never shows the DSN's secrets."""
    try:
        connection = psycopg.connect(
            make_conninfo(dsn, **{k: v for k, v in _LIVELY.items() if k not in conninfo_to_dict(dsn)}), autocommit=True
        )
        for setting in SOURCE_SETTINGS if side == "source" else SETTINGS:
            connection.execute(setting.encode())
        set_search_path(connection, search_path)
    except psycopg.OperationalError as error:
        what, then = _why_not(error)
        raise ConnectionFailed(side, what, sqlstate=error.sqlstate or "", hint=then) from None
    except psycopg.ProgrammingError:
        raise ConnectionFailed(
            side, "the DSN is malformed", hint='write it as "host=... dbname=... user=..."'
        ) from None
    except psycopg.Error as error:
        raise stopped(error, side, "login") from None
    return Session(connection, side)


def set_search_path(connection: psycopg.Connection[Any], schema: str) -> None:
    connection.execute("select set_config('search_path', %s, false)", [search_path(schema)])


def search_path(schema: str) -> str:
    quoted = '"' + schema.replace('"', '""') + '"'
    return quoted if schema == "public" else f"{quoted}, public"


def _why_not(error: psycopg.OperationalError) -> tuple[str, str]:
    if error.sqlstate:
        return reason(error.sqlstate)
    text = str(error)
    for state, sign in {"28P01": "password authentication failed", "3D000": "does not exist"}.items():
        if sign in text:
            return reason(state)
    if "no password supplied" in text:
        return reason("28P01")
    if "definition of service" in text:
        return "the service is not defined", "add it to ~/.pg_service.conf or set PGSERVICEFILE"
    return "the server does not answer", "check host and port, and whether the server runs"


def describe_dsn(dsn: str) -> str:
    """A DSN as it may be shown: host, port and database, nothing else."""
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        return "a malformed DSN"
    return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


def dsn_port(dsn: str) -> str:
    """The port that a DSN names, "" where it names none."""
    try:
        return str(conninfo_to_dict(dsn).get("port", ""))
    except psycopg.ProgrammingError:
        return ""
