"""Letting time act: leases end, delays pass, limits are reached."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from phaseline.app.controlling import Tick
from phaseline.app.ports import Clock, Entropy, Writer
from phaseline.domain.errors import Unavailable

_log = logging.getLogger(__name__)

# Also the longest time that a due moment goes unseen if another process set it.
_LONGEST_SLEEP = 1.0


class Alarm(Protocol):
    """Knows when time will next change an execution."""

    async def next_due(self) -> float | None:
        """Return the seconds until then, not negative; None if nothing is due ever."""

    async def sooner(self) -> None:
        """Return once that moment may have moved."""


class Timers:
    """Runs `Tick` whenever something is due, and sleeps in between."""

    def __init__(self, writer: Writer, alarm: Alarm, *, clock: Clock, entropy: Entropy) -> None:
        self._writer, self._alarm = writer, alarm
        self._clock, self._entropy = clock, entropy

    async def run(self) -> None:
        """Act until cancelled. A store that is away is tried again."""
        while True:
            try:
                await self._writer.post(Tick(self._entropy.fraction))
                await self._sleep()
            except Unavailable:
                _log.warning("timers wait for the store")
                await asyncio.sleep(_LONGEST_SLEEP)
            except Exception:  # noqa: BLE001 -- the edge of a background loop
                # A defect must not end what every lease, retry and timeout depends on.
                _log.exception("timers broke")
                await asyncio.sleep(_LONGEST_SLEEP)

    async def _sleep(self) -> None:
        due = await self._alarm.next_due()
        pause = _LONGEST_SLEEP if due is None else min(due, _LONGEST_SLEEP)
        try:
            async with asyncio.timeout(pause):
                await self._alarm.sooner()
        except TimeoutError:
            return
