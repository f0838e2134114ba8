"""A chunk as a task, and the station that settles it: the same in a thread of the run and on another machine.

A task may be done more than once (a cluster runs it again where it believes a worker lost): whoever comes first settles
the chunk, and whoever comes later under the same lease finds its sums in the ledger. Under an older lease nobody commits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from rowcall.ledger.book import EntityRecord, Ledger
from rowcall.mapping.model import Endpoint
from rowcall.mapping.travel import nameless
from rowcall.move.assignment import assign
from rowcall.move.worker import Crew
from rowcall.plan.plan import Plan
from rowcall.rows import Counts
from rowcall.version import __version__


@dataclass(frozen=True)
class Job:
    """One command's work on a run, as other machines must know it: neither a dsn nor anything else that is secret.

    `snapshot` is the name under which the source's snapshot was exported, `number` the ledger's number of it; `version` is
    rowcall's. The endpoints name a variable or a service; where the project has a dsn, they name nothing.
    """

    run: UUID
    version: str
    fingerprint: str
    snapshot: str
    number: int
    source: Endpoint
    target: Endpoint


@dataclass(frozen=True)
class Task:
    """One chunk under one lease. Its key range stands in the ledger under its number: keys may be patients' own numbers,
    and a cluster logs the tasks that it runs."""

    job: Job
    entity: str
    chunk: int
    epoch: int


def job_of(plan: Plan, ledger: Ledger, snapshot: str, number: int) -> Job:
    mapping = plan.mapping
    endpoints = nameless(mapping.source), nameless(mapping.target)
    return Job(ledger.run().id, __version__, mapping.fingerprint, snapshot, number, *endpoints)


class Station:
    """Settles tasks with the workers of one crew. `snapshot` is the ledger's number of what they read."""

    def __init__(self, plan: Plan, entities: Mapping[str, EntityRecord], crew: Crew, snapshot: int) -> None:
        self.crew, self.snapshot = crew, snapshot
        self.work = {name: assign(plan, record) for name, record in entities.items()}

    def settle(self, task: Task) -> Counts:
        """The chunk's sums, settled now or before. Raises LedgerConflict where the lease is another's."""
        with self.crew.lent() as worker:
            ledger = Ledger(worker.session)
            with ledger.holding(task.chunk, worker.stopping):
                chunk, counts = ledger.leased(task.chunk, task.epoch)
                return counts or worker.settle(self.work[task.entity], chunk, self.snapshot)
