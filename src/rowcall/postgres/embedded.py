"""The embedded servers of a project: throw-away Postgres servers for demos and tests, in `<project>/.rowcall/servers/`.

    use.lock         shared by every command that uses the servers; whoever can take it alone is the last one out
    start.lock       held alone while servers are made, started or stopped
    detached         a marker: they stay when the last command is out
    <name>/          server.json, password and passfile (0600), and next to them data/ and server.log

As root the servers run as an unprivileged account, which may not reach the project: then data, server.log and, where it
does not reach the wheel either, a copy of the programs are in a folder under /var/tmp that server.json names.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType

from rowcall.errors import ServerError
from rowcall.postgres.embedded_locks import Lock, exclusive, opened
from rowcall.postgres.embedded_postmaster import HOST, USER, Postmaster, free_port, write_private
from rowcall.postgres.embedded_programs import Account, bundled_binary, unprivileged

__all__ = ["EmbeddedServers", "ServerFile", "bundled_binary"]

OUTSIDE = Path("/var/tmp")
NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")


def _silent(_line: str) -> None:
    return None


@dataclass(frozen=True)
class ServerFile:
    """What server.json holds. `home` is the absolute folder of the data where that is not next to server.json."""

    version: int
    port: int
    user: str
    database: str
    home: str | None = None

    @classmethod
    def read(cls, folder: Path) -> ServerFile:
        """Raises ServerError when the file is missing or damaged."""
        try:
            return cls(**json.loads((folder / "server.json").read_text()))
        except (OSError, ValueError, TypeError) as error:
            message = f"the embedded server {folder.name} cannot be read ({type(error).__name__})"
            raise ServerError(message, hint=f"see {folder}; make the project anew, or run as its owner") from error

    def write(self, folder: Path) -> None:
        write_private(folder / "server.json", json.dumps(asdict(self), indent=1) + "\n")


class EmbeddedServers:
    """The embedded servers of one project folder; several commands may use them at the same time."""

    def __init__(self, project: Path, notify: Callable[[str], None] = _silent) -> None:
        self.folder = project.resolve() / ".rowcall" / "servers"
        self.outside = OUTSIDE / f"rowcall-{hashlib.sha256(os.fsencode(project.resolve())).hexdigest()[:16]}"
        self._notify = notify
        self._marker = self.folder / "detached"

    def names(self) -> tuple[str, ...]:
        """The servers' names, sorted. Raises ServerError when the folder belongs to somebody else."""
        if self.folder.is_dir() and not os.access(self.folder, os.R_OK | os.W_OK | os.X_OK):
            raise ServerError(f"{self.folder} belongs to another user", hint="run as the user who made the project")
        return tuple(sorted(path.parent.name for path in self.folder.glob("*/server.json")))

    def exists(self) -> bool:
        return bool(self.names())

    def create(self, servers: Mapping[str, int], databases: Mapping[str, str] | None = None) -> None:
        """Makes new servers, name -> major version (16 or 18), each with an empty database, named as the server unless
        `databases` says otherwise. All or none: a server counts only once its server.json is there. Raises ServerError.
        """
        for name, major in servers.items():
            if not NAME.fullmatch(name):
                raise ServerError(f"{name!r} cannot name a server", hint="up to 31 of a-z, 0-9 and _")
            bundled_binary("postgres", major)
        try:
            self._create(servers, {name: name for name in servers} | dict(databases or {}))
        except OSError as error:
            raise ServerError(f"the embedded servers cannot be made in {self.folder}", hint=str(error)) from error

    def _create(self, servers: Mapping[str, int], databases: Mapping[str, str]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._starting():
            if old := set(servers) & set(self.names()):
                raise ServerError(f"there already are embedded servers {', '.join(sorted(old))} in {self.folder}")
            account = self._settle_in()
            files = {name: self._make(name, major, account, databases[name]) for name, major in servers.items()}
            for name, file in files.items():
                file.write(self.folder / name)

    def _settle_in(self) -> Account:
        """The account that the servers run as; as root it gets a folder that it can reach."""
        account = unprivileged()
        if os.geteuid() == 0:
            _own_folder(self.outside)
            self._notify(f"as root: the embedded servers run as user {account.name}, with their data in {self.outside}")
        return account

    def _make(self, name: str, major: int, account: Account, database: str) -> ServerFile:
        folder = self.folder / name
        home = self.outside / name if os.geteuid() == 0 else folder
        for place in {folder, home}:
            _clear(place)
            place.mkdir(mode=0o700)
        home.chmod(0o711 if home != folder else 0o700)
        password = secrets.token_hex(24)
        write_private(folder / "password", password + "\n")
        write_private(folder / "passfile", f"{HOST}:*:*:{USER}:{password}\n")
        Postmaster(home, major).make(account, password, database)
        return ServerFile(major, free_port(0), USER, database, None if home == folder else str(home))

    @contextmanager
    def use(self) -> Iterator[None]:
        """While it lasts the servers run; the last one out stops them, unless they are detached. Raises ServerError."""
        if not self.exists():
            raise ServerError(
                f"there are no embedded servers in {self.folder.parent.parent}",
                hint="name a database of yours in rowcall.yaml with env:, service: or dsn:",
            )
        with _unwinding(), opened(self.folder / "use.lock") as lock:
            servers = [self._postmaster(name) for name in self.names()]
            try:
                with self._starting():
                    lock.share()
                    self._start_all()
                yield
            finally:
                self._leave(lock, servers)

    def _starting(self) -> AbstractContextManager[None]:
        return exclusive(self.folder / "start.lock")

    def _start_all(self) -> None:
        for name in self.names():
            folder = self.folder / name
            file = ServerFile.read(folder)
            port = self._postmaster(name).start(file.port)
            if port != file.port:
                replace(file, port=port).write(folder)

    def _leave(self, lock: Lock, servers: Sequence[Postmaster]) -> None:
        if not self.folder.is_dir():  # somebody deleted the project under us
            _stop(servers)
            return
        with self._starting():
            if lock.try_take() and not self._marker.exists():
                _stop(servers)

    def _postmaster(self, name: str) -> Postmaster:
        file = ServerFile.read(self.folder / name)
        home = Path(file.home) if file.home else self.folder / name
        if file.home:
            _check_own(home.parent)
        return Postmaster(home, file.version)

    def start_detached(self) -> None:
        """Starts the servers to stay until stop()."""
        with self.use():
            self._marker.touch()

    def stop(self) -> bool:
        """Stops the servers, detached or left over. False while another command uses them: the last one stops them."""
        if not self.exists():
            return True
        with self._starting(), opened(self.folder / "use.lock") as lock:
            self._marker.unlink(missing_ok=True)
            if lock.try_take():
                _stop([self._postmaster(name) for name in self.names()])
                return True
        self._notify("another command is using the embedded servers: they stop when the last one is done")
        return False

    def dsn(self, name: str) -> str:
        """A libpq keyword string without the password; ports may change between two uses, so ask within use().

        What the caller's environment could say otherwise is said here: PGPASSWORD would win over the passfile (but not
        over an empty password), PGHOSTADDR over the host, and PGSSLMODE=require fails on a server that speaks no TLS.
        """
        file = ServerFile.read(self.folder / name)
        words = {
            "host": HOST,
            "hostaddr": HOST,
            "port": str(file.port),
            "user": file.user,
            "dbname": file.database,
            "password": "",
            "passfile": str(self.folder / name / "passfile"),
            "sslmode": "disable",
            "gssencmode": "disable",
            "application_name": "rowcall",
        }
        return " ".join(f"{word}={_quoted(value)}" for word, value in words.items())

    def binary(self, name: str, program: str) -> Path:
        """A program such as psql or pg_dump in that server's version, for the caller's own use."""
        return bundled_binary(program, ServerFile.read(self.folder / name).version)

    def remove(self) -> None:
        """Stops the servers and deletes all that is theirs, also what a deleted project left elsewhere.

        Raises ServerError when another command uses them.
        """
        if self.folder.is_dir():
            self.names()  # refuses somebody else's folder
            with self._starting(), opened(self.folder / "use.lock") as lock:
                if not lock.try_take():
                    raise ServerError("another command is using the embedded servers", hint="end it, then try again")
                self._delete()
        elif _is_own(self.outside):
            self._delete_outside()

    def _delete(self) -> None:
        for name in self.names():
            self._postmaster(name).remove()
        if _is_own(self.outside):
            self._delete_outside()
        for path in self.folder.iterdir():
            if path.is_dir():
                _clear(path)
        shutil.rmtree(self.folder)

    def _delete_outside(self) -> None:
        for home in self.outside.iterdir():
            _clear(home)
        self.outside.rmdir()


def _stop(servers: Sequence[Postmaster]) -> None:
    for server in servers:
        server.ask_to_stop()
    for server in servers:
        server.stop()


def _clear(home: Path) -> None:
    """Deletes what an unfinished or deleted server left, and ends it if it runs."""
    if home.is_dir() and not home.is_symlink():
        Postmaster(home, 0).remove()


def _own_folder(path: Path) -> None:
    """Makes a folder that others may pass through but not list. Raises ServerError when somebody else's is there."""
    try:
        path.mkdir(mode=0o711)
    except FileExistsError:
        _check_own(path)
    path.chmod(0o711)  # mkdir's mode was cut by the umask


def _check_own(path: Path) -> None:
    if not _is_own(path):
        raise ServerError(f"{path} is missing or not a folder of yours", hint="make the project anew")


def _is_own(path: Path) -> bool:
    """Whether it is a real folder that only we can write to: anybody may have put a link or a folder in /var/tmp."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _quoted(value: str) -> str:
    """A value in a libpq keyword string."""
    if re.fullmatch(r"[\w./-]+", value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


@contextmanager
def _unwinding() -> Iterator[None]:
    """SIGTERM and SIGHUP, where nobody handles them, end the command as Ctrl-C does: through its `finally` blocks."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, _exit)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _exit(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
