"""A Dask cluster as the pool of a run: https://distributed.dask.org/en/stable/api.html (Client.get_executor).

The extra `rowcall[dask]` brings the library; whoever runs at home needs none of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from rowcall.cluster import outpost
from rowcall.errors import ClusterFailed, RowcallError, UsageError
from rowcall.move.pools import WorkerLost
from rowcall.move.station import Job
from rowcall.version import __version__

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")
CONNECTING = 10.0  # seconds to wait for the scheduler
ARRIVING = 60.0  # seconds to wait for a first worker, or for another one when all are gone
LOOK = 2.0  # seconds between looks at the cluster
Notify = Callable[[str], None]


@contextmanager
def reach(executor: str, scheduler: str | None, notify: Notify) -> Iterator[Cluster | None]:
    """The cluster at an address, for the time of the block; None where this machine does the work by itself."""
    if (executor == "dask") != bool(scheduler):
        raise UsageError(
            "--executor dask and --scheduler ADDRESS go together",
            hint="write `--executor dask --scheduler tcp://HOST:8786`, or neither",
        )
    if not scheduler:
        yield None
        return
    client = _client(scheduler)
    try:
        cluster = Cluster(client)
        cluster.wait(notify)
        yield cluster
    finally:
        with suppress(Exception):
            client.close(timeout=5)


def _client(scheduler: str) -> Client:
    """Connected, with TLS and all else as Dask's own configuration has it."""
    try:
        from distributed import Client
    except ImportError:
        raise UsageError(
            "`--executor dask` needs Dask, which is not installed", hint="pip install 'rowcall[dask]'"
        ) from None
    try:
        with ThreadPoolExecutor(1) as thread:  # who calls may be inside an event loop, as in a notebook
            thread.submit(asyncio.run, _knock(scheduler)).result()
        return Client(scheduler, timeout=CONNECTING, set_as_default=False)
    except OSError:
        raise ClusterFailed(
            f"the scheduler at {scheduler} does not answer",
            hint="check the address and whether `dask scheduler` runs; with TLS, Dask's configuration and the certificates",
        ) from None
    except (ValueError, TypeError, ImportError, RuntimeError):
        raise UsageError(
            f"{scheduler} cannot be used as a scheduler's address",
            hint="write tcp://HOST:PORT or tls://HOST:PORT; tls needs distributed.comm.tls in Dask's configuration",
        ) from None


async def _knock(scheduler: str) -> None:
    """Whether somebody answers: a Client that cannot connect would hang in its own end, and log a traceback."""
    from dask import config
    from distributed.comm import connect
    from distributed.security import Security

    if not config.get("distributed.client.security-loader"):
        comm = await connect(scheduler, timeout=CONNECTING, **Security().get_connection_args("client"))
        await comm.close()


class Cluster:
    """The pool over a connected client."""

    settle = staticmethod(outpost.settle)

    def __init__(self, client: Client) -> None:
        self.client, self.executor = client, client.get_executor(pure=False)
        self.threads, self._seen, self._next = 0, time.monotonic(), 0.0

    @property
    def room(self) -> int:
        return max(2 * self.threads, 1)  # so that no thread waits for the next task to arrive

    def wait(self, notify: Notify) -> None:
        """Until the cluster has a worker."""
        self.look()
        if not self.threads:
            notify(f"the cluster has no workers yet: waiting up to {ARRIVING:.0f} s for one")
        while not self.threads:
            time.sleep(LOOK / 10)
            self._next = 0.0
            self.look()

    def submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        try:
            future: Future[T] = self.executor.submit(work, *arguments)
        except Exception:  # a client that has lost its scheduler says so in many ways
            raise _lost() from None
        return future

    def result(self, future: Future[T]) -> T:
        from distributed import KilledWorker

        try:
            return future.result()
        except RowcallError:
            raise
        except (KilledWorker, CancelledError):
            raise WorkerLost from None
        except Exception as error:
            raise ClusterFailed(
                f"a worker of the cluster cannot take a task ({type(error).__name__})",
                hint=f"install rowcall {__version__} in the environment of every worker",
            ) from None

    def look(self) -> None:
        """Raises ClusterFailed where the scheduler is gone, or no worker was there for a minute."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LOOK
        self.threads = self._count()
        if self.threads:
            self._seen = now
        elif self.client.status not in ("running", "connecting"):
            raise _lost()
        elif now - self._seen > ARRIVING:
            raise ClusterFailed("the cluster has no workers", hint=f"start some with `dask worker`; {_GO_ON}")

    def _count(self) -> int:
        """The threads of all workers; 0 where nobody tells."""
        try:
            return sum(self.client.nthreads(callback_timeout=LOOK).values())
        except Exception:  # whatever a broken connection raises
            return 0

    def give_up(self) -> None:
        with suppress(Exception):
            self.executor.shutdown(wait=False)

    def over(self, job: Job) -> None:
        """Sends the workers home; those that do not hear it see by themselves that the run is over."""
        with suppress(Exception):
            self.client.run(outpost.leave, job, on_error="ignore")


_GO_ON = "see the cluster, then run again: every settled chunk is kept"


def _lost() -> ClusterFailed:
    return ClusterFailed("the connection to the scheduler is lost", hint=_GO_ON)
