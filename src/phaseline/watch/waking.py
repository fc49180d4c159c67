"""Waking many without keeping everybody else from their turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

#: Woken in one turn of the event loop. Each looks, and writes to a socket: so many take about as
#: long as a few calls that come in meanwhile.
AT_ONCE = 8


class Sleeper(Protocol):
    """Somebody who sleeps, or not."""

    def wake(self) -> bool:
        """End the sleep, and return whether there was one."""


class Waking:
    """
    Wakes those who sleep, first come first served, a few in each turn of the event loop.

    So between any two slices of a thousand watchers the writer and its callers have their turn.
    """

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = self._left = at_once
        self._rounds: deque[_Round] = deque()
        self._is_due = False

    def wake(self, sleepers: Iterable[Sleeper], then: Callable[[int], object]) -> None:
        """Wake all of them, and once they had a turn call *then* with how many slept."""
        self._rounds.append(_Round(sleepers, then))
        self._go_on()

    def _go_on(self) -> None:
        loop = asyncio.get_running_loop()
        while self._rounds and self._left:
            round_ = self._rounds[0]
            self._left -= round_.wake(self._left)
            if not round_.sleepers:
                self._rounds.popleft()
                # Behind those who were woken, in the turn of the loop that they have now.
                loop.call_soon(round_.then, round_.woken)
        if not self._is_due and self._left < self._at_once:
            self._is_due = True
            loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._is_due = False
        self._left = self._at_once
        self._go_on()


class _Round:
    """Those who are woken for the same reason."""

    def __init__(self, sleepers: Iterable[Sleeper], then: Callable[[int], object]) -> None:
        self.sleepers = deque(sleepers)
        self.then = then
        self.woken = 0

    def wake(self, most: int) -> int:
        """Wake the next ones, *most* of them; return how many slept."""
        woken = 0
        while self.sleepers and woken < most:
            woken += self.sleepers.popleft().wake()
        self.woken += woken
        return woken
