"""How many phases a worker runs at once, and how many more it may ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from phaseline.worker.limits import LEASED_PHASES


class Slots:
    """
    A number of places for phases: each is free, running one, or asked to be filled.

    Not thread-safe: for the event loop only.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"slots must be at least 1, not {capacity}")
        self.capacity = capacity
        self.running = 0
        self._asked = 0
        self._changed = asyncio.Event()

    @property
    def free(self) -> int:
        """How many are neither running a phase nor about to."""
        # A server may give more than it was asked for.
        return max(0, self.capacity - self.running - self._asked)

    def ask(self) -> int:
        """Return how many phases to ask for at this moment; the same must go to `answered`."""
        count = min(self.free, LEASED_PHASES)
        self._asked += count
        return count

    async def ask_when_idle(self, others_will: Callable[[], bool]) -> int:
        """Do as `ask`, once there are free slots and no other asks for them, now or presently."""
        while self._asked or not self.free or others_will():
            self._changed.clear()
            await self._changed.wait()
        return self.ask()

    def answered(self, count: int) -> None:
        """Free the slots that were asked for: what came has been told to `occupy`."""
        self._asked -= count
        self._changed.set()

    def occupy(self) -> None:
        """Run a phase in one of them."""
        self.running += 1

    def vacate(self) -> None:
        """End the phase in one of them."""
        self.running -= 1
        self._changed.set()
