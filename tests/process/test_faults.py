"""Load while servers and workers are killed: what was acknowledged ends once, as it should."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from phaseline.bench.target import HANDLER
from phaseline.client import Client
from phaseline.v1 import execution_pb2, workflow_pb2
from tests.support.program import Program, ServerProgram, free_port

CALLERS = 8
PHASES = 3
PATIENCE = timedelta(seconds=60)
_SHORT_LEASES = {"PHASELINE_LEASES_DURATION": "5s"}
_WORKER = ("worker", "--module", "phaseline.bench.workers", "--slots", "16")


@dataclass
class Tally:
    """What became of the load."""

    acknowledged: set[str] = field(default_factory=set)
    completed: int = 0
    retried: int = 0
    #: Acknowledged, and unknown or not as they should be afterwards.
    lost: list[str] = field(default_factory=list)


class Processes:
    """A server and its workers, any of which is killed now and then and started again."""

    def __init__(self, database: Path, workers: int) -> None:
        self._database, self._port = database, free_port()
        self.address = f"127.0.0.1:{self._port}"
        self._server = self._start_server()
        self._workers = [self._start_worker() for _ in range(workers)]

    def kill_server(self) -> None:
        self._server.kill()
        self._server = self._start_server()

    def kill_worker(self, which: int) -> None:
        self._workers[which].kill()
        self._workers[which] = self._start_worker()

    def kill_all(self) -> None:
        for program in (self._server, *self._workers):
            program.kill()

    def _start_server(self) -> ServerProgram:
        return ServerProgram(self._database, port=self._port)

    def _start_worker(self) -> Program:
        return Program(*_WORKER, "--server", self.address, environment=_SHORT_LEASES)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    running = Processes(tmp_path / "phaseline.db", workers=2)
    yield running
    running.kill_all()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.long)])
async def test_nothing_acknowledged_is_lost_under_kills(processes: Processes, kills: int) -> None:
    async with Client(processes.address, timeout=PATIENCE) as client:
        await client.apply_workflow(_workflow())
        tally = Tally()
        async with _load(client, tally):
            await _kill(processes, client, tally, kills)
        await _settle(client, tally)
    assert (tally.lost, tally.completed) == ([], len(tally.acknowledged))


@asynccontextmanager
async def _load(client: Client, tally: Tally) -> AsyncIterator[None]:
    """Let callers start executions beside the block."""
    is_over = asyncio.Event()

    async def call() -> None:
        while not is_over.is_set():
            tally.acknowledged.add((await client.execute("three")).execution_id)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CALLERS):
            tasks.create_task(call())
        yield
        is_over.set()


async def _kill(processes: Processes, client: Client, tally: Tally, kills: int) -> None:
    """Kill one after the other, each after some more was acknowledged."""
    chance = random.Random(kills)
    for _ in range(kills):
        enough = len(tally.acknowledged) + chance.randrange(20, 100)
        while len(tally.acknowledged) < enough:
            await client.list(page_size=1)
        victim = chance.choice((processes.kill_server, lambda: processes.kill_worker(0)))
        await asyncio.to_thread(victim)


async def _settle(client: Client, tally: Tally) -> None:
    """Wait until all has ended, and see what became of it."""
    for execution_id in tally.acknowledged:
        execution = await client.wait(execution_id, timeout=PATIENCE)
        tally.retried += execution.retry_count
        if _is_right(execution):
            tally.completed += 1
        else:
            tally.lost.append(f"{execution_id} {execution}")
    known = (await client.list(page_size=1)).total_size
    if known != len(tally.acknowledged):
        tally.lost.append(f"{known} executions, {len(tally.acknowledged)} were acknowledged")


def _is_right(execution: execution_pb2.Execution) -> bool:
    """Whether every phase was completed by exactly one attempt, its last."""
    return execution.status == execution_pb2.EXECUTION_STATUS_COMPLETED and all(
        [attempt.HasField("failure") for attempt in phase.attempts]
        == [True] * (len(phase.attempts) - 1) + [False]
        for phase in execution.phases
    )


def _workflow() -> workflow_pb2.Workflow:
    policy = workflow_pb2.RetryPolicy(max_attempts=100)
    return workflow_pb2.Workflow(
        workflow_id="three",
        phases=[
            workflow_pb2.PhaseSpec(phase_id=f"p{at}", handler=HANDLER, retry_policy=policy)
            for at in range(PHASES)
        ],
    )
