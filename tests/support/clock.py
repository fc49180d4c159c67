"""A clock that moves only when a test says so."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)

#: Enough for what is ready to run to its next wait, through a few tasks that wake one another.
_TURNS = 20


async def turns(count: int = _TURNS) -> None:
    """Let what is ready run, *count* turns of the loop, without any time passing."""
    for _ in range(count):
        await asyncio.sleep(0)


class ManualTimer:
    """A call that is due on a `ManualClock`."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self._callback = None

    def ring(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class ManualClock:
    """A clock that moves only when a test says so."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed = timedelta()
        self._timers: list[tuple[timedelta, int, ManualTimer]] = []
        self._numbers = itertools.count()
        #: How often it was asked to call back: who asks with every turn spins.
        self.timers_set = 0

    def now(self) -> datetime:
        """Return the present moment, UTC."""
        return self._start + self._elapsed

    def time(self) -> float:
        """Return the seconds that the clock has moved."""
        return self._elapsed.total_seconds()

    def call_at(self, when: float, callback: Callable[[], object]) -> ManualTimer:
        """Call *callback* when the clock comes to *when*, or passes it, with a turn at least."""
        timer = ManualTimer(callback)
        self.timers_set += 1
        if when <= self.time():
            asyncio.get_running_loop().call_soon(timer.ring)
        else:
            # Rounded up: rung too early, if only by a fraction, a caller would ask for it again.
            due = timedelta(seconds=when)
            due += timedelta(microseconds=due.total_seconds() < when)
            heapq.heappush(self._timers, (due, next(self._numbers), timer))
        return timer

    async def sleep(self, duration: timedelta) -> None:
        """Return once the clock has moved by *duration*."""
        passed = asyncio.Event()
        timer = self.call_at(self.time() + duration.total_seconds(), passed.set)
        try:
            await passed.wait()
        finally:
            timer.cancel()

    def pass_(self, by: timedelta) -> None:
        """Move on within a turn, as time does while something runs; nobody is called for it."""
        self._elapsed += by

    def jump(self, by: timedelta) -> None:
        """Set the time of day, with which no time passes."""
        self._start += by

    async def advance(self, by: timedelta) -> None:
        """Move on, stopping at every time due on the way so that each timer sees its own time."""
        target = self._elapsed + by
        await turns()
        while self._timers and self._timers[0][0] <= target:
            self._elapsed, _, timer = heapq.heappop(self._timers)
            timer.ring()
            await turns()
        self._elapsed = target
        await turns()
