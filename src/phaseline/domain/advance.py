"""
What follows from what happened: the joint moves of an execution and its phases.

Whatever changed an execution ends with `settle`, which runs these moves to their fixed point and
sums the phases up. Time alone changes one through `tick`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec.structs import replace

from phaseline.domain.execution import (
    KEPT_ATTEMPTS,
    Attempt,
    Ending,
    Execution,
    Lease,
    Phase,
    attempt_usage,
)
from phaseline.domain.failure import Failure, FailureKind
from phaseline.domain.lifecycle import (
    ExecutionStatus,
    ExecutionTrigger,
    PhaseStatus,
    PhaseTrigger,
    phase_step,
    step,
)
from phaseline.domain.report import RetryDecision
from phaseline.domain.retry import backoff, decide_retry
from phaseline.domain.usage import NO_USAGE, ModelUsage, merge

#: Grace for workers when nobody who stops the execution named one.
DEFAULT_GRACE = timedelta(seconds=30)
# A worker ends its attempt itself and reports what was spent; the server steps in only if it
# does not, so it must be the later of the two.
TIMEOUT_MARGIN = timedelta(seconds=5)

_WAITING = (PhaseStatus.PENDING, PhaseStatus.READY)
_KEPT_TOOL_NAMES = 50


def settle(execution: Execution, now: datetime, grace: timedelta = DEFAULT_GRACE) -> Execution:
    """Return *execution* with all that follows from its state at *now*, summed up."""
    if execution.done:
        return summed(execution, now)
    if execution.waits_until is not None and execution.waits_until <= now:
        execution = replace(execution, waits_until=None)
    failed = next((phase for phase in execution.phases if _has_failed(phase)), None)
    if failed is not None and not stopping(execution):
        failure = replace(failed.failure or Failure(), phase_id=failed.phase_id)
        execution = replace(execution, failure=failure)
    execution = _wind_down(execution, now, grace) if stopping(execution) else _go_on(execution, now)
    return summed(execution, now)


def stopping(execution: Execution) -> bool:
    """Whether the end is decided, and only workers that still run keep it from coming."""
    return execution.cancellation is not None or execution.failure is not None


def tick(execution: Execution, now: datetime, jitter: float = 0.0) -> Execution:
    """Return *execution* after all that was due by *now*; itself if nothing was."""
    due = due_at(execution)
    if due is None or due > now:
        return execution
    for position, phase, lease in list(execution.leases()):
        if _lease_end(lease) <= now:
            execution = execution.with_phase(
                position, _end_overdue(execution, position, phase, lease, now, jitter)
            )
    deadline = run_deadline(execution)
    if deadline is not None and deadline <= now and not stopping(execution):
        failure = Failure(
            FailureKind.TIMEOUT, "RUN_TIMEOUT", "the execution ran longer than its run_timeout"
        )
        execution = replace(execution, failure=failure)
    return settle(execution, now)


def due_at(execution: Execution) -> datetime | None:
    """Return the next moment at which time alone changes *execution*."""
    return min(_moments(execution), default=None)


def run_deadline(execution: Execution) -> datetime | None:
    """Return when run_timeout ends the run; None without one, before it, and while paused."""
    if execution.run_timeout is None or execution.run_started_at is None or execution.paused_at:
        return None
    return execution.run_started_at + execution.run_timeout + execution.paused_for


def is_blocked(execution: Execution, position: int) -> bool:
    """Whether an earlier phase, or its concurrency limit, keeps a phase from beginning."""
    return not execution.admitted or any(
        execution.phases[other].status is not PhaseStatus.COMPLETED
        for other in execution.workflow.dependencies[position]
    )


def begins_at(execution: Execution, phase: Phase) -> datetime | None:
    """Return the time before which *phase* may not begin, if there is one."""
    times = [time for time in (execution.waits_until, phase.next_attempt_at) if time is not None]
    return max(times, default=None)


def end_attempt(
    phase: Phase, lease: Lease, now: datetime, failure: Failure | None, ending: Ending
) -> Phase:
    """Return *phase* without its lease, and with what the attempt spent and did on record."""
    attempt = Attempt(
        attempt=phase.attempt,
        worker_id=lease.worker_id,
        started_at=lease.started_at,
        completed_at=now,
        usage=attempt_usage(lease),
        failure=failure,
    )
    return replace(
        phase,
        lease=None,
        ending=ending,
        failure=failure,
        past_usage=phase.past_usage + attempt.usage,
        past_usage_by_model=merge(phase.past_usage_by_model, lease.usage_by_model),
        attempts=(*phase.attempts, attempt)[-KEPT_ATTEMPTS:],
    )


def fail_attempt(
    execution: Execution,
    position: int,
    failure: Failure,
    now: datetime,
    *,
    how: str,
    jitter: float,
    delay: timedelta = timedelta(),
) -> Phase:
    """Return the running phase after its attempt ended in *failure*: to be repeated, or ended."""
    phase = execution.phases[position]
    assert phase.lease is not None, "only a leased phase has an attempt that can fail"
    policy = execution.spec_of(position).policy
    attempts = phase.attempt - phase.attempts_forgiven
    decision = RetryDecision.STOPPED
    if not stopping(execution):
        decision = decide_retry(policy, failure, attempts)
    if decision is RetryDecision.RETRY:
        wait = delay if how == "expired" else max(delay, backoff(policy, attempts, jitter))
        ending = Ending(phase.lease.epoch, how, decision, now + wait)
        ended = end_attempt(phase, phase.lease, now, failure, ending)
        status = phase_step(phase.status, PhaseTrigger.REPEAT)
        return replace(ended, status=status, next_attempt_at=now + wait, progress=None)
    ended = end_attempt(phase, phase.lease, now, failure, Ending(phase.lease.epoch, how, decision))
    stopped = decision is RetryDecision.STOPPED and failure.kind is FailureKind.CANCELLED
    trigger = PhaseTrigger.CANCEL if stopped else PhaseTrigger.FAIL
    return replace(ended, status=phase_step(phase.status, trigger), completed_at=now)


def _has_failed(phase: Phase) -> bool:
    return phase.status is PhaseStatus.FAILED


def _go_on(execution: Execution, now: datetime) -> Execution:
    """Make every phase READY that has nothing left to wait for, or complete the execution."""
    phases = tuple(
        _prepared(execution, position, phase, now)
        for position, phase in enumerate(execution.phases)
    )
    if all(phase.status is PhaseStatus.COMPLETED for phase in phases):
        status = step(execution.status, ExecutionTrigger.COMPLETE)
        return replace(execution, phases=phases, status=status, completed_at=now)
    return replace(execution, phases=phases)


def _prepared(execution: Execution, position: int, phase: Phase, now: datetime) -> Phase:
    if phase.status is not PhaseStatus.PENDING or is_blocked(execution, position):
        return phase
    begins = begins_at(execution, phase)
    if begins is not None and begins > now:
        return phase
    status = phase_step(phase.status, PhaseTrigger.PREPARE)
    return replace(phase, status=status, next_attempt_at=None)


def _wind_down(execution: Execution, now: datetime, grace: timedelta) -> Execution:
    """Begin nothing more, tell the running phases to stop, and end once none is left."""
    trigger = PhaseTrigger.SKIP if execution.failure is not None else PhaseTrigger.CANCEL
    phases = tuple(_stopped(phase, trigger, now, grace) for phase in execution.phases)
    execution = replace(execution, phases=phases)
    if any(phase.lease is not None for phase in phases):
        if execution.status is ExecutionStatus.CANCELLING:
            return execution
        return replace(execution, status=step(execution.status, ExecutionTrigger.STOP))
    end = ExecutionTrigger.CANCEL if execution.failure is None else ExecutionTrigger.FAIL
    return replace(execution, status=step(execution.status, end), completed_at=now)


def _stopped(phase: Phase, trigger: PhaseTrigger, now: datetime, grace: timedelta) -> Phase:
    if phase.status in _WAITING:
        status = phase_step(phase.status, trigger)
        return replace(phase, status=status, completed_at=now, next_attempt_at=None)
    if phase.lease is not None and phase.lease.stop_by is None:
        return replace(phase, lease=replace(phase.lease, stop_by=now + grace))
    return phase


def _end_overdue(
    execution: Execution, position: int, phase: Phase, lease: Lease, now: datetime, jitter: float
) -> Phase:
    """Return *phase* after its lease ran out: unrenewed, over its time limit, or past its grace."""
    if lease.deadline is not None and lease.deadline + TIMEOUT_MARGIN <= now:
        failure = Failure(
            FailureKind.TIMEOUT, "PHASE_TIMEOUT", "the attempt ran longer than its timeout"
        )
        return fail_attempt(execution, position, failure, now, how="revoked", jitter=jitter)
    if lease.stop_by is not None:
        failure = Failure(FailureKind.CANCELLED, message="the worker did not stop in time")
        return fail_attempt(execution, position, failure, now, how="revoked", jitter=jitter)
    failure = Failure(
        FailureKind.WORKER_LOST,
        "WORKER_LOST",
        f"worker {lease.worker_id!r} did not renew its lease",
    )
    return fail_attempt(execution, position, failure, now, how="expired", jitter=jitter)


def _lease_end(lease: Lease) -> datetime:
    ends = [lease.expires_at]
    if lease.stop_by is not None:
        ends.append(lease.stop_by)
    if lease.deadline is not None:
        ends.append(lease.deadline + TIMEOUT_MARGIN)
    return min(ends)


def _moments(execution: Execution) -> Iterator[datetime]:
    if execution.done:
        return
    for _, _, lease in execution.leases():
        yield _lease_end(lease)
    if stopping(execution):
        return
    deadline = run_deadline(execution)
    if deadline is not None:
        yield deadline
    if execution.waits_until is not None:
        yield execution.waits_until
    for position, phase in enumerate(execution.phases):
        if phase.status is PhaseStatus.PENDING and not is_blocked(execution, position):
            begins = begins_at(execution, phase)
            if begins is not None:
                yield begins


def summed(execution: Execution, now: datetime) -> Execution:
    """Return *execution* with the figures that its phases add up to."""
    phases = execution.phases
    usage, models = NO_USAGE, list[tuple[ModelUsage, ...]]()
    tools: set[str] = set()
    for phase in phases:
        spent = phase.usage
        if spent != NO_USAGE:
            usage += spent
            models.append(phase.usage_by_model)
        tools.update(phase.tool_names)
    by_model = merge(*models) if models else ()
    running = tuple(phase.phase_id for phase in phases if phase.lease is not None)
    return replace(
        execution,
        updated_at=max(now, execution.updated_at),
        usage=usage,
        usage_by_model=by_model,
        current_phase="" if execution.done else _current(phases, running),
        running_phases=running,
        completed_phases=sum(phase.status is PhaseStatus.COMPLETED for phase in phases),
        retry_count=sum(max(phase.attempt - 1, 0) for phase in phases),
        model_call_count=sum(phase.model_call_count for phase in phases),
        tool_names=tuple(sorted(tools)[:_KEPT_TOOL_NAMES]),
        artifact_ids=tuple(name for phase in phases for name in phase.artifact_ids),
    )


def _current(phases: tuple[Phase, ...], running: tuple[str, ...]) -> str:
    if running:
        return running[0]
    return next((phase.phase_id for phase in phases if not phase.done), "")
