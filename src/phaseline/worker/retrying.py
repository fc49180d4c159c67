"""Repeats a call to the server until it is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import structlog

from phaseline.domain.errors import (
    DeadlineExceeded,
    Internal,
    PhaselineError,
    ResourceExhausted,
    Unavailable,
)
from phaseline.worker.clock import Clock, sleep

log = structlog.stdlib.get_logger(__name__)

_T = TypeVar("_T")

_FIRST = 0.05
_LONGEST = 2.0


class Backoff:
    """Delays that double from 50 ms to *longest* seconds, each less up to half by chance."""

    def __init__(self, fraction: Callable[[], float], longest: float = _LONGEST) -> None:
        self._fraction = fraction
        self._longest = longest
        self._seconds = _FIRST

    def reset(self) -> None:
        """Begin anew."""
        self._seconds = _FIRST

    def next(self, at_least: timedelta | None = None) -> timedelta:
        """Return the next delay, *at_least* what the server asks for."""
        # By chance, so that the workers of a server that restarts do not come back all at once.
        delay = timedelta(seconds=self._seconds * (1 - self._fraction() / 2))
        self._seconds = min(self._seconds * 2, self._longest)
        return max(delay, at_least or delay)


async def until_answered(
    call: Callable[[], Awaitable[_T]],
    clock: Clock,
    fraction: Callable[[], float],
    *,
    defects: float,
) -> _T:
    """
    Return the answer of *call*, repeated while the server is away, overloaded or too slow.

    The call must be the same each time, and safe to repeat. Raises the `PhaselineError` that no
    repetition helps against, or `Internal` once it has come *defects* times.
    """
    backoff, internal = Backoff(fraction), 0
    while True:
        try:
            return await call()
        except PhaselineError as error:
            failure = error
        except Exception as error:
            log.exception("call failed")
            failure = Internal(str(error))
        internal += isinstance(failure, Internal)
        if not _may_pass(failure) or internal >= defects:
            raise failure
        delay = backoff.next(failure.retry_after)
        log.warning("server does not answer", error=str(failure), retry_in=delay.total_seconds())
        await sleep(clock, delay)


def _may_pass(error: PhaselineError) -> bool:
    if isinstance(error, ResourceExhausted):
        # Without a delay it is no limit on rate: the message itself is too large.
        return error.retry_after is not None
    return isinstance(error, Unavailable | DeadlineExceeded | Internal)
