"""What workers do to an execution: lease its phases, and report on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import assert_never

import msgspec
from msgspec.structs import replace

from phaseline.domain.advance import end_attempt, fail_attempt, settle, stopping, tick
from phaseline.domain.execution import Ending, Execution, Lease, Operation, Phase
from phaseline.domain.failure import Cancellation, Failure, FailureKind
from phaseline.domain.lifecycle import (
    ExecutionStatus,
    ExecutionTrigger,
    PhaseStatus,
    PhaseTrigger,
    phase_step,
    step,
)
from phaseline.domain.payload import Payload
from phaseline.domain.report import (
    AbandonReason,
    ArtifactDraft,
    Completed,
    Directive,
    DirectiveAction,
    Failed,
    LeaseRequest,
    OperationReport,
    Released,
    Report,
)
from phaseline.domain.workflow import Workflow

#: Says what is wrong with the result of a workflow, or None.
CheckOutput = Callable[[Workflow, Payload | None], str | None]

_KEPT_TOOL_NAMES = 50


class Recorded(msgspec.Struct, frozen=True):
    """What an operation that is on record already counts for."""

    ordinal: int
    has_tool: bool
    is_model_call: bool


class Reported(msgspec.Struct, frozen=True):
    """What one report brings about. Without `execution` nothing is to be stored."""

    directive: Directive
    execution: Execution | None = None
    #: Nothing that a caller can see has changed: the lease is renewed, no more.
    only_renewed: bool = False
    operations: tuple[Operation, ...] = ()
    checkpoint: Payload | None = None
    output: Payload | None = None
    artifacts: tuple[ArtifactDraft, ...] = ()


def can_lease(execution: Execution, position: int) -> bool:
    """Whether a phase may be leased now."""
    return (
        execution.phases[position].status is PhaseStatus.READY
        and execution.status is not ExecutionStatus.PAUSED
    )


def lease(
    execution: Execution, position: int, request: LeaseRequest, digest: str, now: datetime
) -> Execution:
    """Return *execution* with the READY phase leased to the worker that asks."""
    phase, spec = execution.phases[position], execution.spec_of(position)
    made = Lease(
        epoch=phase.epoch + 1,
        worker_id=request.worker_id,
        request_id=request.request_id,
        request_digest=digest,
        duration=request.lease_duration,
        started_at=now,
        expires_at=now + request.lease_duration,
        deadline=None if spec.timeout is None else now + spec.timeout,
    )
    leased = replace(
        phase,
        status=phase_step(phase.status, PhaseTrigger.LEASE),
        lease=made,
        epoch=made.epoch,
        attempt=phase.attempt + 1,
        worker_id=request.worker_id,
        started_at=phase.started_at or now,
        failure=None,
    )
    if execution.status is ExecutionStatus.PENDING:
        execution = replace(
            execution,
            status=step(execution.status, ExecutionTrigger.BEGIN),
            started_at=execution.started_at or now,
            run_started_at=now,
        )
    execution = replace(execution, worker_id=request.worker_id)
    return settle(execution.with_phase(position, leased), now)


def report(
    execution: Execution,
    position: int,
    epoch: int,
    told: Report,
    now: datetime,
    *,
    recorded: Mapping[str, Recorded],
    check_output: CheckOutput,
    jitter: float,
) -> Reported:
    """
    Return what *told* brings about for the lease of *epoch*.

    *recorded* holds those operations of the report that this attempt has reported before.
    """
    ticked = tick(execution, now, jitter)
    phase = ticked.phases[position]
    if phase.lease is None or phase.lease.epoch != epoch:
        # What the clock did is stored with the refusal, or the next report would find it undone.
        changed = ticked if ticked is not execution else None
        return Reported(_refusal(phase, epoch, told), changed)
    if told.sequence and told.sequence <= phase.lease.sequence:
        renewed = _renewed(phase, phase.lease, now)
        return Reported(
            replace(_directive(ticked, renewed, now), replayed=True),
            ticked.with_phase(position, renewed),
            only_renewed=ticked is execution,
        )
    phase, operations = _record(ticked, position, phase, told.operations, recorded, now)
    phase = _absorb(phase, told, now)
    return _conclude(
        ticked.with_phase(position, phase),
        position,
        told,
        now,
        operations=operations,
        check_output=check_output,
        jitter=jitter,
    )


def _conclude(
    execution: Execution,
    position: int,
    told: Report,
    now: datetime,
    *,
    operations: tuple[Operation, ...],
    check_output: CheckOutput,
    jitter: float,
) -> Reported:
    """Apply the outcome of a report whose news is taken in already."""
    outcome, phase = told.outcome, execution.phases[position]
    if outcome is None:
        directive = _directive(execution, phase, now)
        if not _says_something(told):
            return Reported(directive, execution, only_renewed=True)
        return Reported(
            directive, settle(execution, now), operations=operations, checkpoint=told.checkpoint
        )
    kept: tuple[Payload | None, tuple[ArtifactDraft, ...]] = (None, ())
    match outcome:
        case Completed():
            is_last = position == len(execution.phases) - 1
            wrong = check_output(execution.workflow, outcome.output) if is_last else None
            if wrong is None:
                phase = _completed(phase, outcome.output, now)
                kept = (outcome.output, outcome.artifacts)
            else:
                failure = Failure(FailureKind.INVALID_OUTPUT, "OUTPUT_SCHEMA_MISMATCH", wrong)
                phase = fail_attempt(
                    execution, position, failure, now, how="completed", jitter=jitter
                )
        case Failed():
            phase = fail_attempt(
                execution,
                position,
                outcome.failure,
                now,
                how="failed",
                jitter=jitter,
                delay=outcome.retry_delay,
            )
        case Released():
            phase = _released(execution, phase, outcome.delay, now)
        case _:
            assert_never(outcome)
    ending = phase.ending
    directive = Directive(
        DirectiveAction.ACCEPTED,
        retry_decision=ending.retry_decision if ending else None,
        next_attempt_at=ending.next_attempt_at if ending else None,
    )
    execution = settle(execution.with_phase(position, phase), now)
    return Reported(
        directive,
        execution,
        operations=operations,
        checkpoint=told.checkpoint,
        output=kept[0],
        artifacts=kept[1],
    )


def _completed(phase: Phase, output: Payload | None, now: datetime) -> Phase:
    assert phase.lease is not None
    ended = end_attempt(phase, phase.lease, now, None, Ending(phase.lease.epoch, "completed"))
    return replace(
        ended,
        status=phase_step(phase.status, PhaseTrigger.COMPLETE),
        completed_at=now,
        output_size=0 if output is None else output.size,
    )


def _released(execution: Execution, phase: Phase, delay: timedelta, now: datetime) -> Phase:
    assert phase.lease is not None
    ended = end_attempt(phase, phase.lease, now, None, Ending(phase.lease.epoch, "released"))
    # A released attempt does not count, so it leaves no entry either; what it spent stays.
    ended = replace(ended, attempts=phase.attempts, attempt=phase.attempt - 1, progress=None)
    if stopping(execution):
        status = phase_step(phase.status, PhaseTrigger.CANCEL)
        return replace(ended, status=status, completed_at=now)
    status = phase_step(phase.status, PhaseTrigger.RELEASE)
    return replace(ended, status=status, next_attempt_at=now + delay if delay else None)


def _absorb(phase: Phase, told: Report, now: datetime) -> Phase:
    """Return *phase* with the news of *told*, its lease renewed."""
    assert phase.lease is not None
    lease = phase.lease
    changes = replace(
        lease,
        sequence=max(lease.sequence, told.sequence),
        usage_by_model=(
            lease.usage_by_model if told.usage_by_model is None else told.usage_by_model
        ),
        credits_nanos=(lease.credits_nanos if told.credits_nanos is None else told.credits_nanos),
    )
    phase = replace(
        phase,
        session_id=told.session_id or phase.session_id,
        progress=told.progress or phase.progress,
        has_checkpoint=phase.has_checkpoint or told.checkpoint is not None,
    )
    return _renewed(phase, changes, now)


def _renewed(phase: Phase, lease: Lease, now: datetime) -> Phase:
    # Once it is to stop, reports no longer put off its end; the grace is what is left.
    expires_at = lease.stop_by if lease.stop_by is not None else now + lease.duration
    return replace(phase, lease=replace(lease, expires_at=expires_at))


def _record(
    execution: Execution,
    position: int,
    phase: Phase,
    reports: tuple[OperationReport, ...],
    recorded: Mapping[str, Recorded],
    now: datetime,
) -> tuple[Phase, tuple[Operation, ...]]:
    """Return *phase* with the counts of its operations, and the operations to store."""
    if not reports:
        return phase, ()
    assert phase.lease is not None
    ordinal = sum(other.operation_count for other in execution.phases)
    known = dict(recorded)
    stored: dict[str, Operation] = {}
    new = tools = models = 0
    for told in reports:
        before = known.get(told.operation_id)
        is_model_call = told.operation_type == "model"
        tools += bool(told.tool_name) - (before.has_tool if before else False)
        models += is_model_call - (before.is_model_call if before else False)
        place = before.ordinal if before else ordinal + new
        new += before is None
        known[told.operation_id] = Recorded(place, bool(told.tool_name), is_model_call)
        stored[told.operation_id] = Operation(
            key=execution.key,
            phase_id=phase.phase_id,
            position=position,
            epoch=phase.lease.epoch,
            attempt=phase.attempt,
            ordinal=place,
            reported=told if told.timestamp else replace(told, timestamp=now),
            is_new=told.operation_id not in recorded,
        )
    names = {told.tool_name for told in reports if told.tool_name} | set(phase.tool_names)
    lease = replace(phase.lease, tool_call_count=phase.lease.tool_call_count + tools)
    phase = replace(
        phase,
        lease=lease,
        operation_count=phase.operation_count + new,
        model_call_count=phase.model_call_count + models,
        tool_names=tuple(sorted(names)[:_KEPT_TOOL_NAMES]),
    )
    return phase, tuple(stored.values())


def _says_something(told: Report) -> bool:
    return bool(
        told.operations
        or told.usage_by_model is not None
        or told.credits_nanos is not None
        or told.checkpoint
        or told.progress
        or told.session_id
    )


def _directive(execution: Execution, phase: Phase, now: datetime) -> Directive:
    assert phase.lease is not None
    if phase.lease.stop_by is None:
        return Directive(DirectiveAction.CONTINUE, time_to_live=phase.lease.duration)
    return Directive(
        DirectiveAction.CANCEL,
        time_to_live=phase.lease.stop_by - now,
        cancellation=execution.cancellation or _stopped_by_system(execution, now),
    )


def _stopped_by_system(execution: Execution, now: datetime) -> Cancellation:
    assert execution.failure is not None, "only a cancellation or a failure stops an execution"
    return Cancellation(now, "system", execution.failure.message)


def _refusal(phase: Phase, epoch: int, told: Report) -> Directive:
    """Return what a worker is told whose lease is not the live one."""
    ending = phase.ending
    if epoch > phase.epoch:
        return Directive(DirectiveAction.ABANDON, AbandonReason.UNKNOWN)
    if ending is None or ending.epoch != epoch or phase.epoch > epoch:
        if ending is not None and ending.epoch == epoch and _repeats(ending, told):
            return _replay(ending)
        return Directive(DirectiveAction.ABANDON, AbandonReason.SUPERSEDED)
    if _repeats(ending, told):
        return _replay(ending)
    expired = ending.how == "expired"
    return Directive(
        DirectiveAction.ABANDON, AbandonReason.EXPIRED if expired else AbandonReason.ENDED
    )


def _repeats(ending: Ending, told: Report) -> bool:
    match told.outcome:
        case Completed():
            return ending.how == "completed"
        case Failed():
            return ending.how == "failed"
        case Released():
            return ending.how == "released"
        case None:
            return False
        case _:
            assert_never(told.outcome)


def _replay(ending: Ending) -> Directive:
    return Directive(
        DirectiveAction.ACCEPTED,
        replayed=True,
        retry_decision=ending.retry_decision,
        next_attempt_at=ending.next_attempt_at,
    )
