"""What watchers cost while nothing happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from phaseline.bench.audience import audience
from phaseline.bench.processes import memory, processor_time
from phaseline.bench.results import Goal, Result
from phaseline.bench.stage import Stage

_WATCHERS = 1000
_BEFORE = 20
_MEMORY = Goal(30, 30, is_most=True)


async def idle(stage: Stage) -> AsyncGenerator[Result]:
    """Yield the memory of one watcher, and the processor time that all take with bookmarks."""
    seconds = stage.plan.seconds
    # The first few pay for what all of them share.
    async with stage.target() as target, audience(target, _BEFORE, "following"):
        pid = target.server.pid
        before = memory(pid)
        async with audience(target, _WATCHERS, "following"):
            name = f"{_WATCHERS} watchers of nothing"
            each = (memory(pid) - before) / _WATCHERS / 1000
            yield Result(f"{name}, memory of one", each, "kB", goal=_MEMORY)
            used = processor_time(pid)
            await asyncio.sleep(seconds)
            share = (processor_time(pid) - used) / seconds * 100
            yield Result(f"{name}, of one core", share, "%")
