"""Waking many without keeping everybody else from their turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from math import inf
from typing import Protocol

import msgspec

from phaseline.watch.ports import Clock, Timer


class Pace(msgspec.Struct, frozen=True):
    """How fast those who sleep are woken; times are in seconds."""

    #: Woken in one turn of the event loop. Each looks, and writes to a socket: so many take about
    #: as long as a few calls that come in meanwhile.
    at_once: int = 8
    #: After a slice nobody is woken for so many times as long as it took to have all in it begin:
    #: to begin is half of what a frame costs, and more than half of the time is for others.
    rest: float = 4.0
    #: For each who was woken it is at least so long; and no longer once nobody waits.
    least_rest: float = 50e-6
    #: So much rest may be owed: some hundred who have slept for long are woken one after another.
    burst: float = 0.25
    #: Who is to be told waits no longer for a rest to end, however many there are.
    longest_wait: float = 0.25


class Sleeper(Protocol):
    """Somebody who sleeps, or not."""

    def wake(self) -> bool:
        """End the sleep, and return whether there was one."""


class Round(Protocol):
    """Those who are woken for the same reason."""

    def begin(self) -> Iterable[Sleeper]:
        """Return who they are, asked when the first of them is about to be woken."""

    def end(self) -> None:
        """Take note that all of them had a turn."""


class Waking:
    """
    Wakes those who sleep, first come first served, a few in each turn of the event loop.

    So between any two slices of a thousand watchers the writer and its callers have their turn;
    and when there is always somebody to be woken, that takes its share of the time and no more.
    """

    def __init__(self, clock: Clock, pace: Pace | None = None) -> None:
        self._clock, self._pace = clock, pace or Pace()
        self._left = self._pace.at_once
        self._waiting: deque[_Waiting] = deque()
        #: When all rest that is owed will be over.
        self._rested_at = -inf
        self._began_at = 0.0
        self._is_due = False
        self._timer: Timer | None = None

    def queue(self, round_: Round) -> None:
        """Wake all of a round, behind those who wait already."""
        self._waiting.append(_Waiting(round_, self._clock.time()))
        self._go_on()

    def _go_on(self) -> None:
        if not self._waiting or not self._left or self._timer is not None:
            return
        pace = self._pace
        at = min(self._rested_at - pace.burst, self._waiting[0].since + pace.longest_wait)
        if at <= self._clock.time():
            self._wake_some()
        else:
            self._timer = self._clock.call_at(at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._go_on()

    def _wake_some(self) -> None:
        # Those who are woken run between these two, and nobody else: what it took is theirs.
        loop = asyncio.get_running_loop()
        loop.call_soon(self._begin)
        woken = 0
        over: list[Round] = []
        while self._waiting and woken < self._left:
            first = self._waiting[0]
            woken += first.wake(self._left - woken)
            if first.is_over:
                over.append(self._waiting.popleft().round)
        self._left -= woken
        loop.call_soon(self._end, woken, over)
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._next_turn)

    def _begin(self) -> None:
        self._began_at = self._clock.time()

    def _end(self, woken: int, over: Sequence[Round]) -> None:
        now, pace = self._clock.time(), self._pace
        least = woken * pace.least_rest
        owed = max((now - self._began_at) * pace.rest, least)
        # No more than anybody would wait for.
        most = now + pace.burst + pace.longest_wait
        self._rested_at = min(max(self._rested_at, now) + owed, most)
        for round_ in over:
            round_.end()
        if not self._waiting:
            # All were told before more came. They can go on so, and others have the time between.
            self._rested_at = min(self._rested_at, now + least)

    def _next_turn(self) -> None:
        self._is_due = False
        self._left = self._pace.at_once
        self._go_on()


class _Waiting:
    """A round that is not over."""

    def __init__(self, round_: Round, since: float) -> None:
        self.round, self.since = round_, since
        self._sleepers: deque[Sleeper] | None = None

    @property
    def is_over(self) -> bool:
        """All of them are awake."""
        return self._sleepers is not None and not self._sleepers

    def wake(self, most: int) -> int:
        """Wake the next ones, *most* of them; return how many slept."""
        if self._sleepers is None:
            self._sleepers = deque(self.round.begin())
        woken = 0
        while self._sleepers and woken < most:
            woken += self._sleepers.popleft().wake()
        return woken
