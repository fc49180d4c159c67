"""
What follows from what happened: the joint moves of an execution and its phases.

Whatever changed an execution ends with `settle`, which makes these moves and sums the phases up.
Time alone changes one through `tick`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from phaseline.domain.attempts import fail_attempt
from phaseline.domain.execution import EndedBy, Execution, Lease, Phase
from phaseline.domain.failure import Failure, FailureKind
from phaseline.domain.lifecycle import (
    ExecutionTrigger,
    PhaseTrigger,
    has_failed,
    is_cancelling,
    is_completed,
    is_held,
    is_waiting,
    phase_step,
    step,
)
from phaseline.domain.timing import (
    TIMEOUT_MARGIN,
    begins_at,
    heartbeat_interval,
    is_blocked,
    lease_end,
    run_deadline,
)
from phaseline.domain.usage import NO_USAGE, ModelUsage, merge

#: Grace for workers when nobody who stops the execution named one.
DEFAULT_GRACE = timedelta(seconds=30)
KEPT_TOOL_NAMES = 50


def settle(execution: Execution, now: datetime, grace: timedelta = DEFAULT_GRACE) -> Execution:
    """Return *execution* with all that follows from its state at *now*, summed up."""
    if execution.done:
        return summed(execution, now)
    if execution.waits_until is not None and execution.waits_until <= now:
        execution = replace(execution, waits_until=None)
    if not execution.stopping:
        failed = next((phase for phase in execution.phases if has_failed(phase.status)), None)
        if failed is None:
            return summed(_go_on(execution, now), now)
        # Fail fast: the first phase that is out of attempts stops its siblings.
        failure = replace(failed.failure or Failure(), phase_id=failed.phase_id)
        execution = replace(execution, failure=failure)
    return summed(_wind_down(execution, now, grace), now)


def tick(execution: Execution, now: datetime, jitter: float = 0.0) -> Execution:
    """Return *execution* after all that was due by *now*; itself if nothing was."""
    due = execution.due_at
    if due is None or due > now:
        return execution
    for position, phase, lease in list(execution.leases()):
        if lease_end(lease) <= now:
            execution = execution.with_phase(
                position, _end_overdue(execution, position, phase, lease, now, jitter)
            )
    deadline = run_deadline(execution)
    if deadline is not None and deadline <= now and not execution.stopping:
        failure = Failure(
            FailureKind.TIMEOUT, "RUN_TIMEOUT", "the execution ran longer than its run_timeout"
        )
        execution = replace(execution, failure=failure)
    return settle(execution, now)


def due_at(execution: Execution) -> datetime | None:
    """Return the next moment at which time alone changes *execution*."""
    return execution.due_at


def hold_leases(execution: Execution, now: datetime, *, is_alone: bool = True) -> Execution:
    """
    Return *execution* with each lease held for as long as it was made for, from *now* on.

    For a server that starts, or whose database was away: meanwhile workers could report to nobody.
    If it starts and *is_alone*, those inside the server before have ended with it, and their leases
    end now. Itself if nothing is leased.
    """
    if not any(True for _ in execution.leases()):
        return execution
    phases = tuple(
        phase if phase.lease is None else replace(phase, lease=_held(phase.lease, now, is_alone))
        for phase in execution.phases
    )
    return replace(execution, phases=phases)


def summed(execution: Execution, now: datetime) -> Execution:
    """Return *execution* with the figures that its phases add up to."""
    completed = retries = model_calls = 0
    usage, models = NO_USAGE, list[tuple[ModelUsage, ...]]()
    running: list[str] = []
    artifacts: list[str] = []
    tools: set[str] = set()
    for phase in execution.phases:
        if not phase.epoch:
            # Never leased: there is nothing of it to add up.
            continue
        completed += is_completed(phase.status)
        if phase.attempt > 1:
            retries += phase.attempt - 1
        if phase.lease is not None:
            running.append(phase.phase_id)
        spent = phase.usage
        if spent is not NO_USAGE and spent != NO_USAGE:
            usage += spent
            models.append(phase.usage_by_model)
        if phase.operation_count:
            model_calls += phase.model_call_count
            tools.update(phase.tool_names)
        if phase.artifact_ids:
            artifacts.extend(phase.artifact_ids)
    return replace(
        execution,
        updated_at=max(now, execution.updated_at),
        usage=usage,
        usage_by_model=merge(*models) if models else (),
        current_phase=_current(execution, running),
        running_phases=tuple(running),
        completed_phases=completed,
        retry_count=retries,
        model_call_count=model_calls,
        tool_names=tuple(sorted(tools)[:KEPT_TOOL_NAMES]),
        artifact_ids=tuple(artifacts),
    )


def _current(execution: Execution, running: list[str]) -> str:
    if running:
        return running[0]
    if execution.done:
        return ""
    return next((phase.phase_id for phase in execution.phases if not phase.done), "")


def _go_on(execution: Execution, now: datetime) -> Execution:
    """Make every phase READY that has nothing left to wait for, or complete the execution."""
    phases = execution.phases
    for position, phase in enumerate(phases):
        if is_held(phase.status) and _can_begin(execution, position, phase, now):
            status = phase_step(phase.status, PhaseTrigger.PREPARE)
            execution = execution.with_phase(
                position, replace(phase, status=status, next_attempt_at=None)
            )
    if execution.phases is phases and all(is_completed(phase.status) for phase in phases):
        completed = step(execution.status, ExecutionTrigger.COMPLETE)
        return replace(execution, status=completed, completed_at=now)
    return execution


def _can_begin(execution: Execution, position: int, phase: Phase, now: datetime) -> bool:
    begins = begins_at(execution, phase)
    return (begins is None or begins <= now) and not is_blocked(execution, position)


def _wind_down(execution: Execution, now: datetime, grace: timedelta) -> Execution:
    """Begin nothing more, tell the running phases to stop, and end once none is left."""
    trigger = PhaseTrigger.SKIP if execution.failure is not None else PhaseTrigger.CANCEL
    phases = tuple(_stopped(phase, trigger, now, grace) for phase in execution.phases)
    if all(phase.lease is None for phase in phases):
        end = ExecutionTrigger.CANCEL if execution.failure is None else ExecutionTrigger.FAIL
        ended = step(execution.status, end)
        return replace(execution, phases=phases, status=ended, completed_at=now)
    if is_cancelling(execution.status):
        return replace(execution, phases=phases)
    return replace(execution, phases=phases, status=step(execution.status, ExecutionTrigger.STOP))


def _stopped(phase: Phase, trigger: PhaseTrigger, now: datetime, grace: timedelta) -> Phase:
    if is_waiting(phase.status):
        status = phase_step(phase.status, trigger)
        return replace(phase, status=status, completed_at=now, next_attempt_at=None)
    if phase.lease is not None and phase.lease.stop_by is None:
        return replace(phase, lease=_to_stop(phase.lease, now, grace))
    return phase


def _to_stop(lease: Lease, now: datetime, grace: timedelta) -> Lease:
    if not grace:
        # Nobody waits for the worker: with its next report it hears that the lease has ended.
        return replace(lease, stopped_at=now, stop_by=now)
    # It hears with its next report that it is to stop, and has the whole grace from then on.
    stop_by = now + heartbeat_interval(lease) + grace
    return replace(lease, stopped_at=now, stop_by=stop_by, untold_grace=grace)


def _end_overdue(
    execution: Execution, position: int, phase: Phase, lease: Lease, now: datetime, jitter: float
) -> Phase:
    """Return *phase* after its lease ran out: over its time limit, past its grace, or unrenewed."""
    how = EndedBy.REVOKED
    if lease.deadline is not None and lease.deadline + TIMEOUT_MARGIN <= now:
        failure = Failure(
            FailureKind.TIMEOUT, "PHASE_TIMEOUT", "the attempt ran longer than its timeout"
        )
    elif lease.stop_by is not None:
        failure = Failure(FailureKind.CANCELLED, message="the worker did not stop in time")
    else:
        how = EndedBy.EXPIRED
        failure = Failure(
            FailureKind.WORKER_LOST,
            "WORKER_LOST",
            f"worker {lease.worker_id!r} did not renew its lease",
        )
    return fail_attempt(execution, position, failure, now, how=how, jitter=jitter)


def _held(lease: Lease, now: datetime, is_alone: bool) -> Lease:
    if lease.is_embedded and is_alone:
        return replace(lease, expires_at=min(lease.expires_at, now), held_until=None)
    return replace(lease, held_until=max(now + lease.duration, lease.held_until or now))
