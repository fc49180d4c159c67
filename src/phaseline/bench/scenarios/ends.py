"""How many executions go from start to end a second, and how long one alone takes."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from phaseline.bench.load import Call, Counted, Load, load
from phaseline.bench.results import Goal, Result
from phaseline.bench.stage import Stage
from phaseline.bench.target import Target
from phaseline.v1 import execution_pb2
from phaseline.v1 import execution_service_pb2 as pb2

CALLERS = 64
_CALL_TIMEOUT = 75.0

_RATE_GOALS = {"external": Goal(400, 1200), "embedded": Goal(600, 2000)}
_ALONE_GOAL = Goal(12, 5, is_most=True)
_GOAL_PHASES = 3


class NotCompleted(Exception):
    """An execution of the measurement ended otherwise."""


async def ends(stage: Stage) -> AsyncGenerator[Result]:
    """Yield executions a second and their times, with an external and an embedded worker."""
    for worker in stage.plan.workers:
        async with stage.target(worker=worker) as target:
            async for result in _figures(stage, target, worker):
                yield result


async def ending(target: Target, phases: int) -> Call:
    """Return a call that starts an execution of so many phases and waits for its end."""
    workflow_id = await target.workflow(phases)
    return lambda: one(target, workflow_id)


async def rate(call: Call, seconds: float) -> Load:
    """Return what the callers get done."""
    return await load(call, callers=CALLERS, seconds=seconds, warm_up=min(1.0, seconds))


async def one(target: Target, workflow_id: str) -> None:
    """Start an execution, and return once its end is known."""
    started = await target.executions.Execute(
        pb2.ExecuteRequest(workflow_id=workflow_id, queue_name=target.queues.working)
    )
    request = pb2.WaitRequest(
        execution_id=started.execution_id, view=execution_pb2.EXECUTION_VIEW_BASIC
    )
    while not (ended := await target.executions.Wait(request, timeout=_CALL_TIMEOUT)).satisfied:
        pass
    if ended.execution.status != execution_pb2.EXECUTION_STATUS_COMPLETED:
        raise NotCompleted(f"execution {started.execution_id} did not complete")


async def _figures(stage: Stage, target: Target, worker: str) -> AsyncGenerator[Result]:
    for phases in stage.plan.phases:
        name = f"{phases} phases, {worker} worker"
        goal = _RATE_GOALS[worker] if phases == _GOAL_PHASES else None
        counted = Counted(await ending(target, phases))
        used = target.server.processor_time if target.is_ours else 0
        figures = await rate(counted, stage.plan.seconds)
        yield Result(f"{name}, {CALLERS} callers", figures.rate, "/s", goal=goal)
        if target.is_ours:
            each = (target.server.processor_time - used) / counted.calls * 1e6
            yield Result(f"{name}, {CALLERS} callers, processor time of each", each, "us")
        yield Result(f"{name}, {CALLERS} callers, p50", figures.p50, "ms")
        yield Result(f"{name}, {CALLERS} callers, p99", figures.p99, "ms")
    alone = await load(await ending(target, _GOAL_PHASES), callers=1, seconds=stage.plan.seconds)
    name = f"{_GOAL_PHASES} phases, {worker} worker, 1 caller"
    yield Result(f"{name}, p50", alone.p50, "ms", goal=_ALONE_GOAL)
    yield Result(f"{name}, p99", alone.p99, "ms")
    yield Result(f"{name}, longest", alone.longest, "ms")
