"""How long a server is away that was ended as by a power cut."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

from phaseline.bench.results import Goal, Result
from phaseline.bench.scenarios.history import ACTIVE
from phaseline.bench.stage import Stage
from phaseline.v1 import execution_service_pb2 as pb2

_GOAL = Goal(2, 0.5, is_most=True)


async def restart(stage: Stage) -> AsyncGenerator[Result]:
    """Yield the seconds from its start until a server answers, with nothing and with a history."""
    async for result in _start(stage, stage.fresh(), "start with nothing"):
        yield result
    size = max(stage.plan.executions)
    async with stage.grown(size) as target:
        await target.keep_idle(ACTIVE)
        await target.server.kill()
    name = f"start after kill -9, {size:,} executions, {ACTIVE} active"
    database = await stage.database_of(size)
    async for result in _start(stage, database, name, _GOAL):
        yield result


async def _start(
    stage: Stage, database: str, name: str, goal: Goal | None = None
) -> AsyncGenerator[Result]:
    began = time.perf_counter()
    async with stage.target(database=database) as target:
        await target.executions.ListActive(pb2.ListActiveRequest())
        yield Result(name, time.perf_counter() - began, "s", goal=goal)
        yield Result(f"{name}, processor time", target.server.processor_time, "s")
