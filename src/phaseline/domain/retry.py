"""When a failed attempt is made again, and after how long."""

from __future__ import annotations

from datetime import timedelta

from phaseline.domain.failure import Failure, FailureKind
from phaseline.domain.report import RetryDecision
from phaseline.domain.workflow import RetryPolicy

_NEVER = frozenset({FailureKind.INVALID_OUTPUT, FailureKind.BUDGET_EXCEEDED})


def decide_retry(policy: RetryPolicy, failure: Failure, attempts: int) -> RetryDecision:
    """Return what follows after *attempts* attempts, of which the last ended in *failure*."""
    if (
        failure.retryable is False
        or failure.kind in _NEVER
        or (failure.code and failure.code in policy.non_retryable_codes)
    ):
        return RetryDecision.NOT_RETRYABLE
    return RetryDecision.RETRY if attempts < policy.max_attempts else RetryDecision.EXHAUSTED


def backoff(policy: RetryPolicy, attempts: int, jitter: float) -> timedelta:
    """
    Return the delay before the next attempt after *attempts* failed ones.

    It grows by `multiplier` up to `max_delay`. *jitter* in [0, 1) takes off up to a fifth, so
    that phases that failed together do not come back together.
    """
    # In floats and capped before the multiplication: ten to the hundredth is no timedelta.
    seconds = policy.initial_delay.total_seconds()
    ceiling = policy.max_delay.total_seconds()
    for _ in range(attempts - 1):
        if seconds >= ceiling:
            break
        seconds *= policy.multiplier
    return timedelta(seconds=min(seconds, ceiling) * (1 - jitter / 5))
