"""How many executions go from start to end a second, and how long one alone takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import grpc

from phaseline.bench.load import loaded
from phaseline.bench.results import Result
from phaseline.bench.target import apply_workflow, executions
from phaseline.v1 import execution_pb2
from phaseline.v1 import execution_service_pb2 as pb2

CALLERS = 64
_ALONE = 100
_WAIT_TIMEOUT = 75.0


async def measure(
    address: str, *, seconds: float, worker: str, phases: tuple[int, ...] = (1, 3, 10)
) -> AsyncIterator[Result]:
    """Yield executions a second for each number of phases, and the time of one alone."""
    async with grpc.aio.insecure_channel(address) as channel:
        for count in phases:
            workflow_id = await apply_workflow(channel, count)
            await _run_for(channel, workflow_id, 0.5)
            rate = await _run_for(channel, workflow_id, seconds)
            yield Result(f"{count} phases end to end, {worker} worker", rate, "/s")
        workflow_id = await apply_workflow(channel, 3)
        taken = [await _one(channel, workflow_id) for _ in range(_ALONE)]
        alone = loaded(taken, sum(taken))
        yield Result(f"3 phases alone, {worker} worker, p50", alone.p50, "ms")
        yield Result(f"3 phases alone, {worker} worker, p99", alone.p99, "ms")


async def _run_for(channel: grpc.aio.Channel, workflow_id: str, seconds: float) -> float:
    """Return how many executions a second were started and completed."""
    end = time.perf_counter() + seconds
    began, completed = time.perf_counter(), 0

    async def caller() -> None:
        nonlocal completed
        while time.perf_counter() < end:
            await _one(channel, workflow_id)
            completed += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CALLERS):
            tasks.create_task(caller())
    return completed / (time.perf_counter() - began)


async def _one(channel: grpc.aio.Channel, workflow_id: str) -> float:
    """Return the seconds from before an execution was started until its end was known."""
    stub = executions(channel)
    began = time.perf_counter()
    started = await stub.Execute(pb2.ExecuteRequest(workflow_id=workflow_id))
    request = pb2.WaitRequest(
        execution_id=started.execution_id, view=execution_pb2.EXECUTION_VIEW_BASIC
    )
    ended = await stub.Wait(request, timeout=_WAIT_TIMEOUT)
    taken = time.perf_counter() - began
    if ended.execution.status != execution_pb2.EXECUTION_STATUS_COMPLETED:
        raise RuntimeError(f"execution {started.execution_id} did not complete")
    return taken
