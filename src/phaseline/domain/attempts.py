"""How an attempt of a phase ends, and what follows for the phase."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from phaseline.domain.execution import (
    KEPT_ATTEMPTS,
    Attempt,
    EndedBy,
    Ending,
    Execution,
    Lease,
    Phase,
    attempt_usage,
)
from phaseline.domain.failure import Failure, FailureKind
from phaseline.domain.lifecycle import PhaseTrigger, phase_step
from phaseline.domain.payload import Payload
from phaseline.domain.report import RetryDecision
from phaseline.domain.retry import backoff, decide_retry
from phaseline.domain.usage import NO_USAGE, merge


def complete_attempt(phase: Phase, lease: Lease, output: Payload | None, now: datetime) -> Phase:
    """Return the running phase, completed."""
    ended = _end(phase, lease, now, None, Ending(lease.epoch, EndedBy.COMPLETED))
    return replace(
        ended,
        status=phase_step(phase.status, PhaseTrigger.COMPLETE),
        completed_at=now,
        output_size=0 if output is None else output.size,
    )


def release_attempt(
    phase: Phase, lease: Lease, delay: timedelta, now: datetime, *, stopping: bool
) -> Phase:
    """Return the running phase after its attempt was given back: it does not count."""
    ended = _end(phase, lease, now, None, Ending(lease.epoch, EndedBy.RELEASED))
    counted = phase.attempt - 1 - phase.attempts_forgiven
    before = phase.attempts[-1].failure if counted and phase.attempts else None
    # It leaves no entry either; what it spent stays.
    ended = replace(
        ended, attempts=phase.attempts, attempt=phase.attempt - 1, progress=None, failure=before
    )
    if stopping:
        status = phase_step(phase.status, PhaseTrigger.CANCEL)
        return replace(ended, status=status, completed_at=now)
    status = phase_step(phase.status, PhaseTrigger.RELEASE)
    return replace(ended, status=status, next_attempt_at=now + delay if delay else None)


def fail_attempt(
    execution: Execution,
    position: int,
    failure: Failure,
    now: datetime,
    *,
    how: EndedBy,
    jitter: float,
    delay: timedelta = timedelta(),
) -> Phase:
    """Return the running phase after its attempt ended in *failure*: to be repeated, or ended."""
    phase = execution.phases[position]
    assert phase.lease is not None, "only a leased phase has an attempt that can fail"
    policy = execution.spec_of(position).policy
    attempts = phase.attempt - phase.attempts_forgiven
    decision = RetryDecision.STOPPED
    if not execution.stopping:
        decision = decide_retry(policy, failure, attempts)
    epoch = phase.lease.epoch
    if decision is RetryDecision.RETRY:
        # A lost worker has kept the phase waiting for a whole lease already.
        wait = delay if how is EndedBy.EXPIRED else max(delay, backoff(policy, attempts, jitter))
        ended = _end(phase, phase.lease, now, failure, Ending(epoch, how, decision, now + wait))
        status = phase_step(phase.status, PhaseTrigger.REPEAT)
        return replace(ended, status=status, next_attempt_at=now + wait, progress=None)
    ended = _end(phase, phase.lease, now, failure, Ending(epoch, how, decision))
    stopped = decision is RetryDecision.STOPPED and failure.kind is FailureKind.CANCELLED
    trigger = PhaseTrigger.CANCEL if stopped else PhaseTrigger.FAIL
    return replace(ended, status=phase_step(phase.status, trigger), completed_at=now)


def _end(
    phase: Phase, lease: Lease, now: datetime, failure: Failure | None, ending: Ending
) -> Phase:
    """Return *phase* without its lease, and with what the attempt spent and did on record."""
    usage = attempt_usage(lease) if lease.has_spent else NO_USAGE
    attempt = Attempt(
        attempt=phase.attempt,
        worker_id=lease.worker_id,
        started_at=lease.started_at,
        completed_at=now,
        usage=usage,
        failure=failure,
    )
    ended = replace(
        phase,
        lease=None,
        ending=replace(ending, open_operations=lease.open_operations),
        failure=failure,
        attempts=(*phase.attempts, attempt)[-KEPT_ATTEMPTS:],
    )
    if usage is NO_USAGE:
        return ended
    return replace(
        ended,
        past_usage=phase.past_usage + usage,
        past_usage_by_model=merge(phase.past_usage_by_model, lease.usage_by_model),
    )
