"""Holds an agent up that does more than can be reported."""

from __future__ import annotations

import asyncio
from typing import Protocol

from phaseline.worker.context import Context
from phaseline.worker.limits import CALL_BYTES

#: Of operations that wait to be reported.
MOST_WAITING = 2 * CALL_BYTES
_LOOK_EVERY = 0.05


class Printing(Protocol):
    """A program that can be held up."""

    def hold_stdout(self) -> None:
        """Let it wait once its pipe is full."""

    def go_on_with_stdout(self) -> None:
        """Read again what it prints."""


class Pace:
    """Lets a program go on printing only as fast as its operations are reported."""

    def __init__(self, process: Printing, context: Context) -> None:
        self._process = process
        self._context = context
        self._timer: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """Hold the program up if too much waits; it goes on by itself later."""
        if (
            self._timer is None
            and self._context.backlog > MOST_WAITING
            and not self._context.cancelled
        ):
            self._process.hold_stdout()
            self._look_later()

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_LOOK_EVERY, self._look_again)

    def _look_again(self) -> None:
        if self._is_ahead(MOST_WAITING // 2):
            self._look_later()
        else:
            self._timer = None
            self._process.go_on_with_stdout()

    def _is_ahead(self, most: int) -> bool:
        return self._context.backlog > most and not self._context.cancelled
