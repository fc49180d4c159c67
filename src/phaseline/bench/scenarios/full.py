"""How far those are behind who watch single executions with all that these hold."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from phaseline.bench.audience import audience
from phaseline.bench.load import loaded, paced
from phaseline.bench.results import Result
from phaseline.bench.scenarios.lag import Changes
from phaseline.bench.stage import Stage

_WATCHERS = 200
_RATE = 200.0
_NAME = f"{_WATCHERS} full watches, {_RATE:.0f} changes/s"


async def full(stage: Stage) -> AsyncGenerator[Result]:
    """Yield lags, frames, and the memory of one; each watches an execution of its own."""
    seconds = stage.plan.seconds
    async with stage.target() as target:
        ids = await target.start_idle(_WATCHERS)
        changes = Changes(target, ids)
        await paced(changes.next, rate=_RATE, seconds=seconds)
        before = target.server.memory if target.is_ours else 0
        async with audience(target, _WATCHERS, "watching", ids) as watching:
            if target.is_ours:
                each = (target.server.memory - before) / _WATCHERS / 1000
                yield Result(f"{_NAME}, memory of one", each, "kB")
            await watching.begin()
            written = await paced(changes.next, rate=_RATE, seconds=seconds)
            came = await watching.came()
        behind = loaded(came.lags, written.seconds)
        yield Result(f"{_NAME}, lag, p50", behind.p50, "ms")
        yield Result(f"{_NAME}, lag, p99", behind.p99, "ms")
        yield Result(f"{_NAME}, lag, longest", behind.longest, "ms")
        yield Result(f"{_NAME}, frames to all", came.frames / written.seconds, "/s")
        yield Result(f"{_NAME}, writes", written.rate, "/s")
