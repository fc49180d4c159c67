"""How watchers sleep, and what wakes them."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterable
from math import inf

from phaseline.watch.ports import Clock, Timer
from phaseline.watch.waking import Waking

_KEPT_REVISIONS = 64


class Waker:
    """Lets one watcher sleep; woken while it is up, it does not fall asleep the next time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sleeper: asyncio.Future[None] | None = None
        self._was_woken = False
        self._timer: Timer | None = None
        self._rings_at = inf

    def wake(self) -> bool:
        """End the sleep, and return whether there was one."""
        sleeper = self._sleeper
        if sleeper is None or sleeper.done():
            self._was_woken = True
            return False
        sleeper.set_result(None)
        return True

    async def sleep(self, until: float = inf) -> None:
        """Return when woken, at *until* at the latest, or earlier for no reason."""
        if self._was_woken or until <= self._clock.time():
            self._was_woken = False
            return
        self._sleeper = asyncio.get_running_loop().create_future()
        if until < self._rings_at:
            self._set_timer(until)
        try:
            await self._sleeper
        finally:
            self._sleeper = None

    def close(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._rings_at = None, inf

    def _set_timer(self, when: float) -> None:
        # A timer that rings too early only costs one look. So it is left alone while what it was
        # set for moves on with every frame, which would else mean a new one for each.
        self.close()
        self._rings_at = when
        self._timer = self._clock.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer, self._rings_at = None, inf
        self.wake()


class Bell:
    """
    Rings for those who wait for the same thing, and knows for which revisions it rang.

    From that a watcher sees which part of the log it need not read. Waking many at every commit
    would be all that the process does. So a bell waits for its turn, and then rings once for all
    that came meanwhile; its `horizon` stands still until then, so that those who are awake all the
    same do not run ahead one by one.
    """

    def __init__(self, waking: Waking, *, since: int) -> None:
        self._waking = waking
        self._wakers: dict[Waker, None] = {}
        #: It knows of all revisions past this one.
        self._since = since
        self._revisions: list[int] = []
        #: The oldest revision that it has yet to ring for.
        self._held: int | None = None
        #: It waits for its turn, or some whom it rang for had none yet.
        self._is_ringing = False

    @property
    def listeners(self) -> int:
        """How many it wakes."""
        return len(self._wakers)

    def add(self, waker: Waker) -> None:
        """Wake this one, too."""
        self._wakers[waker] = None

    def remove(self, waker: Waker) -> None:
        """Wake it no more."""
        self._wakers.pop(waker, None)

    def note(self, revision: int) -> None:
        """Take down that *revision* concerns those who wait; `ring` tells them."""
        self._revisions.append(revision)
        if self._held is None:
            self._held = revision
        if len(self._revisions) > _KEPT_REVISIONS:
            forgotten = self._revisions[: _KEPT_REVISIONS // 2]
            del self._revisions[: len(forgotten)]
            self._since = forgotten[-1]

    def miss(self, revision: int) -> None:
        """Take down that nobody knows what happened up to *revision*."""
        self._revisions.clear()
        self._since = self._held = revision

    def ring(self) -> None:
        """Wake those who wait, now or when it is their turn."""
        if self._held is not None and not self._is_ringing:
            self._is_ringing = True
            self._waking.queue(self)

    def horizon(self, head: int) -> int:
        """Return up to which revision those who wait should read, if *head* is the newest."""
        return head if self._held is None else self._held - 1

    def quiet_until(self, after: int, head: int) -> int:
        """Return up to which revision nothing past *after* concerns them, as far as is known."""
        if after < self._since:
            return after
        at = bisect_right(self._revisions, after)
        if at < len(self._revisions):
            return self._revisions[at] - 1
        return max(after, self.horizon(head))

    def begin(self) -> Iterable[Waker]:
        """Say whom to wake, who from now on may read all that there is."""
        self._held = None
        return tuple(self._wakers)

    def end(self) -> None:
        """Ring again, if something came meanwhile."""
        self._is_ringing = False
        if self._wakers:
            self.ring()
