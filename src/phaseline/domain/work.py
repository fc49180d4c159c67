"""What workers do to an execution: lease its phases, and report on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import assert_never

import msgspec
from msgspec.structs import replace

from phaseline.domain.advance import settle, summed, tick
from phaseline.domain.attempts import complete_attempt, fail_attempt, release_attempt
from phaseline.domain.errors import IllegalTransition
from phaseline.domain.execution import EndedBy, Ending, Execution, Lease, Operation, Phase
from phaseline.domain.failure import MESSAGE_LENGTH, Cancellation, Failure, FailureKind
from phaseline.domain.lifecycle import (
    ExecutionTrigger,
    PhaseTrigger,
    has_not_begun,
    may_lease,
    phase_step,
    step,
)
from phaseline.domain.payload import Payload
from phaseline.domain.recording import Recorded, absorb, record, says_something
from phaseline.domain.report import (
    AbandonReason,
    ArtifactDraft,
    Completed,
    Directive,
    DirectiveAction,
    Failed,
    LeaseRequest,
    Outcome,
    Released,
    Report,
)
from phaseline.domain.timing import lease_end
from phaseline.domain.workflow import Workflow

#: Says what is wrong with the result of a workflow, or None.
CheckOutput = Callable[[Workflow, Payload | None], str | None]


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
    return may_lease(execution.status, execution.phases[position].status)


def lease(
    execution: Execution, position: int, request: LeaseRequest, digest: str, now: datetime
) -> Execution:
    """Return *execution* with the READY phase leased to the worker that asks."""
    phase, spec = execution.phases[position], execution.spec_of(position)
    if not can_lease(execution, position):
        raise IllegalTransition("phase", phase.status, PhaseTrigger.LEASE, subject=phase.phase_id)
    made = Lease(
        epoch=phase.epoch + 1,
        worker_id=request.worker_id,
        request_id=request.request_id,
        request_digest=digest,
        duration=request.lease_duration,
        started_at=now,
        expires_at=now + request.lease_duration,
        deadline=None if spec.timeout is None else now + spec.timeout,
        is_embedded=request.is_embedded,
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
    if has_not_begun(execution.status):
        execution = replace(
            execution,
            status=step(execution.status, ExecutionTrigger.BEGIN),
            started_at=execution.started_at or now,
            run_started_at=now,
        )
    # Summed up and no more: a lease makes no other phase ready, and ends nothing.
    return summed(replace(execution.with_phase(position, leased), worker_id=request.worker_id), now)


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
        return Reported(_refusal(phase, epoch, told.outcome), changed)
    if told.sequence and told.sequence <= phase.lease.sequence:
        renewed = ticked.with_phase(position, _renewed(phase, phase.lease, now))
        return Reported(
            replace(directive(renewed, position, now), replayed=True),
            renewed,
            only_renewed=ticked is execution,
        )
    operations: tuple[Operation, ...] = ()
    if told.operations:
        phase, operations = record(ticked, position, told.operations, recorded, now)
    assert phase.lease is not None, "recording keeps the lease"
    phase = absorb(phase, phase.lease, told)
    if told.outcome is not None:
        ended = _conclude(
            ticked.with_phase(position, phase), position, told.outcome, now, check_output, jitter
        )
        return replace(ended, operations=operations, checkpoint=told.checkpoint)
    assert phase.lease is not None, "only an outcome ends it"
    current = ticked.with_phase(position, _renewed(phase, phase.lease, now))
    if not says_something(told):
        return Reported(
            directive(current, position, now), current, only_renewed=ticked is execution
        )
    current = settle(current, now)
    return Reported(
        directive(current, position, now),
        current,
        operations=operations,
        checkpoint=told.checkpoint,
    )


def told(execution: Execution, position: int, now: datetime) -> Execution:
    """
    Return *execution* after its worker has been told of a phase what `directive` says.

    Itself if that is no news to the worker. Of an execution that is to stop, this is when its grace
    begins.
    """
    phase = execution.phases[position]
    if phase.lease is None or phase.lease.untold_grace is None:
        return execution
    return execution.with_phase(position, _renewed(phase, phase.lease, now))


def directive(execution: Execution, position: int, now: datetime) -> Directive:
    """Return what the worker that holds the lease of a phase has to do with it."""
    held = execution.phases[position].lease
    assert held is not None, "somebody holds it"
    if held.stopped_at is None:
        return Directive(DirectiveAction.CONTINUE, time_to_live=held.duration)
    return Directive(
        DirectiveAction.CANCEL,
        time_to_live=lease_end(held) - now,
        cancellation=execution.cancellation or _stopped_by_system(execution, held.stopped_at),
    )


def _conclude(
    execution: Execution,
    position: int,
    outcome: Outcome,
    now: datetime,
    check_output: CheckOutput,
    jitter: float,
) -> Reported:
    """Apply the outcome of a report whose news is taken in already."""
    phase = execution.phases[position]
    held = phase.lease
    assert held is not None, "it was checked"
    output: Payload | None = None
    artifacts: tuple[ArtifactDraft, ...] = ()
    match outcome:
        case Completed():
            wrong = _wrong_result(execution, position, outcome, check_output)
            if wrong is None:
                phase = complete_attempt(phase, held, outcome.output, now)
                output, artifacts = outcome.output, outcome.artifacts
            else:
                phase = fail_attempt(
                    execution, position, wrong, now, how=EndedBy.COMPLETED, jitter=jitter
                )
        case Failed():
            phase = fail_attempt(
                execution,
                position,
                outcome.failure,
                now,
                how=EndedBy.FAILED,
                jitter=jitter,
                delay=outcome.retry_delay,
            )
        case Released():
            phase = release_attempt(phase, held, outcome.delay, now, stopping=execution.stopping)
        case _:
            assert_never(outcome)
    assert phase.ending is not None, "the lease has ended"
    return Reported(
        _accepted(phase.ending),
        settle(execution.with_phase(position, phase), now),
        output=output,
        artifacts=artifacts,
    )


def _wrong_result(
    execution: Execution, position: int, outcome: Completed, check_output: CheckOutput
) -> Failure | None:
    """Return why the result of the workflow, which its last phase produces, is refused."""
    if position != len(execution.phases) - 1:
        return None
    wrong = check_output(execution.workflow, outcome.output)
    if wrong is None:
        return None
    return Failure(
        FailureKind.INVALID_OUTPUT,
        "OUTPUT_SCHEMA_MISMATCH",
        wrong[:MESSAGE_LENGTH],
        retryable=False,
    )


def _renewed(phase: Phase, held: Lease, now: datetime) -> Phase:
    if held.stop_by is None:
        renewed = replace(held, expires_at=now + held.duration, held_until=None)
        return replace(phase, lease=renewed)
    if held.untold_grace is None:
        # Reports no longer put off its end.
        return phase
    stop_by = now + held.untold_grace
    # Its time limit may have passed while no server was there; it has its grace all the same.
    held_until = None if held.held_until is None else stop_by
    told = replace(
        held, expires_at=stop_by, stop_by=stop_by, untold_grace=None, held_until=held_until
    )
    return replace(phase, lease=told)


def _stopped_by_system(execution: Execution, since: datetime) -> Cancellation:
    assert execution.failure is not None, "only a cancellation or a failure stops an execution"
    return Cancellation(since, "system", execution.failure.message)


def _refusal(phase: Phase, epoch: int, outcome: Outcome | None) -> Directive:
    """Return what a worker is told whose lease is not the live one."""
    ending = phase.ending
    if epoch > phase.epoch:
        return Directive(DirectiveAction.ABANDON, AbandonReason.UNKNOWN)
    if ending is not None and ending.epoch == epoch and _repeats(ending, outcome):
        return replace(_accepted(ending), replayed=True)
    if ending is None or ending.epoch != epoch or phase.epoch > epoch:
        return Directive(DirectiveAction.ABANDON, AbandonReason.SUPERSEDED)
    expired = ending.how is EndedBy.EXPIRED
    return Directive(
        DirectiveAction.ABANDON, AbandonReason.EXPIRED if expired else AbandonReason.ENDED
    )


def _repeats(ending: Ending, outcome: Outcome | None) -> bool:
    match outcome:
        case Completed():
            return ending.how is EndedBy.COMPLETED
        case Failed():
            return ending.how is EndedBy.FAILED
        case Released():
            return ending.how is EndedBy.RELEASED
        case None:
            return False
        case _:
            assert_never(outcome)


def _accepted(ending: Ending) -> Directive:
    return Directive(
        DirectiveAction.ACCEPTED,
        retry_decision=ending.retry_decision,
        next_attempt_at=ending.next_attempt_at,
    )
