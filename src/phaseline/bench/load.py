"""Putting load on a call: many callers, each making the next call once the last was answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec

Call = Callable[[], Awaitable[object]]


class Load(msgspec.Struct, frozen=True):
    """What a number of callers got done; times are in milliseconds."""

    calls: int
    seconds: float
    p50: float
    p99: float
    longest: float

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.calls / self.seconds


async def load(call: Call, *, callers: int, seconds: float, warm_up: float = 0.5) -> Load:
    """Let *callers* make *call* for so long, after a warm-up that does not count."""
    await _run(call, callers, warm_up)
    began = time.perf_counter()
    taken = await _run(call, callers, seconds)
    return loaded(taken, time.perf_counter() - began)


def loaded(taken: Sequence[float], seconds: float) -> Load:
    """Return the figures of calls that took so many seconds each."""
    ordered = sorted(taken)
    return Load(
        calls=len(ordered),
        seconds=seconds,
        p50=percentile(ordered, 0.50) * 1000,
        p99=percentile(ordered, 0.99) * 1000,
        longest=ordered[-1] * 1000 if ordered else 0.0,
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value that *share* of the *ordered* ones do not exceed; 0 for none."""
    if not ordered:
        return 0.0
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


async def _run(call: Call, callers: int, seconds: float) -> list[float]:
    taken: list[float] = []
    end = time.perf_counter() + seconds

    async def one() -> None:
        while (began := time.perf_counter()) < end:
            await call()
            taken.append(time.perf_counter() - began)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(callers):
            tasks.create_task(one())
    return taken
