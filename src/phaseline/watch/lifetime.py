"""When a stream must speak, and when it must end."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import inf

from phaseline.app.ports import Entropy
from phaseline.watch.ports import Clock, CloseReason

#: Of the interval that is promised: timers and networks are late, never early.
_SPEAKS_AFTER = 0.9
#: Of the age that is promised: streams that were opened together do not end together.
_LEAST_AGE = 0.9


class Drain:
    """Whether the server shuts down."""

    def __init__(self) -> None:
        self.has_begun = False


class Lifetime:
    """The deadlines of one stream."""

    def __init__(
        self,
        clock: Clock,
        entropy: Entropy,
        drain: Drain,
        *,
        bookmark_interval: timedelta,
        max_age: timedelta,
        credentials_end: datetime | None,
    ) -> None:
        self._clock, self._entropy, self._drain = clock, entropy, drain
        self._silence = bookmark_interval.total_seconds() * _SPEAKS_AFTER
        age = max_age.total_seconds() * (_LEAST_AGE + (1 - _LEAST_AGE) * entropy.fraction())
        self._ends_at = clock.time() + age
        self._expires_at = inf
        if credentials_end is not None:
            left = (credentials_end - clock.now()).total_seconds()
            self._expires_at = clock.time() + left
        self._speaks_at = clock.time() + self._silence

    @property
    def next_at(self) -> float:
        """When this must be looked at again, if nothing is sent before."""
        return min(self._speaks_at, self._ends_at, self._expires_at)

    @property
    def must_speak(self) -> bool:
        """Whether a frame is due, whatever it says."""
        return self._clock.time() >= self._speaks_at

    def spoke(self) -> None:
        """Take note of a frame."""
        self._speaks_at = self._clock.time() + self._silence

    def closing(self) -> CloseReason | None:
        """Return why the stream must end now, if it must."""
        now = self._clock.time()
        if now >= self._expires_at:
            return CloseReason.CREDENTIALS_EXPIRED
        if self._drain.has_begun:
            return CloseReason.DRAINING
        if now >= self._ends_at:
            return CloseReason.MAX_AGE
        return None

    def reconnect_delay(self, reason: CloseReason, within: timedelta) -> timedelta:
        """Return how long its watcher is to stay away: at most *within*, each another time."""
        if reason is CloseReason.COMPLETED:
            return timedelta()
        return within * self._entropy.fraction()
