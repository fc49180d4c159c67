"""Operations as messages and back."""

from __future__ import annotations

from phaseline.domain.execution import Operation
from phaseline.domain.ids import ID_LENGTH
from phaseline.domain.report import ERROR_LENGTH, OperationReport
from phaseline.v1 import execution_pb2
from phaseline.wire.payloads import cut, payload_message
from phaseline.wire.reading import Checks
from phaseline.wire.scalars import put_timestamp
from phaseline.wire.usage import put_model_usage, read_model_usage

_TYPE_LENGTH = 64
_NAME_LENGTH = 128


def operation_message(operation: Operation, *, full: bool = False) -> execution_pb2.Operation:
    """Return *operation* as a message; only in *full* with its input and output."""
    told = operation.reported
    message = execution_pb2.Operation(
        operation_id=told.operation_id,
        execution_id=operation.key.execution_id,
        phase_id=operation.phase_id,
        attempt=operation.attempt,
        revision=operation.revision,
        parent_operation_id=told.parent_operation_id,
        operation_type=told.operation_type,
        tool_name=told.tool_name,
        tool_use_id=told.tool_use_id,
        success=told.success,
        error_message=told.error_message,
    )
    if told.timestamp is not None:
        put_timestamp(message.timestamp, told.timestamp)
    if told.completed_at is not None:
        put_timestamp(message.completed_at, told.completed_at)
    if told.usage is not None:
        put_model_usage(message.usage, told.usage)
    if full and told.input is not None:
        message.input.CopyFrom(payload_message(told.input))
    if full and told.output is not None:
        message.output.CopyFrom(payload_message(told.output))
    return message


def read_operation(message: execution_pb2.Operation, checks: Checks) -> OperationReport:
    """Read what a worker reports of an operation, but for its input and output."""
    usage = None
    if message.HasField("usage"):
        known = len(checks.found)
        usage = read_model_usage(message.usage, checks)
        checks.within(known, "usage")
    return OperationReport(
        operation_id=checks.text("operation_id", message.operation_id, ID_LENGTH, required=True),
        operation_type=checks.text(
            "operation_type", message.operation_type, _TYPE_LENGTH, required=True
        ),
        parent_operation_id=checks.text(
            "parent_operation_id", message.parent_operation_id, ID_LENGTH
        ),
        tool_name=checks.text("tool_name", message.tool_name, _NAME_LENGTH),
        tool_use_id=checks.text("tool_use_id", message.tool_use_id, _NAME_LENGTH),
        success=message.success if message.HasField("success") else None,
        timestamp=(
            checks.moment("timestamp", message.timestamp) if message.HasField("timestamp") else None
        ),
        completed_at=(
            checks.moment("completed_at", message.completed_at)
            if message.HasField("completed_at")
            else None
        ),
        error_message=cut(message.error_message, ERROR_LENGTH),
        usage=usage,
    )
