"""Notices that the process stood still, or that the time of day jumped."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

#: Seconds between two turns. Timers ask for one in each second; another is for what is slow.
_LONGEST_REST = 2.0
#: Seconds by which the time of day may leave the elapsed time between two turns.
_LONGEST_JUMP = 1.0


class Elapsed(Protocol):
    """Tells how much time has passed."""

    def time(self) -> float:
        """Return seconds that never jump, meaningful by difference."""


class Pulse:
    """Notices whether one turn of the writer followed on the other as it should have."""

    def __init__(self, clock: Elapsed) -> None:
        self._clock = clock
        self._last: tuple[datetime, float] | None = None

    def skipped(self, now: datetime) -> bool:
        """Whether, before the turn of *now*, there was a time in which nobody could be heard."""
        time, last = self._clock.time(), self._last
        self._last = now, time
        if last is None:
            return False
        rested = time - last[1]
        jumped = (now - last[0]).total_seconds() - rested
        return rested > _LONGEST_REST or abs(jumped) > _LONGEST_JUMP
