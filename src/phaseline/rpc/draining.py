"""Whether the server is about to stop, which ends every wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")

_NO_TIME = timedelta()


class Draining:
    """A signal that is given once."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()

    def begin(self) -> None:
        """Give the signal."""
        self._begun.set()

    def __bool__(self) -> bool:
        return self._begun.is_set()

    async def bound(self, wait: Callable[[timedelta], Awaitable[T]], longest: timedelta) -> T:
        """Return what `wait(longest)` gives; once draining begins, what it gives without a wait."""
        waiting = asyncio.ensure_future(wait(_NO_TIME if self else longest))
        begun = asyncio.ensure_future(self._begun.wait())
        try:
            await asyncio.wait((waiting, begun), return_when=asyncio.FIRST_COMPLETED)
            return await waiting if waiting.done() else await wait(_NO_TIME)
        finally:
            begun.cancel()
            waiting.cancel()
