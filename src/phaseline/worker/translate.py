"""What a worker and its server say to each other, as messages and as values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import assert_never

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict

from phaseline.domain.failure import Cancellation
from phaseline.domain.money import format_amount, parse_amount
from phaseline.domain.report import (
    Completed,
    Directive,
    DirectiveAction,
    Failed,
    LeaseRequest,
    OperationReport,
    Outcome,
    Rejection,
    Released,
    Report,
)
from phaseline.v1 import artifact_pb2, execution_pb2, worker_service_pb2
from phaseline.wire.enums import ABANDON_REASON, DIRECTIVE_ACTION, RETRY_DECISION
from phaseline.wire.payloads import (
    failure_message,
    payload_message,
    payload_of,
    progress_message,
)
from phaseline.wire.scalars import duration, optional_timestamp
from phaseline.wire.usage import model_usage_message, model_usage_messages
from phaseline.worker.assignment import Assignment

_ACTIONS = {number: each for each, number in DIRECTIVE_ACTION.items()}
_REASONS = {number: each for each, number in ABANDON_REASON.items()}
_DECISIONS = {number: each for each, number in RETRY_DECISION.items()}


def lease_message(request: LeaseRequest) -> worker_service_pb2.LeasePhasesRequest:
    """Return *request* as a message."""
    return worker_service_pb2.LeasePhasesRequest(
        worker_id=request.worker_id,
        request_id=request.request_id,
        queue_names=request.queue_names,
        handlers=request.handlers,
        deployment_id=request.deployment_id,
        max_phases=request.max_phases,
        wait=duration(request.wait),
        lease_duration=duration(request.lease_duration),
    )


def reports_message(
    reports: Sequence[Report], next: LeaseRequest | None
) -> worker_service_pb2.ReportPhasesRequest:
    """Return *reports*, and what else is asked for, as a message."""
    return worker_service_pb2.ReportPhasesRequest(
        reports=[report_message(report) for report in reports],
        next=None if next is None else lease_message(next),
    )


def report_message(report: Report) -> worker_service_pb2.PhaseReport:
    """Return *report* as a message."""
    message = worker_service_pb2.PhaseReport(
        lease_token=report.lease_token,
        sequence=report.sequence,
        operations=[_operation_message(each) for each in report.operations],
        usage_by_model=model_usage_messages(report.usage_by_model or ()),
        session_id=report.session_id,
    )
    if report.credits_nanos is not None:
        message.credits_used = format_amount(report.credits_nanos)
    if report.checkpoint is not None:
        message.checkpoint.CopyFrom(payload_message(report.checkpoint))
    if report.progress is not None:
        message.progress.CopyFrom(progress_message(report.progress))
    if report.outcome is not None:
        _add_outcome(message, report.outcome)
    return message


def assignment_of(message: worker_service_pb2.PhaseLease) -> Assignment:
    """Return what is to be done in a lease."""
    phase, execution = message.phase, message.execution
    budget = message.remaining_budget_usd
    return Assignment(
        lease_token=message.lease_token,
        execution_id=phase.execution_id,
        phase_id=phase.phase_id,
        handler=phase.handler,
        attempt=phase.attempt,
        fencing_token=message.fencing_token,
        time_to_live=_span(message.time_to_live),
        heartbeat_interval=_span(message.heartbeat_interval),
        workflow_id=execution.workflow_id,
        prompt=message.prompt,
        model=message.model,
        config=MessageToDict(message.config) if message.config.fields else {},
        task=execution.task,
        inputs=dict(execution.inputs),
        payload=payload_of(execution.payload) if execution.HasField("payload") else None,
        outputs={name: payload_of(each) for name, each in message.outputs.items()},
        checkpoint=payload_of(message.checkpoint) if message.HasField("checkpoint") else None,
        session_id=phase.session_id or execution.session_id,
        timeout=_span(message.timeout) if message.HasField("timeout") else None,
        remaining_budget_nanos=parse_amount(budget) if budget else None,
        labels=dict(execution.labels),
        repos=tuple(execution.repos),
        queue_name=execution.queue_name,
        workspace_id=execution.workspace_id,
        traceparent=message.traceparent,
    )


def directive_of(message: worker_service_pb2.PhaseDirective) -> Directive:
    """Return what a worker is told."""
    return Directive(
        # What a newer server may say is at least no reason to stop.
        _ACTIONS.get(message.action, DirectiveAction.CONTINUE),
        abandon_reason=_REASONS.get(message.abandon_reason),
        time_to_live=_span(message.time_to_live) if message.HasField("time_to_live") else None,
        cancellation=(
            _cancellation(message.cancellation) if message.HasField("cancellation") else None
        ),
        rejections=tuple(
            Rejection(each.field, each.reason, each.message) for each in message.rejections
        ),
        replayed=message.replayed,
        retry_decision=_DECISIONS.get(message.retry_decision),
        next_attempt_at=(
            message.next_attempt_at.ToDatetime(UTC) if message.HasField("next_attempt_at") else None
        ),
    )


def _add_outcome(message: worker_service_pb2.PhaseReport, outcome: Outcome) -> None:
    match outcome:
        case Completed():
            message.completed.SetInParent()
            if outcome.output is not None:
                message.completed.output.CopyFrom(payload_message(outcome.output))
            message.completed.artifacts.extend(
                artifact_pb2.Artifact(name=each.name, content=payload_message(each.content))
                for each in outcome.artifacts
            )
        case Failed():
            message.failed.failure.CopyFrom(failure_message(outcome.failure))
            if outcome.retry_delay:
                message.failed.retry_delay.CopyFrom(duration(outcome.retry_delay))
        case Released():
            message.released.SetInParent()
            if outcome.delay:
                message.released.delay.CopyFrom(duration(outcome.delay))
        case _:
            assert_never(outcome)


def _operation_message(told: OperationReport) -> execution_pb2.Operation:
    return execution_pb2.Operation(
        operation_id=told.operation_id,
        parent_operation_id=told.parent_operation_id,
        operation_type=told.operation_type,
        tool_name=told.tool_name,
        tool_use_id=told.tool_use_id,
        success=told.success,
        timestamp=optional_timestamp(told.timestamp),
        completed_at=optional_timestamp(told.completed_at),
        error_message=told.error_message,
        usage=None if told.usage is None else model_usage_message(told.usage),
        input=None if told.input is None else payload_message(told.input),
        output=None if told.output is None else payload_message(told.output),
    )


def _cancellation(message: execution_pb2.Cancellation) -> Cancellation:
    return Cancellation(message.cancelled_at.ToDatetime(UTC), message.cancelled_by, message.reason)


def _span(message: Duration) -> timedelta:
    return message.ToTimedelta()
