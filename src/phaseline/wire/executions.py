"""Executions as messages: the basic view, what the full view adds, and what GetStatus tells."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from operator import attrgetter

from phaseline.domain.display import NOT_STARTED, cost, repos, tokens
from phaseline.domain.display import duration as duration_text
from phaseline.domain.execution import Content, Execution
from phaseline.domain.money import format_amount
from phaseline.domain.payload import Payload
from phaseline.domain.usage import NO_USAGE
from phaseline.v1 import execution_pb2, execution_service_pb2
from phaseline.wire.enums import EXECUTION_STATUS
from phaseline.wire.payloads import cancellation_message, failure_message, payload_message
from phaseline.wire.scalars import put_duration, put_timestamp, ran
from phaseline.wire.usage import put_model_usage, put_usage

_DAY = 86_400

#: Of the same name and type in a spec and a message.
_MOSTLY_UNSET = (
    "parent_execution_id",
    "step_key",
    "batch_id",
    "session_id",
    "user_id",
    "responder_id",
    "chat_message_id",
    "concurrency_key",
    "priority",
    "deployment_id",
    "output_schema_name",
)
_mostly_unset = attrgetter(*_MOSTLY_UNSET)


def basic_message(execution: Execution, now: datetime) -> execution_pb2.Execution:
    """Return *execution* as it stands at *now*, without what only the full view has."""
    message = execution_pb2.Execution()
    fill_basic(message, execution, now)
    return message


def fill_basic(message: execution_pb2.Execution, execution: Execution, now: datetime) -> None:
    """Fill the new *message* with what `basic_message` returns."""
    _put_start(message, execution)
    _put_state(message, execution)
    _put_times(message, execution, now)
    put_usage(message.usage, execution.usage)
    put_usage(
        message.tree_usage,
        execution.usage if execution.below == NO_USAGE else execution.tree_usage,
    )
    _put_what_is_rare(message, execution)
    _put_detail(message, execution)


def add_figures(message: execution_pb2.Execution, execution: Execution) -> None:
    """Put into *message* what the full view adds and the execution itself knows."""
    for usage in execution.usage_by_model:
        put_model_usage(message.usage_by_model.add(), usage)
    if execution.artifact_ids:
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
    message = execution_service_pb2.GetStatusResponse(
        execution_id=execution.spec.execution_id,
        workflow_id=execution.workflow.spec.workflow_id,
        status=EXECUTION_STATUS[execution.status],
        current_phase=execution.current_phase,
        completed_phases=execution.completed_phases,
        total_phases=execution.total_phases,
        revision=execution.revision,
    )
    if execution.started_at is not None:
        put_timestamp(message.started_at, execution.started_at)
    if execution.completed_at is not None:
        put_timestamp(message.completed_at, execution.completed_at)
    if execution.failure is not None:
        message.error_message = execution.failure.message
    return message


def _put_start(message: execution_pb2.Execution, execution: Execution) -> None:
    """Put in what the execution was started with, which never changes."""
    spec, workflow = execution.spec, execution.workflow
    message.execution_id = spec.execution_id
    message.workflow_id = workflow.spec.workflow_id
    message.workflow_name = workflow.name
    message.workflow_version = workflow.version
    message.is_agentic = workflow.spec.is_agentic
    message.total_phases = execution.total_phases
    message.root_execution_id = spec.root_execution_id
    message.workspace_id = spec.workspace_id
    message.queue_name = spec.queue_name
    put_timestamp(message.created_at, spec.created_at)
    for name, value in zip(_MOSTLY_UNSET, _mostly_unset(spec), strict=True):
        # To set a field takes longer than to see that there is no need to.
        if value:
            setattr(message, name, value)


def _put_state(message: execution_pb2.Execution, execution: Execution) -> None:
    message.status = EXECUTION_STATUS[execution.status]
    message.revision = execution.revision
    message.current_phase = execution.current_phase
    message.completed_phases = execution.completed_phases
    message.assigned_to_worker = execution.worker_id
    if execution.is_purged:
        message.is_purged = True
    if execution.retry_count:
        message.retry_count = execution.retry_count
    display = message.display
    display.total_tokens = _tokens(execution.usage.total_tokens)
    display.total_cost = _cost(
        execution.usage.cost_nanos, is_complete=execution.usage.cost_complete
    )
    display.repos = repos(execution.spec.repos)


def _put_times(message: execution_pb2.Execution, execution: Execution, now: datetime) -> None:
    started, completed = execution.started_at, execution.completed_at
    put_timestamp(message.updated_at, execution.updated_at)
    if completed is not None:
        put_timestamp(message.completed_at, completed)
    if started is None:
        message.display.duration = NOT_STARTED
        return
    put_timestamp(message.started_at, started)
    span = ran(started, completed, now)
    put_duration(message.duration, span)
    message.display.duration = _seconds(span.days * _DAY + span.seconds)


def _put_what_is_rare(message: execution_pb2.Execution, execution: Execution) -> None:
    spec = execution.spec
    if spec.repos:
        message.repos.extend(spec.repos)
    if spec.labels:
        message.labels.update(spec.labels)
    if spec.start_at is not None:
        put_timestamp(message.start_at, spec.start_at)
    if execution.run_timeout is not None:
        put_duration(message.run_timeout, execution.run_timeout)
    if execution.max_budget_nanos is not None:
        message.max_budget_usd = format_amount(execution.max_budget_nanos)
    if execution.cancellation is not None:
        message.cancellation.CopyFrom(cancellation_message(execution.cancellation))
    if execution.failure is not None:
        message.failure.CopyFrom(failure_message(execution.failure))


def _put_detail(message: execution_pb2.Execution, execution: Execution) -> None:
    if execution.is_purged:
        return
    if execution.workflow.spec.is_agentic:
        message.agent_detail.model_call_count = execution.model_call_count
        message.agent_detail.tool_names.extend(execution.tool_names)
    else:
        message.workflow_detail.running_phases.extend(execution.running_phases)


# Writing figures out takes long, and most executions show the same few.
_tokens = lru_cache(maxsize=1024)(tokens)
_cost = lru_cache(maxsize=1024)(cost)


@lru_cache(maxsize=1024)
def _seconds(count: int) -> str:
    return duration_text(timedelta(seconds=count))
