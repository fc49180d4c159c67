"""Whether the server is about to stop, which ends every wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta


class Draining:
    """A signal that is given once."""

    def __init__(self) -> None:
        self._has_begun = False
        # Limits, and no tasks that race each other: most waits are for one execution, and many.
        self._limits: set[asyncio.Timeout] = set()

    def begin(self) -> None:
        """Give the signal."""
        self._has_begun = True
        now = asyncio.get_running_loop().time()
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(now)

    def __bool__(self) -> bool:
        return self._has_begun

    @contextmanager
    def limit(self, longest: timedelta) -> Iterator[asyncio.Timeout]:
        """Give the block a limit for its wait: *longest*, or the time until draining begins."""
        limit = asyncio.timeout(0 if self else longest.total_seconds())
        self._limits.add(limit)
        try:
            yield limit
        finally:
            self._limits.discard(limit)
