"""What watchers cost while nothing happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from phaseline.bench.audience import audience
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
        server = target.server
        before = server.memory
        async with audience(target, _WATCHERS, "following"):
            name = f"{_WATCHERS} watchers of nothing"
            each = (server.memory - before) / _WATCHERS / 1000
            yield Result(f"{name}, memory of one", each, "kB", goal=_MEMORY)
            used = server.processor_time
            await asyncio.sleep(seconds)
            share = (server.processor_time - used) / seconds * 100
            yield Result(f"{name}, of one core", share, "%")
