"""Phases and their attempts as messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from phaseline.domain.execution import KEPT_ATTEMPTS, Attempt, Execution, Phase, attempt_usage
from phaseline.domain.usage import ModelUsage
from phaseline.v1 import execution_pb2
from phaseline.wire.enums import PHASE_STATUS
from phaseline.wire.payloads import failure_message, progress_message
from phaseline.wire.scalars import optional_duration, optional_timestamp, ran, timestamp
from phaseline.wire.usage import cost_by_model, model_usage_messages, usage_message


def phase_message(execution: Execution, position: int, now: datetime) -> execution_pb2.Phase:
    """Return a phase as it stands at *now*, without its output, attempts and operations."""
    phase, spec = execution.phases[position], execution.spec_of(position)
    usages = phase.usage_by_model
    message = execution_pb2.Phase(
        phase_id=phase.phase_id,
        execution_id=execution.spec.execution_id,
        name=spec.name or spec.phase_id,
        status=PHASE_STATUS[phase.status],
        revision=phase.revision,
        handler=spec.handler,
        model=_most_used(usages) or spec.model,
        attempt=phase.attempt,
        next_attempt_at=optional_timestamp(phase.next_attempt_at),
        assigned_to_worker=phase.worker_id,
        session_id=phase.session_id or execution.spec.session_id,
        progress=None if phase.progress is None else progress_message(phase.progress),
        started_at=optional_timestamp(phase.started_at),
        completed_at=optional_timestamp(phase.completed_at),
        duration=optional_duration(ran(phase.started_at, phase.completed_at, now)),
        usage=usage_message(phase.usage),
        operation_count=phase.operation_count,
        failure=None if phase.failure is None else failure_message(phase.failure, phase.phase_id),
    )
    # Set only where there is something: an empty list or map takes a microsecond all the same.
    if usages:
        message.usage_by_model.extend(model_usage_messages(usages))
        message.cost_by_model.update(cost_by_model(usages))
    if phase.artifact_ids:
        message.artifact_ids.extend(phase.artifact_ids)
    return message


def attempt_messages(phase: Phase) -> Iterable[execution_pb2.PhaseAttempt]:
    """Return the last attempts of *phase*, oldest first, the running one included."""
    return list(_attempts(phase))[-KEPT_ATTEMPTS:]


def _attempts(phase: Phase) -> Iterator[execution_pb2.PhaseAttempt]:
    for attempt in phase.attempts:
        yield _ended(phase, attempt)
    lease = phase.lease
    if lease is not None:
        yield execution_pb2.PhaseAttempt(
            attempt=phase.attempt,
            assigned_to_worker=lease.worker_id,
            started_at=timestamp(lease.started_at),
            usage=usage_message(attempt_usage(lease)),
        )


def _ended(phase: Phase, attempt: Attempt) -> execution_pb2.PhaseAttempt:
    failure = attempt.failure
    return execution_pb2.PhaseAttempt(
        attempt=attempt.attempt,
        assigned_to_worker=attempt.worker_id,
        started_at=timestamp(attempt.started_at),
        completed_at=timestamp(attempt.completed_at),
        usage=usage_message(attempt.usage),
        failure=None if failure is None else failure_message(failure, phase.phase_id),
    )


def _most_used(usages: tuple[ModelUsage, ...]) -> str:
    """Return the model with the most tokens, the costlier of two; empty if none was used."""
    return max(usages, key=lambda usage: usage.total_tokens).model if usages else ""
