"""psql on one side of a project, with nothing secret in its arguments."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from psycopg.pq import Conninfo

from rowcall.errors import ServerError

# As rowcall's own sessions are set: so that a proof means the same here.
_MEANT = {"PGTZ": "UTC", "PGDATESTYLE": "ISO, YMD"}


def environment(dsn: str) -> dict[str, str]:
    """The DSN as libpq's environment variables: they show in no process list."""
    options = Conninfo.parse(dsn.encode())
    return {o.envvar.decode(): o.val.decode() for o in options if o.envvar is not None and o.val is not None}


def psql(program: Path, dsn: str, arguments: Sequence[str]) -> int:
    """Runs psql to its end; its exit code. Ctrl-C is psql's own."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = subprocess.run(
            [str(program), *arguments],
            env={**os.environ, **_MEANT, **environment(dsn)},
            check=False,
            preexec_fn=_listen,
        )
        return done.returncode
    except OSError as error:
        raise ServerError("psql cannot be started", hint=error.strerror or "see the installation") from None
    finally:
        signal.signal(signal.SIGINT, before)


def _listen() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
