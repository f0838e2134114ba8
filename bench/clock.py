"""Runs other programs and takes their time, processor seconds and peak memory."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

SAMPLE_SECONDS = 0.2
GRACE_SECONDS = 5.0
FOREIGN = ("ROWCALL_", "PG", "LIBPQ")  # variables of the caller that would change what a program does


class WayFailed(Exception):
    """A way cannot be measured. The message is one line."""


@dataclass(frozen=True)
class Command:
    """One program. `accepted` are the exit codes that mean success."""

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    accepted: frozenset[int] = frozenset({0})


@dataclass(frozen=True)
class Job:
    """One timed step of a way: commands joined by pipes."""

    name: str
    commands: Sequence[Command]


@dataclass(frozen=True)
class Timing:
    """What a job took: wall seconds, processor seconds and peak resident bytes of its processes (not of the servers)."""

    name: str
    seconds: float
    cpu_seconds: float
    peak_rss: int


def take(job: Job, log: Path, limit: float) -> Timing:
    """Runs the job to its end; its messages go to the file `log`. Raises WayFailed, also after `limit` seconds."""
    late = threading.Event()
    with log.open("ab") as messages, _running(job, messages) as children, _memory(children) as peak:
        timer = threading.Timer(limit, _expire, (children, late))
        timer.start()
        started = time.monotonic()
        try:
            usages = [_wait(child) for child in children]
        finally:
            timer.cancel()
        seconds = time.monotonic() - started
    _judge(job, children, late, limit, log)
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    return Timing(job.name, seconds, cpu, max(peak[0], *(_peak(usage) for usage in usages)))


def _peak(usage: resource.struct_rusage) -> int:
    """A child's highest resident bytes; 0 where that is what it inherited from us between fork and exec (Linux)."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) if usage.ru_maxrss > own else 0


def _judge(
    job: Job, children: Sequence[subprocess.Popen[bytes]], late: threading.Event, limit: float, log: Path
) -> None:
    if late.is_set():
        raise WayFailed(f"{job.name} was ended after {limit:.0f} s")
    for command, child in zip(job.commands, children, strict=True):
        if child.returncode not in command.accepted:
            said = " ".join(log.read_text(errors="replace").split())[-300:]
            raise WayFailed(f"{job.name}: {Path(command.argv[0]).name} ended with {child.returncode}: {said}")


@contextmanager
def _running(job: Job, messages: object) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The job's processes, each in a session of its own; none survives the block."""
    children: list[subprocess.Popen[bytes]] = []
    try:
        source: object = subprocess.DEVNULL
        for number, command in enumerate(job.commands, 1):
            sink = messages if number == len(job.commands) else subprocess.PIPE
            child = _start(command, source, sink, messages)
            children.append(child)
            if source is not subprocess.DEVNULL:
                source.close()  # type: ignore[attr-defined]  # the next process alone holds it: it must see the end
            source = child.stdout
        yield children
    finally:
        _end(children)


def _start(command: Command, source: object, sink: object, messages: object) -> subprocess.Popen[bytes]:
    own = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        list(command.argv),
        stdin=source,
        stdout=sink,
        stderr=messages,
        env=own | dict(command.environment),
        start_new_session=True,  # Ctrl-C is for the bench, which ends its children itself
    )


def _wait(child: subprocess.Popen[bytes]) -> resource.struct_rusage:
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return usage


def _end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ends what still runs: asked at first, then by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal(children, number)
        deadline = time.monotonic() + GRACE_SECONDS
        while any(child.poll() is None for child in children) and time.monotonic() < deadline:
            time.sleep(0.05)


def _signal(children: Sequence[subprocess.Popen[bytes]], number: signal.Signals) -> None:
    for child in children:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, number)


def _expire(children: Sequence[subprocess.Popen[bytes]], late: threading.Event) -> None:
    late.set()
    _signal(children, signal.SIGKILL)


@contextmanager
def _memory(children: Sequence[subprocess.Popen[bytes]]) -> Iterator[list[int]]:
    """Samples the children's resident bytes, with all that they start: a list whose only element is the highest sum."""
    peak, over = [0], threading.Event()

    def sample() -> None:
        while not over.wait(SAMPLE_SECONDS):
            peak[0] = max(peak[0], _resident(child.pid for child in children))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _resident(pids: Iterable[int]) -> int:
    """Resident bytes of these processes and of all that they started; 0 where there is no /proc. Reads no other process:
    the looking is paid for by what is measured."""
    pages, todo = 0, list(pids)
    while todo:
        folder = f"/proc/{todo.pop()}"
        with suppress(OSError, IndexError, ValueError):
            pages += int(_read(f"{folder}/statm").split()[1])
            for thread in os.listdir(f"{folder}/task"):
                todo += map(int, _read(f"{folder}/task/{thread}/children").split())
    return pages * os.sysconf("SC_PAGE_SIZE")


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()
