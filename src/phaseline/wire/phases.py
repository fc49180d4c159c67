"""Phases and their attempts as messages."""

from __future__ import annotations

from datetime import datetime

from phaseline.domain.execution import KEPT_ATTEMPTS, Attempt, Execution, Phase, attempt_usage
from phaseline.domain.usage import ModelUsage
from phaseline.v1 import execution_pb2
from phaseline.wire.enums import PHASE_STATUS
from phaseline.wire.payloads import failure_message, progress_message
from phaseline.wire.scalars import put_duration, put_timestamp, ran
from phaseline.wire.usage import cost_by_model, put_model_usage, put_usage


def phase_message(execution: Execution, position: int, now: datetime) -> execution_pb2.Phase:
    """Return a phase as it stands at *now*, without its output, attempts and operations."""
    message = execution_pb2.Phase()
    fill_phase(message, execution, position, now)
    return message


def fill_phase(
    message: execution_pb2.Phase, execution: Execution, position: int, now: datetime
) -> None:
    """Fill the new *message* with what `phase_message` returns."""
    phase, spec = execution.phases[position], execution.spec_of(position)
    usages = phase.usage_by_model
    message.phase_id = phase.phase_id
    message.execution_id = execution.spec.execution_id
    message.name = spec.name or spec.phase_id
    message.status = PHASE_STATUS[phase.status]
    message.revision = phase.revision
    message.handler = spec.handler
    message.model = _most_used(usages) or spec.model
    message.attempt = phase.attempt
    message.assigned_to_worker = phase.worker_id
    message.session_id = phase.session_id or execution.spec.session_id
    message.operation_count = phase.operation_count
    put_usage(message.usage, phase.usage)
    for usage in usages:
        put_model_usage(message.usage_by_model.add(), usage)
    if usages:
        message.cost_by_model.update(cost_by_model(usages))
    if phase.artifact_ids:
        message.artifact_ids.extend(phase.artifact_ids)
    if phase.progress is not None:
        message.progress.CopyFrom(progress_message(phase.progress))
    if phase.failure is not None:
        message.failure.CopyFrom(failure_message(phase.failure, phase.phase_id))
    _put_times(message, phase, now)


def add_attempts(message: execution_pb2.Phase, phase: Phase) -> None:
    """Put in the last attempts of *phase*, oldest first, the running one included."""
    lease = phase.lease
    past = phase.attempts if lease is None else phase.attempts[1 - KEPT_ATTEMPTS :]
    for attempt in past:
        _put_attempt(message.attempts.add(), phase, attempt)
    if lease is not None:
        running = message.attempts.add(attempt=phase.attempt, assigned_to_worker=lease.worker_id)
        put_timestamp(running.started_at, lease.started_at)
        put_usage(running.usage, attempt_usage(lease))


def _put_times(message: execution_pb2.Phase, phase: Phase, now: datetime) -> None:
    started, completed = phase.started_at, phase.completed_at
    if phase.next_attempt_at is not None:
        put_timestamp(message.next_attempt_at, phase.next_attempt_at)
    if completed is not None:
        put_timestamp(message.completed_at, completed)
    if started is not None:
        put_timestamp(message.started_at, started)
        put_duration(message.duration, ran(started, completed, now))


def _put_attempt(message: execution_pb2.PhaseAttempt, phase: Phase, attempt: Attempt) -> None:
    message.attempt = attempt.attempt
    message.assigned_to_worker = attempt.worker_id
    put_timestamp(message.started_at, attempt.started_at)
    put_timestamp(message.completed_at, attempt.completed_at)
    put_usage(message.usage, attempt.usage)
    if attempt.failure is not None:
        message.failure.CopyFrom(failure_message(attempt.failure, phase.phase_id))


def _most_used(usages: tuple[ModelUsage, ...]) -> str:
    """Return the model with the most tokens, the costlier of two; empty if none was used."""
    return max(usages, key=lambda usage: usage.total_tokens).model if usages else ""
