"""Executions as messages: the basic view, what the full view adds, and what GetStatus tells."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

from phaseline.domain import display
from phaseline.domain.execution import Content, Execution
from phaseline.domain.money import format_amount
from phaseline.domain.payload import Payload
from phaseline.domain.usage import NO_USAGE
from phaseline.v1 import execution_pb2, execution_service_pb2
from phaseline.wire.enums import EXECUTION_STATUS
from phaseline.wire.payloads import cancellation_message, failure_message, payload_message
from phaseline.wire.scalars import (
    duration,
    optional_duration,
    optional_timestamp,
    ran,
    timestamp,
)
from phaseline.wire.usage import model_usage_messages, usage_message

_DAY = 86_400


def basic_message(execution: Execution, now: datetime) -> execution_pb2.Execution:
    """Return *execution* as it stands at *now*, without what only the full view has."""
    spec, workflow = execution.spec, execution.workflow
    usage = usage_message(execution.usage)
    span = ran(execution.started_at, execution.completed_at, now)
    message = execution_pb2.Execution(
        execution_id=spec.execution_id,
        workflow_id=workflow.spec.workflow_id,
        workflow_name=workflow.name,
        workflow_version=workflow.version,
        status=EXECUTION_STATUS[execution.status],
        revision=execution.revision,
        current_phase=execution.current_phase,
        completed_phases=execution.completed_phases,
        total_phases=execution.total_phases,
        usage=usage,
        tree_usage=usage if execution.below == NO_USAGE else usage_message(execution.tree_usage),
        created_at=timestamp(spec.created_at),
        started_at=optional_timestamp(execution.started_at),
        updated_at=timestamp(execution.updated_at),
        completed_at=optional_timestamp(execution.completed_at),
        duration=optional_duration(span),
        display=_display(execution, span),
        is_agentic=workflow.spec.is_agentic,
        is_purged=execution.is_purged,
        parent_execution_id=spec.parent_execution_id,
        root_execution_id=spec.root_execution_id,
        step_key=spec.step_key,
        batch_id=spec.batch_id,
        session_id=spec.session_id,
        user_id=spec.user_id,
        responder_id=spec.responder_id,
        chat_message_id=spec.chat_message_id,
        workspace_id=spec.workspace_id,
        queue_name=spec.queue_name,
        concurrency_key=spec.concurrency_key,
        priority=spec.priority,
        deployment_id=spec.deployment_id,
        assigned_to_worker=execution.worker_id,
        retry_count=execution.retry_count,
        output_schema_name=spec.output_schema_name,
    )
    _add_what_is_rare(message, execution)
    _add_detail(message, execution)
    return message


def add_figures(message: execution_pb2.Execution, execution: Execution) -> None:
    """Put into *message* what the full view adds and the execution itself knows."""
    message.usage_by_model.extend(model_usage_messages(execution.usage_by_model))
    message.artifact_ids.extend(execution.artifact_ids)


def add_content(message: execution_pb2.Execution, content: Content) -> None:
    """Put into *message* what the execution was given, its payload included."""
    add_texts(message, content)
    payload = payload_in(content)
    if payload is not None:
        message.payload.CopyFrom(payload_message(payload))


def add_texts(message: execution_pb2.Execution, content: Content) -> None:
    """Put into *message* the inputs and the task."""
    if content.inputs:
        message.inputs.update(content.inputs)
    message.task = content.task


def payload_in(content: Content) -> Payload | None:
    """Return the payload that the execution was given."""
    if not content.has_payload:
        return None
    return Payload(content.payload_data, content.payload_uri, content.payload_media_type)


def status_message(execution: Execution) -> execution_service_pb2.GetStatusResponse:
    """Return how far *execution* is."""
    return execution_service_pb2.GetStatusResponse(
        execution_id=execution.spec.execution_id,
        workflow_id=execution.workflow.spec.workflow_id,
        status=EXECUTION_STATUS[execution.status],
        current_phase=execution.current_phase,
        completed_phases=execution.completed_phases,
        total_phases=execution.total_phases,
        started_at=optional_timestamp(execution.started_at),
        completed_at=optional_timestamp(execution.completed_at),
        error_message="" if execution.failure is None else execution.failure.message,
        revision=execution.revision,
    )


def _add_what_is_rare(message: execution_pb2.Execution, execution: Execution) -> None:
    # Apart from the rest because an unset message, list or map costs as much as a set one.
    spec = execution.spec
    if spec.repos:
        message.repos.extend(spec.repos)
    if spec.labels:
        message.labels.update(spec.labels)
    if spec.start_at is not None:
        message.start_at.CopyFrom(timestamp(spec.start_at))
    if execution.run_timeout is not None:
        message.run_timeout.CopyFrom(duration(execution.run_timeout))
    if execution.max_budget_nanos is not None:
        message.max_budget_usd = format_amount(execution.max_budget_nanos)
    if execution.cancellation is not None:
        message.cancellation.CopyFrom(cancellation_message(execution.cancellation))
    if execution.failure is not None:
        message.failure.CopyFrom(failure_message(execution.failure))


def _add_detail(message: execution_pb2.Execution, execution: Execution) -> None:
    if execution.is_purged:
        return
    if execution.workflow.spec.is_agentic:
        message.agent_detail.model_call_count = execution.model_call_count
        message.agent_detail.tool_names.extend(execution.tool_names)
    else:
        message.workflow_detail.running_phases.extend(execution.running_phases)


def _display(execution: Execution, span: timedelta | None) -> execution_pb2.Display:
    usage = execution.usage
    return execution_pb2.Display(
        total_tokens=_tokens(usage.total_tokens),
        total_cost=_cost(usage.cost_nanos),
        duration=_seconds(-1 if span is None else span.days * _DAY + span.seconds),
        repos=display.repos(execution.spec.repos),
    )


# Writing figures out takes a third of an answer's time, and most executions show the same few.
_tokens = lru_cache(maxsize=1024)(display.tokens)
_cost = lru_cache(maxsize=1024)(display.cost)


@lru_cache(maxsize=1024)
def _seconds(count: int) -> str:
    return display.duration(None if count < 0 else timedelta(seconds=count))
