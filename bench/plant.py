"""The simulated plant: a source, a target and engines, through which chunks flow. Built on simpy, a discrete-event simulator.

A chunk takes one step after the other, as the engine's threads do: the source reads it while its rows cross the network, an
engine judges and encodes it, the target takes its rows, then its ledger lines. Every resource serves who comes first. What is
not in it: locks that sessions wait for, caches that grow cold, a planner that changes its mind, neighbours on shared disks.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

import simpy

from bench.rates import Rates, Statement
from rowcall.migration import BUILDERS
from rowcall.plan.plan import CHUNK_ROWS
from rowcall.plan.workers import MOST

GIGABIT, MEGABYTE, GIGABYTE = 1e9 / 8, 1e6, 1e9
CHUNKS = 1500  # simulated at most; of more rows each stands for several
WAVES = 15  # but at least so many for every thread
TURN = 0.02  # of a statement's time: then others may have the processor
PARALLEL = 2  # workers of one statement: max_parallel_maintenance_workers, max_parallel_workers_per_gather
HELPED = 0.22  # processor time that each of them adds to the building of an index (20 million uuids 0.27, bigints 0.18)
CACHED = 0.75  # of a server's memory that keeps what it read
Steps = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class Setup:
    """The machines. `workers` are engine machines of `worker_cores` each; a disk of 0 MB/s is never waited for.

    `one_machine`: everything shares the target's cores and disk, and no row crosses a network.
    """

    rows: int
    workers: int = 1
    worker_cores: int = 8
    threads: int = 0  # chunks at a time on each engine; 0: as `workers: auto` has it
    source_cores: int = 8
    target_cores: int = 8
    network: float = 10.0  # Gbit/s of each machine, either way
    source_disk: float = 1000.0  # MB/s
    target_disk: float = 1000.0
    memory: float = 64.0  # GB of the target, by which it need not read again what it wrote
    sessions: int = BUILDERS  # that build keys at a time
    one_machine: bool = False
    parents: int = 0  # rows of the entities that the rows refer to
    losses: tuple[float, ...] = ()  # seconds after the first row at which an engine machine is lost for good
    notice: float = 30.0  # seconds until its chunks are given to another

    @property
    def threads_each(self) -> int:
        return self.threads or min(self.worker_cores, MOST)

    @property
    def helpers(self) -> int:
        """Parallel workers of each index that is built, as the engine lets the server have them."""
        return max(min(self.threads_each // self.sessions - 1, PARALLEL), 0)


class Part:
    """Something that serves so many at a time: cores, a disk, one way of a network card. `speed` is units per second of each."""

    def __init__(self, env: simpy.Environment, name: str, capacity: int, speed: float = 1.0) -> None:
        self.env, self.name, self.capacity, self.speed = env, name, capacity, speed
        self.resource = simpy.Resource(env, capacity)
        self.busy = 0.0

    def use(self, units: float, turns: int = 1) -> Steps:
        """Waits for a place and keeps it for the time that the units take; a long use takes turns with others."""
        if units <= 0 or self.speed <= 0:
            return
        for _ in range(turns):
            with self.resource.request() as place:
                yield place
                taken = units / self.speed / turns
                yield self.env.timeout(taken)
                self.busy += taken


@dataclass(frozen=True)
class Phase:
    """`load` is part -> the share of its capacity that was used meanwhile."""

    name: str
    seconds: float
    load: dict[str, float]

    @property
    def busiest(self) -> str:
        return max(self.load, key=lambda part: self.load[part])


@dataclass(frozen=True)
class Outcome:
    """How a run went. `repeated` rows were begun on a machine that was lost."""

    setup: Setup
    phases: tuple[Phase, ...]
    settled: int
    repeated: int

    @property
    def seconds(self) -> float:
        return sum(phase.seconds for phase in self.phases)

    @property
    def rows_per_second(self) -> float:
        return self.setup.rows / self.seconds

    def phase(self, name: str) -> Phase:
        return next(phase for phase in self.phases if phase.name == name)


class Engine:
    """One engine machine."""

    def __init__(self, env: simpy.Environment, setup: Setup, cores: Part | None) -> None:
        speed = 0.0 if setup.one_machine else setup.network * GIGABIT
        self.cores = cores or Part(env, "engines' cores", setup.worker_cores)
        self.inward, self.outward = Part(env, "engines' network", 1, speed), Part(env, "engines' network", 1, speed)
        self.threads: list[simpy.Process] = []
        self.lost = False


@dataclass
class Plant:
    """One simulation."""

    setup: Setup
    rates: Rates
    env: simpy.Environment = field(default_factory=simpy.Environment)
    settled: int = 0
    repeated: int = 0

    def __post_init__(self) -> None:
        env, setup = self.env, self.setup
        one, wire = setup.one_machine, 0.0 if setup.one_machine else setup.network * GIGABIT
        self.target = Part(env, "the machine's cores" if one else "target's cores", setup.target_cores)
        self.source = self.target if one else Part(env, "source's cores", setup.source_cores)
        self.target_disk = Part(env, "the machine's disk" if one else "target's disk", 1, setup.target_disk * MEGABYTE)
        self.source_disk = self.target_disk if one else Part(env, "source's disk", 1, setup.source_disk * MEGABYTE)
        self.source_wire = Part(env, "source's network", 1, wire)
        self.target_wire = Part(env, "target's network", 1, wire)
        self.engines = [Engine(env, setup, self.target if one else None) for _ in range(1 if one else setup.workers)]
        self.crossing = self.rates.parents(setup.parents)[1]
        self.chunks = simpy.Store(env)
        self.all_settled = env.event()

    # -- the run ----------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        phases = []
        for name, steps in (("start", self._start), ("rows", self._rows), ("keys", self._keys)):
            begun, busy = self.env.now, self._busy()
            self.env.run(self.env.process(steps()))
            phases.append(self._phase(name, self.env.now - begun, busy))
        return Outcome(self.setup, tuple(phases), self.settled, self.repeated)

    def _start(self) -> Steps:
        yield self._do(self.engines[0].cores.use(self.rates.start))
        yield self._do(self.source.use(self.rates.plan_cpu * self.setup.rows, ceil(1 / TURN)))

    def _rows(self) -> Steps:
        for rows in self._sizes():
            self.chunks.put(rows)
        yield self._all(*(engine.cores.use(self.rates.parents(self.setup.parents)[0]) for engine in self.engines))
        for engine in self.engines:
            engine.threads = [self._do(self._thread(engine)) for _ in range(self.setup.threads_each)]
        for engine, at in zip(self.engines, self.setup.losses, strict=False):
            self._do(self._loss(engine, at))
        yield self.all_settled

    def _sizes(self) -> Iterable[int]:
        """Rows of each simulated chunk."""
        threads = len(self.engines) * self.setup.threads_each
        number = min(ceil(self.setup.rows / CHUNK_ROWS), max(CHUNKS, WAVES * threads))
        each, rest = divmod(self.setup.rows, number)
        return (each + (place < rest) for place in range(number))

    def _thread(self, engine: Engine) -> Steps:
        while True:
            rows = None
            try:
                rows = yield self.chunks.get()
                yield from self._chunk(engine, rows)
            except simpy.Interrupt:
                if rows is not None:
                    self._do(self._again(rows))
                return
            self.settled += rows
            if self.settled == self.setup.rows:
                self.all_settled.succeed()

    def _chunk(self, engine: Engine, rows: int) -> Steps:
        rates, read, sent = self.rates, self.rates.read_bytes * rows, self.rates.sent_bytes * rows
        yield self._all(
            self.source.use(rates.read_cpu * rows),
            self.source_disk.use(rates.source_bytes * rows),
            self.source_wire.use(read),
            engine.inward.use(read),
        )
        yield from engine.cores.use((rates.engine_cpu + self.crossing) * rows)
        yield self._all(
            self.target.use((rates.write_cpu + rates.ledger_cpu) * rows),
            self.target_disk.use((rates.heap_bytes + rates.ledger_bytes + rates.wal_bytes) * rows),
            engine.outward.use(sent),
            self.target_wire.use(sent),
        )

    def _loss(self, engine: Engine, at: float) -> Steps:
        yield self.env.timeout(at)
        engine.lost = True
        for thread in engine.threads:
            if thread.is_alive:
                thread.interrupt()

    def _again(self, rows: int) -> Steps:
        """What a lost machine had begun, once the loss is noticed."""
        self.repeated += rows
        yield self.env.timeout(self.setup.notice)
        self.chunks.put(rows)

    # -- the end ----------------------------------------------------------------------------------------------------

    def _keys(self) -> Steps:
        sessions, rows = simpy.Resource(self.env, self.setup.sessions), self.setup.rows

        def build(name: str) -> Steps:
            with sessions.request() as session:
                yield session
                yield from self._index(self.rates.index(name, rows), self.setup.helpers)

        yield self._all(*map(build, self.rates.indexes))
        yield self._all(self._attached(), self._gate())

    def _index(self, statement: Statement, helpers: int) -> Steps:
        measured = 1 + (HELPED * PARALLEL if statement.workers else 0)
        each = (statement.leader + statement.workers) / measured * (1 + HELPED * helpers) / (1 + helpers)
        yield from self._at_target(replace(statement, leader=each, workers=each * helpers), helpers)

    def _attached(self) -> Steps:
        for name in self.rates.foreign_keys:
            yield from self._at_target(self.rates.foreign_key(name, self.setup.rows))
        yield from self.target.use(self.rates.analyze)

    def _gate(self) -> Steps:
        source, target = self.rates.gate(self.setup.rows)
        yield self._all(self._statement(source, self.source, self.source_disk), self._at_target(target))

    def _at_target(self, statement: Statement, helpers: int = PARALLEL) -> Steps:
        """What the target wrote it need not read, as long as its memory keeps it."""
        written = (self.rates.heap_bytes + self.rates.ledger_bytes) * self.setup.rows
        cached = written <= CACHED * self.setup.memory * GIGABYTE
        kept = replace(statement, read=0.0) if cached else statement
        yield from self._statement(kept, self.target, self.target_disk, helpers)

    def _statement(self, statement: Statement, cores: Part, disk: Part, helpers: int = PARALLEL) -> Steps:
        turns = ceil(1 / TURN)
        steps = [cores.use(statement.leader, turns), disk.use(statement.disk + statement.read, turns)]
        steps += [cores.use(statement.workers / helpers, turns) for _ in range(helpers)]
        yield self._all(*steps)

    # -- bookkeeping ------------------------------------------------------------------------------------------------

    def _do(self, steps: Steps) -> simpy.Process:
        return self.env.process(steps)

    def _all(self, *steps: Steps) -> simpy.Event:
        return simpy.AllOf(self.env, [self._do(step) for step in steps])

    def _parts(self) -> list[Part]:
        engines = [part for e in self.engines for part in (e.cores, e.inward, e.outward)]
        return [
            self.source,
            self.source_disk,
            self.source_wire,
            *engines,
            self.target,
            self.target_disk,
            self.target_wire,
        ]

    def _busy(self) -> dict[int, float]:
        return {id(part): part.busy for part in self._parts()}

    def _phase(self, name: str, seconds: float, before: dict[int, float]) -> Phase:
        """The loads of parts with one name are told as one: the engines are alike."""
        parts = {id(part): part for part in self._parts()}
        used: dict[str, float] = {}
        room: dict[str, float] = {}
        for key, part in parts.items():
            used[part.name] = used.get(part.name, 0.0) + part.busy - before[key]
            room[part.name] = room.get(part.name, 0.0) + part.capacity * seconds
        return Phase(name, seconds, {part: used[part] / room[part] if seconds else 0.0 for part in used})


def simulate(setup: Setup, rates: Rates) -> Outcome:
    """Raises ValueError where no engine would be left."""
    if len(setup.losses) >= (1 if setup.one_machine else setup.workers):
        raise ValueError("an engine must be left")
    return Plant(setup, rates).run()
