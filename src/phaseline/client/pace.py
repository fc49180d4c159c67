"""When to try again: a clock, and delays that grow."""

import asyncio
import random
import time
from typing import Protocol

from phaseline.domain.errors import PhaselineError, ResourceExhausted, Unavailable

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
_GROWTH = 2.0


class Clock(Protocol):
    """Tells the time and lets it pass, in seconds."""

    def now(self) -> float:
        """Return the time of a clock that never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return after that time."""


class LoopClock:
    """The time of an event loop."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Backoff:
    """
    Delays between attempts, longer each time.

    Each is drawn from its upper half, so that clients cut off together do not return together.
    """

    def __init__(self) -> None:
        self._delay = FIRST_DELAY

    def reset(self) -> None:
        """Begin anew, after an attempt that worked."""
        self._delay = FIRST_DELAY

    def next(self, at_least: float = 0.0) -> float:
        """Return the next delay in seconds."""
        half = self._delay / 2
        self._delay = min(self._delay * _GROWTH, LONGEST_DELAY)
        return max(half, at_least) + random.uniform(0, half)

    def after(self, error: PhaselineError) -> float:
        """Return the next delay, no shorter than *error* asks for."""
        return self.next(error.retry_after.total_seconds() if error.retry_after else 0.0)


def is_worth_repeating(error: PhaselineError) -> bool:
    """Tell whether the same call may work after a while."""
    if isinstance(error, ResourceExhausted):
        return error.retry_after is not None  # waiting does not free what is used up
    return isinstance(error, Unavailable)
