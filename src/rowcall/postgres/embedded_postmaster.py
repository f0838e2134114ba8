"""One Postgres data folder and its process: made, started, found again, stopped.

A server is known by its command line, which carries a name made from the path of its data folder, and never by its
process id alone: after a crash or a reboot that number may belong to anybody.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from rowcall import sql
from rowcall.errors import ServerError
from rowcall.postgres.embedded_programs import ENVIRONMENT, Account, owner, run, server_binary

HOST = "127.0.0.1"
USER = "rowcall"
READY_SECONDS = 30.0
RECOVERY_SECONDS = 600.0  # replaying up to max_wal_size of log after a kill
ESCALATION = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))  # fast, immediate, by force
LOCALES = (("--locale=C.UTF-8",), ("--no-locale",))

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "40",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "wal_level": "logical",
    # A session asks for the password: 24 bytes by chance, which no number of iterations keeps safer (RFC 5802).
    "scram_iterations": "1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A killed process loses nothing without fsync: what it has written is in the system's page cache, and only a crash
    # of the whole machine forgets that. But commits must be written before they are answered (a kill takes what is
    # still in shared memory), and a kill can end a write between the halves of a page: so these two stay on.
    "fsync": "off",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Messages of level ERROR quote values; LOG, FATAL and PANIC do not once they are terse.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_checkpoints": "off",
    "log_autovacuum_min_duration": "-1",
}

# Servers started by this process, by data folder: waited for, so that none is left as a zombie.
_children: dict[Path, subprocess.Popen[bytes]] = {}


class Postmaster:
    """The server in the folder `home`, which holds `data`, `server.log` and where needed `programs` next to it."""

    def __init__(self, home: Path, major: int) -> None:
        self.home, self.major = home, major
        self.data, self.log = home / "data", home / "server.log"
        self._pid_file = self.data / "postmaster.pid"
        self._cluster = "rowcall-" + hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]

    def make(self, account: Account, password: str, database: str) -> None:
        """Makes the data folder and an empty database. Raises ServerError."""
        self.data.mkdir(mode=0o700)
        account.own(self.data)
        secret = self.home / "initial-password"
        write_private(secret, password)
        account.own(secret)
        try:
            self._initdb(account, secret)
        finally:
            secret.unlink()
        single = ("--single", "-D", self.data, "-c", "exit_on_error=on", "postgres")
        create = f"CREATE DATABASE {sql.ident(database)}\n"
        if run([self._binary("postgres", account), *single], account, create).returncode != 0:
            raise ServerError(f"the database {database} cannot be made in {self.data}", hint="is the disk full?")

    def _initdb(self, account: Account, secret: Path) -> None:
        initdb = self._binary("initdb", account)
        options = [f"--set={name}={value}" for name, value in SETTINGS.items()]
        for locale in LOCALES:
            cluster = ("-D", self.data, "-U", USER, "-E", "UTF8", *locale)
            access = ("--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync", "--no-instructions")
            done = run([initdb, *cluster, *access, *options], account)
            if done.returncode == 0:
                return
        said = " ".join(done.stderr.split())[-300:]
        raise ServerError(f"initdb failed in {self.data}: {said}", hint="is the disk or shared memory full?")

    def _binary(self, program: str, account: Account) -> Path:
        return server_binary(program, self.major, account, self.home.parent / "programs")

    def start(self, port: int) -> int:
        """Starts the server, or adopts the one that runs; returns its port: another than `port` if that is taken.

        Raises ServerError, which points at the log.
        """
        if not self.data.is_dir():
            raise ServerError(f"the embedded Postgres in {self.home} has lost its data", hint="make the project anew")
        crashed = self._pid_file.exists() and self.pid() is None
        seconds = RECOVERY_SECONDS if crashed else READY_SECONDS
        for _ in range(3):  # it may have been stopping, or another program took the port in the same moment
            if self.pid() is None:
                port = free_port(port)
                self._launch(port)
            if self._is_ready_within(seconds):
                return int(self._pid_lines()[3])
        raise self._error("ends as soon as it is started")

    def pid(self) -> int | None:
        """The process id of the running server; None when there is none."""
        child = _children.get(self.data)
        if child is not None and child.poll() is None:
            return child.pid
        _children.pop(self.data, None)
        lines = self._pid_lines()
        pid = int(lines[0]) if lines and lines[0].isdigit() else 0
        return pid if pid and self._is_ours(command_line(pid)) else None

    def _pid_lines(self) -> list[str]:
        """Postgres' own lock file: pid, folder, start time, port, socket folder, address, shared memory, status."""
        try:
            return self._pid_file.read_text().splitlines()
        except FileNotFoundError:
            return []

    def _launch(self, port: int) -> None:
        self._clear_crash()
        account = owner(self.data)
        program = self._binary("postgres", account)
        log = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        owner(self.home).own(self.log)
        try:
            _children[self.data] = subprocess.Popen(
                [program, "-D", self.data, "-p", str(port), "-c", f"cluster_name={self._cluster}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=ENVIRONMENT,
                cwd="/",
                umask=0o077,
                start_new_session=True,  # Ctrl-C in the terminal is for the command, not for the server under it
                **account.options,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ServerError(f"the embedded Postgres in {self.home} cannot be started", hint=str(error)) from error
        finally:
            os.close(log)

    def _clear_crash(self) -> None:
        """Clears what a killed server left: its other processes, and a lock file whose id is now another program's."""
        self._end_orphans()
        lines = self._pid_lines()
        if lines and lines[0].isdigit() and "postgres" not in (command_line(int(lines[0])) or "postgres"):
            self._pid_file.unlink()

    def _end_orphans(self) -> None:
        """Ends all processes of this server while it has no lock file: its own was killed, or its folder deleted."""
        deadline = time.monotonic() + 10
        while orphans := [pid for pid, line in processes() if self._is_ours(line)]:
            if time.monotonic() > deadline:
                raise self._error("was killed, and its other processes do not end")
            for pid in orphans:
                _kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    def _is_ours(self, line: str) -> bool:
        is_postgres = line.startswith("postgres:") or f"/postgres -D {self.data} " in line
        return is_postgres and self._cluster in line

    def _is_ready_within(self, seconds: float) -> bool:
        """True once it accepts connections, False when it has ended. Raises ServerError when neither comes in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pid = self.pid()
            if pid is None:
                return False
            lines = self._pid_lines()
            if len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready":
                return True
            time.sleep(0.02)
        raise self._error(f"is not ready after {seconds:.0f} s")

    def ask_to_stop(self) -> None:
        """Asks for a fast stop and does not wait."""
        if pid := self.pid():
            _kill(pid, signal.SIGINT)

    def stop(self) -> None:
        """Stops the server and waits for its end. Raises ServerError if it survives even a kill."""
        for number, seconds in ESCALATION:
            if self._has_ended_after(number, seconds):
                self._end_orphans()
                return
        raise self._error("cannot be stopped")

    def _error(self, what: str) -> ServerError:
        return ServerError(f"the embedded Postgres in {self.home} {what}", hint=f"read {self.log}")

    def _has_ended_after(self, number: signal.Signals, seconds: float) -> bool:
        if pid := self.pid():
            _kill(pid, number)
        deadline = time.monotonic() + seconds
        while self.pid() is not None and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.pid() is None

    def remove(self) -> None:
        """Stops the server and deletes its folder."""
        self.stop()
        shutil.rmtree(self.home)


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read, whole or not at all; as root it belongs to its folder's owner."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    owner(path.parent).own(new)
    new.replace(path)


def free_port(wanted: int) -> int:
    """`wanted` if nobody listens there, else another free TCP port of the loopback address. Raises ServerError."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServerError(f"no TCP port of {HOST} can be opened", hint="is the loopback interface up?")


def processes() -> Iterator[tuple[int, str]]:
    """All processes with their command lines, as far as we may see them."""
    if Path("/proc/self/cmdline").exists():
        for folder in Path("/proc").glob("[0-9]*"):
            yield int(folder.name), command_line(int(folder.name))
        return
    for line in subprocess.run(["ps", "-axww", "-o", "pid=,args="], capture_output=True, text=True).stdout.splitlines():
        pid, _, command = line.strip().partition(" ")
        yield int(pid), command.strip()


def command_line(pid: int) -> str:
    """A process' command line; empty when there is no such process, or only its zombie."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
        except OSError:
            return ""
    return subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()


def _kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
