"""Letting time act: leases end, delays pass, limits are reached."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from phaseline.app.controlling import FindDue, Tick
from phaseline.app.ports import Clock, Entropy, Writer
from phaseline.domain.errors import Unavailable
from phaseline.domain.ids import Key

log = structlog.stdlib.get_logger(__name__)

# Also the longest time that a due moment goes unseen if another process set it.
_LONGEST_SLEEP = 1.0
#: How long an execution is left alone that time cannot act on.
_LEFT_ALONE = timedelta(minutes=1)


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
        #: What is left alone, and until when.
        self._broken: dict[Key, datetime] = {}

    async def run(self) -> None:
        """Act until cancelled. A store that is away is tried again."""
        while True:
            try:
                await self._tick()
                await self._sleep()
            except Unavailable:
                log.warning("timers wait", why="the store is away")
                await asyncio.sleep(_LONGEST_SLEEP)
            except Exception:
                # A defect must not end what every lease, retry and timeout depends on.
                log.exception("timers broke")
                await asyncio.sleep(_LONGEST_SLEEP)

    async def _tick(self) -> None:
        """Act on all that is due together; if that breaks, on each for itself."""
        now = self._clock.now()
        self._broken = {key: until for key, until in self._broken.items() if until > now}
        without = frozenset(self._broken)
        try:
            await self._writer.post(Tick(self._entropy.fraction, without))
        except Unavailable:
            raise
        except Exception:
            log.exception("timers act one by one")
            await self._tick_each(without)

    async def _tick_each(self, without: frozenset[Key]) -> None:
        due = (await self._writer.post(FindDue(without))).answer
        ticks = (self._writer.post(Tick(self._entropy.fraction, only=key)) for key in due)
        for key, found in zip(
            due, await asyncio.gather(*ticks, return_exceptions=True), strict=True
        ):
            if isinstance(found, Unavailable):
                raise found
            if isinstance(found, BaseException):
                log.error(
                    "execution left alone",
                    workspace_id=key.workspace_id,
                    execution_id=key.execution_id,
                    exc_info=found,
                )
                self._broken[key] = self._clock.now() + _LEFT_ALONE

    async def _sleep(self) -> None:
        if self._broken:
            # They are due all the time, and the alarm would ring for them without end.
            await asyncio.sleep(_LONGEST_SLEEP)
            return
        due = await self._alarm.next_due()
        pause = _LONGEST_SLEEP if due is None else min(due, _LONGEST_SLEEP)
        try:
            async with asyncio.timeout(pause):
                await self._alarm.sooner()
        except TimeoutError:
            return
