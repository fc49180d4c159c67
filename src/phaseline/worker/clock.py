"""Time as a worker needs it: of day, elapsed, and as alarms."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Call nothing. Harmless once it has called."""


class Clock(Protocol):
    """Tells the time, and calls back when it has come."""

    def now(self) -> datetime:
        """Return the present moment, UTC. May jump; for people to read. Callable in any thread."""

    def time(self) -> float:
        """Return seconds that never jump, meaningful by difference. Callable in any thread."""

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call *callback* on the event loop once `time()` has reached *when*."""


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def time(self) -> float:
        return time.monotonic()

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(when - self.time(), callback)


async def sleep(clock: Clock, duration: timedelta) -> None:
    """Return once *duration* has passed by *clock*."""
    passed = asyncio.Event()
    timer = clock.call_at(clock.time() + duration.total_seconds(), passed.set)
    try:
        await passed.wait()
    finally:
        timer.cancel()


class Alarm:
    """Calls back at the earliest of the times asked for, once, and then has forgotten them all."""

    def __init__(self, clock: Clock, callback: Callable[[], object]) -> None:
        self._clock = clock
        self._callback = callback
        self._when: float | None = None
        self._timer: Timer | None = None

    def by(self, when: float) -> None:
        """Ring no later than at *when*; infinity asks for nothing."""
        if when == float("inf") or (self._when is not None and self._when <= when):
            return
        self.off()
        self._when = when
        self._timer = self._clock.call_at(when, self._ring)

    def off(self) -> None:
        """Do not ring."""
        if self._timer is not None:
            self._timer.cancel()
        self._when = self._timer = None

    def _ring(self) -> None:
        self._when = self._timer = None
        self._callback()
