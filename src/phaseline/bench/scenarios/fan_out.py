"""How long it takes until each of many watchers has seen one change."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

from phaseline.bench.audience import Audience, audience
from phaseline.bench.load import loaded
from phaseline.bench.results import Goal, Result
from phaseline.bench.stage import Stage
from phaseline.bench.target import Target
from phaseline.v1 import execution_service_pb2 as pb2

_WATCHERS = 500
_STARTS = 30
_GOAL = Goal(50, 20, is_most=True)


async def fan_out(stage: Stage) -> AsyncGenerator[Result]:
    """Yield the times from before an execution is started until each watcher has seen it."""
    async with stage.target() as target, audience(target, _WATCHERS, "seeing") as watching:
        await _sight(target, watching)
        taken = [at for _ in range(_STARTS) for at in await _sight(target, watching)]
        seen = loaded(taken, 1)
        name = f"a start seen by {_WATCHERS} watchers"
        yield Result(f"{name}, p50", seen.p50, "ms")
        yield Result(f"{name}, p99", seen.p99, "ms", goal=_GOAL)
        yield Result(f"{name}, longest", seen.longest, "ms")


async def _sight(target: Target, watching: Audience) -> list[float]:
    request = pb2.ExecuteRequest(
        workflow_id=await target.workflow(3), queue_name=target.queues.idle
    )
    began = time.monotonic()
    await target.executions.Execute(request)
    return [at - began for at in (await watching.sight()).seen]
