"""One stream of frames, from its opening to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Protocol

from phaseline.watch.bell import Waker
from phaseline.watch.lifetime import Lifetime
from phaseline.watch.ports import CloseReason
from phaseline.watch.shared import Shared


class Follower(Protocol):
    """Makes the frames of one kind of watch."""

    #: Set once all that existed when the stream was opened was sent.
    is_live: bool
    #: When to ask again though nothing happened; infinity if then there is nothing to ask for.
    wakes_at: float

    @property
    def token(self) -> str:
        """Return the token of the place where the watch is."""

    async def open(self) -> None:
        """Look up what is watched; raise `NotFound` if that is nothing."""

    async def step(self) -> bytes | None:
        """Return the next frame; empty to be asked again at once, None if there is nothing now."""

    def has_sent(self, revision: int) -> bool:
        """Whether all that existed as of *revision* was sent."""

    async def is_over(self) -> bool:
        """Whether nothing will follow, asked when there was nothing to send."""


class Stream:
    """Sends what a follower makes, speaks when there is silence, and says why it ends."""

    def __init__(
        self,
        shared: Shared,
        follower: Follower,
        waker: Waker,
        lifetime: Lifetime,
        bookmark_interval: timedelta,
    ) -> None:
        self._shared, self._follower = shared, follower
        self._waker, self._lifetime = waker, lifetime
        self._bookmark_interval = bookmark_interval
        #: What existed when the stream was opened.
        self._target = shared.signal.head

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Yield frames until the stream is to end."""
        follower, lifetime = self._follower, self._lifetime
        yield self._opened()
        await follower.open()
        await self._shared.signal.reached(self._target)
        while True:
            reason = lifetime.closing()
            if reason is not None:
                yield self._closing(reason)
                return
            frame = await follower.step()
            if frame:
                lifetime.spoke()
                yield frame
            elif lifetime.must_speak:
                lifetime.spoke()
                yield self._shared.codec.bookmark(follower.token, synced=False)
            elif frame is not None:
                # Much was looked at for nothing; let others have their turn.
                await asyncio.sleep(0)
            elif not follower.is_live and follower.has_sent(self._target):
                follower.is_live = True
                lifetime.spoke()
                yield self._shared.codec.bookmark(follower.token, synced=True)
            elif follower.is_live and await follower.is_over():
                yield self._closing(CloseReason.COMPLETED)
                return
            else:
                await self._waker.sleep(min(lifetime.next_at, follower.wakes_at))

    def _opened(self) -> bytes:
        terms = self._shared.terms
        return self._shared.codec.opened(
            terms.retention, self._bookmark_interval, terms.max_age, self._follower.token
        )

    def _closing(self, reason: CloseReason) -> bytes:
        delay = self._lifetime.reconnect_delay(reason, self._shared.terms.reconnect_within)
        return self._shared.codec.closing(reason, delay, self._follower.token)
