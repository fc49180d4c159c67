"""Which failure is repeated, and after how long."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseline.domain.failure import Failure, FailureKind
from phaseline.domain.report import RetryDecision
from phaseline.domain.retry import backoff, decide_retry
from phaseline.domain.workflow import DEFAULT_RETRY_POLICY, RetryPolicy

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("attempts", "decision"),
    [(1, RetryDecision.RETRY), (2, RetryDecision.RETRY), (3, RetryDecision.EXHAUSTED)],
)
def test_attempts_are_repeated_up_to_the_most(attempts: int, decision: RetryDecision) -> None:
    assert decide_retry(DEFAULT_RETRY_POLICY, Failure(), attempts) is decision


@pytest.mark.parametrize(
    "failure",
    [
        Failure(retryable=False),
        Failure(code="NO_SUCH_FILE"),
        Failure(FailureKind.INVALID_OUTPUT),
        Failure(FailureKind.BUDGET_EXCEEDED),
        Failure(FailureKind.INVALID_OUTPUT, retryable=True),
    ],
)
def test_what_would_fail_again_is_not_repeated(failure: Failure) -> None:
    policy = RetryPolicy(non_retryable_codes=("NO_SUCH_FILE", ""))
    assert decide_retry(policy, failure, 1) is RetryDecision.NOT_RETRYABLE
    # Which tells more than that the attempts are used up.
    assert decide_retry(policy, failure, 9) is RetryDecision.NOT_RETRYABLE


@pytest.mark.parametrize(
    "failure",
    [
        Failure(retryable=True),
        Failure(code="OTHER"),
        Failure(),
        Failure(FailureKind.TIMEOUT),
        Failure(FailureKind.WORKER_LOST),
        Failure(FailureKind.CANCELLED),
    ],
)
def test_all_else_is_repeated(failure: Failure) -> None:
    policy = RetryPolicy(non_retryable_codes=("NO_SUCH_FILE", ""))
    assert decide_retry(policy, failure, 1) is RetryDecision.RETRY


def test_delays_grow_up_to_the_longest() -> None:
    policy = RetryPolicy(initial_delay=SECOND, max_delay=10 * SECOND, multiplier=3)
    delays = [backoff(policy, attempts, 0.0) for attempts in (1, 2, 3, 4, 100)]
    assert delays == [SECOND, 3 * SECOND, 9 * SECOND, 10 * SECOND, 10 * SECOND]


def test_a_longest_delay_below_the_first_holds_for_the_first() -> None:
    assert backoff(RetryPolicy(initial_delay=MINUTE, max_delay=SECOND), 1, 0.0) == SECOND


def test_delays_need_not_grow() -> None:
    policy = RetryPolicy(initial_delay=SECOND, multiplier=1)
    assert backoff(policy, 50, 0.0) == SECOND


def test_no_delay_stays_none() -> None:
    assert backoff(RetryPolicy(initial_delay=timedelta()), 5, 0.9) == timedelta()


def test_chance_takes_off_up_to_a_fifth() -> None:
    policy = RetryPolicy(initial_delay=10 * SECOND)
    assert backoff(policy, 1, 0.5) == 9 * SECOND
    assert backoff(policy, 1, 0.999) > 8 * SECOND


MINUTE = 60 * SECOND


@given(
    st.builds(
        RetryPolicy,
        initial_delay=st.timedeltas(timedelta(), timedelta(days=36_500)),
        max_delay=st.timedeltas(timedelta(), timedelta(days=36_500)),
        multiplier=st.floats(1, 10),
    ),
    st.integers(1, 100),
    st.floats(0, 1, exclude_max=True),
)
def test_no_policy_leaves_the_calendar(policy: RetryPolicy, attempts: int, jitter: float) -> None:
    delay = backoff(policy, attempts, jitter)
    assert timedelta() <= delay <= policy.max_delay + timedelta(milliseconds=1)
