"""Load while a server and its workers are killed, and what became of what was acknowledged."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from phaseline.bench.processes import Running, free_port, process
from phaseline.bench.target import HANDLER
from phaseline.client import Client
from phaseline.v1 import execution_pb2, execution_service_pb2, workflow_pb2

SERVER = "server"
WORKERS = ("worker 1", "worker 2")

_CALLERS = 8
_PHASES = 3
WORKFLOW = "killed"
_SLOTS = "16"
#: So long a caller tries again, and waits for an end: longer than a lease of a killed worker.
PATIENCE = timedelta(seconds=60)
_SHORT_LEASES = {"PHASELINE_LEASES_DURATION": "5s"}
#: Starts that are acknowledged between one kill and the next.
_BETWEEN = (20, 100)


@dataclass
class Tally:
    """What became of the load."""

    acknowledged: set[str] = field(default_factory=set)
    completed: int = 0
    retried: int = 0
    #: Acknowledged, and unknown or not as they should be afterwards, and how they are.
    lost: list[str] = field(default_factory=list)
    #: How often each process ended before it was told to.
    deaths: Counter[str] = field(default_factory=Counter)
    #: What it then ended with.
    exit_codes: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    #: When the load began, in seconds of a clock that never jumps.
    began_at: float = 0.0

    @property
    def seconds(self) -> float:
        """How long the load has lasted."""
        return time.monotonic() - self.began_at


class Crew:
    """A server and its workers, each of which is started again when it ends."""

    def __init__(self, database: str, lives: Iterable[Mapping[str, str]]) -> None:
        self._database, self._lives = database, iter(lives)
        self._port = free_port()
        self._running: dict[str, Running] = {}
        self.deaths: Counter[str] = Counter()
        self.exit_codes: defaultdict[str, set[int]] = defaultdict(set)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Keep all of them running beside the block."""
        async with asyncio.TaskGroup() as tasks:
            lives = [tasks.create_task(self._live(name)) for name in (SERVER, *WORKERS)]
            yield
            for life in lives:
                life.cancel()

    async def kill(self, name: str) -> None:
        """End one as a power cut would, if it runs."""
        if name in self._running:
            await self._running[name].kill()

    async def _live(self, name: str) -> None:
        is_server = name == SERVER
        arguments = self._serving() if is_server else self._working()
        while True:
            environment = next(self._lives, None) if is_server else _SHORT_LEASES
            async with process(*arguments, given="", environment=environment) as running:
                self._running[name] = running
                code = await running.ended()
                self.deaths[name] += 1
                self.exit_codes[name].add(code)

    def _serving(self) -> tuple[str, ...]:
        return ("phaseline", "serve", "--listen", self.address, "--db", self._database)

    def _working(self) -> tuple[str, ...]:
        own = ("--module", "phaseline.bench.workers", "--slots", _SLOTS)
        return ("phaseline", "worker", *own, "--server", self.address)


async def tally_of(
    database: str,
    is_enough: Callable[[Tally], bool],
    *,
    kills: bool = True,
    lives: Iterable[Mapping[str, str]] = (),
    seed: int = 0,
) -> Tally:
    """
    Put load on a server until *is_enough*, let all of it end, and return what became of it.

    Unless *kills* is false, the server and its workers are killed all the while, in an order that
    *seed* makes. *lives* add to the environment of the first server, the second, and so on.
    """
    crew, chance = Crew(database, lives), random.Random(seed)
    load = Load(crew)
    async with crew.at_work(), Client(crew.address, timeout=PATIENCE) as client:
        await client.apply_workflow(workflow())
        async with load.on(client):
            while not is_enough(load.tally):
                await load.grown(chance.randint(*_BETWEEN))
                if kills:
                    await crew.kill(chance.choice((SERVER, SERVER, *WORKERS)))
        await load.settle(client)
    return load.tally


class Mortal(Protocol):
    """Processes of which some end before they are told to."""

    deaths: Counter[str]
    exit_codes: defaultdict[str, set[int]]


class Load:
    """Callers that start executions, and count them once that is acknowledged."""

    def __init__(self, crew: Mortal) -> None:
        self.tally = Tally(deaths=crew.deaths, exit_codes=crew.exit_codes)
        self._came = asyncio.Event()
        #: Names those of this load in a database that has others.
        self._user_id = f"load-{secrets.token_hex(4)}"

    @asynccontextmanager
    async def on(self, client: Client) -> AsyncIterator[None]:
        """Let the callers call beside the block."""
        is_over = asyncio.Event()

        async def call() -> None:
            while not is_over.is_set():
                started = await client.execute(WORKFLOW, user_id=self._user_id)
                self.tally.acknowledged.add(started.execution_id)
                self._came.set()

        self.tally.began_at = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_CALLERS):
                tasks.create_task(call())
            yield
            is_over.set()

    async def grown(self, by: int) -> None:
        """Return once so many more were acknowledged."""
        enough = len(self.tally.acknowledged) + by
        while len(self.tally.acknowledged) < enough:
            self._came.clear()
            await self._came.wait()

    async def settle(self, client: Client) -> None:
        """Wait until all has ended, and see what became of it."""
        tally = self.tally
        for execution_id in tally.acknowledged:
            execution = await client.wait(execution_id, timeout=PATIENCE)
            tally.retried += execution.retry_count
            if is_right(execution):
                tally.completed += 1
            else:
                tally.lost.append(f"{execution_id} {execution}")
        own = execution_service_pb2.ExecutionFilter(user_ids=[self._user_id])
        known = (await client.list(filter=own, page_size=1)).total_size
        if known != len(tally.acknowledged):
            tally.lost.append(f"{known} executions, {len(tally.acknowledged)} were acknowledged")


def is_right(execution: execution_pb2.Execution) -> bool:
    """Whether every phase was completed by exactly one attempt, its last, and by no other."""
    return execution.status == execution_pb2.EXECUTION_STATUS_COMPLETED and all(
        [attempt.HasField("failure") for attempt in phase.attempts]
        == [True] * (phase.attempt - 1) + [False]
        for phase in execution.phases
    )


def workflow() -> workflow_pb2.Workflow:
    """Return what the load is made of; its phases run again as often as they must."""
    policy = workflow_pb2.RetryPolicy(max_attempts=100)
    return workflow_pb2.Workflow(
        workflow_id=WORKFLOW,
        phases=[
            workflow_pb2.PhaseSpec(phase_id=f"p{at}", handler=HANDLER, retry_policy=policy)
            for at in range(_PHASES)
        ],
    )
