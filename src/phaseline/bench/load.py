"""Putting load on a call: many callers, each making the next call once the last was answered."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec

Call = Callable[[], Awaitable[object]]

#: Seconds of one turn of calls that are measured side by side.
_TURN = 0.5


class Counted:
    """A call that counts how often it is made, in warm-ups too."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.calls = 0

    def __call__(self) -> Awaitable[object]:
        self.calls += 1
        return self._call()


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
    return loaded(*await _timed(call, callers, seconds))


async def side_by_side(
    first: Call, second: Call, *, callers: int, seconds: float, warm_up: float = 0.5
) -> tuple[Load, Load]:
    """
    Return what `load` does of two calls, each for so many *seconds* in all.

    They take turns, so that whatever else the machine does is done to both.
    """
    await _run(first, callers, warm_up)
    await _run(second, callers, warm_up)
    turns = max(round(seconds / _TURN), 1)
    ran = [
        [await _timed(call, callers, seconds / turns) for call in (first, second)]
        for _ in range(turns)
    ]
    one, other = (
        loaded([at for taken, _ in turn for at in taken], sum(took for _, took in turn))
        for turn in zip(*ran, strict=True)
    )
    return one, other


async def paced(call: Call, *, rate: float, seconds: float) -> Load:
    """
    Begin *rate* calls a second, whether those before were answered or not.

    The time of a call counts from when it was due, so a server that falls behind cannot hide it.
    """
    taken: list[float] = []
    began = time.perf_counter()

    async def one(due: float) -> None:
        await call()
        taken.append(time.perf_counter() - due)

    async with asyncio.TaskGroup() as tasks:
        for at in range(int(rate * seconds)):
            due = began + at / rate
            await asyncio.sleep(due - time.perf_counter())
            tasks.create_task(one(due))
    return loaded(taken, time.perf_counter() - began)


def loaded(taken: Sequence[float], seconds: float) -> Load:
    """Return the figures of calls that took so many seconds each."""
    ordered = sorted(taken)
    return Load(
        calls=len(ordered),
        seconds=seconds,
        p50=percentile(ordered, 0.50) * 1000,
        p99=percentile(ordered, 0.99) * 1000,
        longest=percentile(ordered, 1) * 1000,
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the least of the *ordered* values that *share* of them do not exceed; 0 for none."""
    if not ordered:
        return 0.0
    return ordered[max(math.ceil(len(ordered) * share) - 1, 0)]


async def _timed(call: Call, callers: int, seconds: float) -> tuple[list[float], float]:
    began = time.perf_counter()
    return await _run(call, callers, seconds), time.perf_counter() - began


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
