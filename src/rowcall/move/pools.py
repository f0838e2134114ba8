"""Who does the work on chunks: threads of this process, or (rowcall.cluster) the workers of a cluster; all through a
concurrent.futures.Executor."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from rowcall.move.station import Job, Task
from rowcall.rows import Counts

T = TypeVar("T")


class WorkerLost(Exception):
    """The worker of a task is gone, and with it what it had not committed; the task can be given to another one."""


class Pool(Protocol):
    """Takes work and hands its results back. Its calls come from one thread."""

    @property
    def room(self) -> int:
        """How many pieces of work may be in flight."""

    @property
    def settle(self) -> Callable[[Task], Counts] | None:
        """What settles a task on another machine; None where this process does it by itself."""

    def submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]: ...

    def result(self, future: Future[T]) -> T:
        """What became of a piece of work that is done. Raises WorkerLost, or the typed error that ended it."""

    def look(self) -> None:
        """Raises ClusterFailed where nobody is left to do the work."""

    def give_up(self) -> None:
        """Drops what is in flight."""

    def over(self, job: Job) -> None:
        """Nobody will ask for work on this job any more."""


class LocalPool:
    """Threads of this process, one for each worker of the crew."""

    settle = None

    def __init__(self, threads: int) -> None:
        self.room = 2 * threads  # so that no thread waits for the next one to be submitted
        self.executor = ThreadPoolExecutor(threads)

    def submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        return self.executor.submit(work, *arguments)

    def result(self, future: Future[T]) -> T:
        return future.result()

    def look(self) -> None:
        pass

    def give_up(self) -> None:
        self.executor.shutdown(wait=True, cancel_futures=True)

    def over(self, job: Job) -> None:
        pass

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.executor.shutdown()
