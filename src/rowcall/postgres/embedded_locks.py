"""File locks between commands: freed by the system when their holder dies, however it dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rowcall.errors import ServerError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Lock:
    """One holder's flock on one file. Each holder opens the file anew, so two of them in one process count as two."""

    def __init__(self, path: Path) -> None:
        if fcntl is None:
            raise ServerError("embedded servers need Linux or macOS", hint="give the DSNs of your own servers instead")
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def share(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def take(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def try_take(self) -> bool:
        """Whether nobody else held it. Where somebody did, a share that we held is given up as well."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def is_current(self) -> bool:
        """Whether the path still names the file that was locked: it may have been deleted while we waited."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._file))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        os.close(self._file)


@contextmanager
def opened(path: Path) -> Iterator[Lock]:
    """A lock not yet taken; freed at the end."""
    lock = Lock(path)
    try:
        yield lock
    finally:
        lock.close()


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Waits until nobody else holds the lock, and holds it."""
    while True:
        with opened(path) as lock:
            lock.take()
            if lock.is_current():
                yield
                return
