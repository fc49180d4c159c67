"""Many watchers of a target, in a process of their own, as the measurement talks to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from phaseline.bench.processes import Running, process
from phaseline.bench.target import Target
from phaseline.bench.watchers import Came, Sight


class Audience:
    """Watchers that have the present state."""

    def __init__(self, running: Running) -> None:
        self._running = running

    async def sight(self) -> Sight:
        """Return when each of those "seeing" saw the next start that all of them have seen."""
        return msgspec.json.decode(await self._running.hear(), type=Sight)

    async def begin(self) -> None:
        """Let those "following" and "watching" measure from now on."""
        await self._running.say("begin")

    async def came(self) -> Came:
        """Return what came to those who measure since `begin`."""
        await self._running.say("end")
        return msgspec.json.decode(await self._running.hear(), type=Came)


@asynccontextmanager
async def audience(
    target: Target, count: int, manner: str, ids: Sequence[str] = ()
) -> AsyncIterator[Audience]:
    """
    Let so many watch beside the block, "seeing" and so on.

    Those "watching" share the executions *ids*; all others watch what is active.
    """
    arguments = ("phaseline.bench.watchers", target.address, str(count), manner, *ids)
    async with process(*arguments) as running:
        await running.hear()
        yield Audience(running)
