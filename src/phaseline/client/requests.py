"""Requests from plain Python values."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypedDict, Unpack, cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from phaseline.domain.errors import InvalidArgument
from phaseline.v1.execution_pb2 import Payload
from phaseline.v1.execution_service_pb2 import ExecuteRequest


class ExecuteFields(TypedDict, total=False):
    """What Execute takes besides the workflow; `execution_service.proto` tells of each."""

    inputs: Mapping[str, str]
    task: str
    payload: Payload
    execution_id: str
    parent_execution_id: str
    step_key: str
    lease_token: str
    session_id: str
    user_id: str
    responder_id: str
    chat_message_id: str
    repos: Iterable[str]
    labels: Mapping[str, str]
    queue_name: str
    concurrency_key: str
    priority: int
    deployment_id: str
    run_timeout: timedelta | None
    max_budget_usd: str | Decimal
    output_schema_name: str
    start_at: datetime | None
    workflow_version: int


def execute_request(workflow_id: str, **fields: Unpack[ExecuteFields]) -> ExecuteRequest:
    """
    Return a request to execute *workflow_id*, for `Client.execute_batch`.

    Raises `InvalidArgument` for a `start_at` without time zone, TypeError for an unknown field.
    """
    given = cast("dict[str, Any]", fields)
    if unknown := given.keys() - ExecuteFields.__annotations__.keys():
        raise TypeError(f"Execute takes no {', '.join(sorted(unknown))}")
    return ExecuteRequest(
        workflow_id=workflow_id,
        **given
        | {
            "run_timeout": duration(fields.get("run_timeout")),
            "start_at": timestamp("start_at", fields.get("start_at")),
            "max_budget_usd": amount(fields.get("max_budget_usd", "")),
        },
    )


def duration(value: timedelta | None) -> Duration | None:
    """Return *value* as a message; None leaves the field unset."""
    if value is None:
        return None
    message = Duration()
    message.FromTimedelta(value)
    return message


def timestamp(field: str, value: datetime | None) -> Timestamp | None:
    """Return *value* as a message; None leaves the field unset."""
    if value is None:
        return None
    if value.tzinfo is None:
        # Taken as UTC it would begin hours too early or late, and nobody would be told.
        raise InvalidArgument.of(field, "must have a time zone")
    message = Timestamp()
    message.FromDatetime(value)
    return message


def amount(value: str | Decimal) -> str:
    """Return US dollars as the wire has them, without exponent."""
    return value if isinstance(value, str) else format(value, "f")
