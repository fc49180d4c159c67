"""What a server holds of the machine's memory, with nothing to do and with active executions."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from phaseline.bench.results import Goal, Result
from phaseline.bench.stage import Stage

_FEW, _MANY = 20_000, 20_000
_IDLE = Goal(120, 70, is_most=True)
_ACTIVE = Goal(1, 0.5, is_most=True)


async def held(stage: Stage) -> AsyncGenerator[Result]:
    """Yield the memory of an idle server, and what each active execution adds to it."""
    async with stage.target() as target:
        server = target.server
        yield Result("memory, idle", server.memory / 1e6, "MB", goal=_IDLE)
        # The first pay for what all of them share: caches, and the newest changes in memory. Both
        # are bounded, and full by then.
        await target.start_idle(_FEW)
        before = server.memory
        await target.start_idle(_MANY)
        added = (server.memory - before) / _MANY / 1000
        yield Result("memory, an active execution", added, "kB", goal=_ACTIVE)
