"""
What other products show of an execution, a caller finds here: the paths, and values in them.

The paths are those that users of such products know, under the names that they have here.
"""

from collections.abc import Iterator, Mapping

import pytest
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message

from phaseline.v1 import execution_service_pb2, watch_pb2, worker_service_pb2  # noqa: F401
from phaseline.wire.artifacts import artifact_message
from phaseline.wire.executions import status_message
from phaseline.wire.full_view import full_message
from phaseline.wire.operations import operation_message
from phaseline.wire.workflows import workflow_message
from tests.wire.samples import (
    AGENTIC,
    ARTIFACT,
    CANCELLED,
    COMPLETED,
    EXECUTION,
    FAILED,
    OPERATION,
    PURGED,
    WORKFLOW,
    at,
    detail,
)

TOLD = {
    "Execution": """
        agent_detail artifact_ids assigned_to_worker batch_id cancellation.cancelled_at
        cancellation.cancelled_by completed_at completed_phases concurrency_key created_at
        current_phase deployment_id display.duration display.repos display.total_cost
        display.total_tokens duration execution_id failure.message inputs is_agentic is_purged
        output_schema_name parent_execution_id payload phases queue_name repos responder_id
        result retry_count revision root_execution_id run_timeout session_id started_at status
        step_key task total_phases tree_usage updated_at usage.cache_creation_tokens
        usage.cache_read_tokens usage.cost_complete usage.cost_usd usage.credits_used
        usage.input_tokens usage.output_tokens usage.tool_call_count usage.total_tokens
        usage_by_model user_id workflow_detail workflow_id workflow_name workflow_version
        workspace_id
    """,
    "Phase": """
        artifact_ids attempts completed_at cost_by_model duration failure.message model name
        next_attempt_at operations phase_id progress revision session_id started_at status
        usage.cache_creation_tokens usage.cache_read_tokens usage.cost_usd usage.input_tokens
        usage.output_tokens usage.total_tokens usage_by_model
    """,
    "PhaseAttempt": "failure",
    "Operation": """
        completed_at input operation_id operation_type output parent_operation_id revision
        success timestamp tool_name tool_use_id usage
    """,
    "GetStatusResponse": """
        completed_at completed_phases current_phase error_message execution_id started_at status
        total_phases workflow_id
    """,
    "PhaseSpec": "depends_on parallel prompt retry_policy",
    "Workflow": "concurrency output_schema version",
}
ASKED = {
    "ApplyWorkflowRequest": "request_id",
    "Bookmark": "synced",
    "CancelRequest": "grace_period request_id",
    "ExecuteBatchRequest": "allow_partial",
    "ExecuteRequest": """
        execution_id inputs lease_token max_budget_usd priority provider request_id start_at
        step_key task validate_only workflow_id
    """,
    "ExecuteResponse": "created execution_id message status workflow_id",
    "ExecutionNode": "children execution",
    "GetNestingRequest": "chat_message_id execution_id",
    "GetNestingResponse": "nesting",
    "GetRequest": "execution_id",
    "GetResponse": "resume_token",
    "GetStatusRequest": "execution_id workflow_id",
    "LeasePhasesRequest": "request_id",
    "ListActiveRequest": "limit page_token",
    "ListActiveResponse": "executions total_size",
    "ListRequest": "filter.responder_ids filter.statuses order_by page page_size",
    "ListResponse": "executions next_page_token page page_size resume_token total_size",
    "PhaseCompleted": "artifacts",
    "PhaseLease": "checkpoint fencing_token lease_token",
    "PhaseReport": "checkpoint sequence",
    "RetryRequest": "request_id",
    "WatchClosing": "reason",
    "WatchFrame": "resume_token",
    "WatchRequest": "include_descendants",
}


def paths(fields: Mapping[str, str]) -> list[str]:
    """Return the paths that *fields* names by message."""
    return [f"{message}.{field}" for message, text in fields.items() for field in text.split()]


MESSAGES: tuple[Message, ...] = (
    *(
        full_message(detail(execution), at(200))
        for execution in (EXECUTION, AGENTIC, FAILED, CANCELLED, COMPLETED, PURGED)
    ),
    *map(status_message, (EXECUTION, FAILED)),
    operation_message(OPERATION, full=True),
    artifact_message(ARTIFACT, b"# Hello"),
    workflow_message(WORKFLOW),
)
#: The sample of a workflow is not agentic, and that of an execution is.
SAID_ELSEWHERE = {"Workflow.is_agentic"}


def set_paths(message: Message) -> Iterator[str]:
    """Yield the path of each field that is set in *message*, or in a message within it."""
    name = message.DESCRIPTOR.name
    for field, value in message.ListFields():
        yield f"{name}.{field.name}"
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        if field.message_type is not None and not is_map:
            for inner in value if field.is_repeated else (value,):
                yield from set_paths(inner)
                yield from (
                    f"{name}.{field.name}.{path.partition('.')[2]}" for path in set_paths(inner)
                )


def all_paths(message: Message) -> Iterator[str]:
    """Yield the path of each field of *message*, and of our messages that are set within it."""
    yield from (f"{message.DESCRIPTOR.name}.{field.name}" for field in message.DESCRIPTOR.fields)
    for field, value in message.ListFields():
        inner = field.message_type
        if inner is None or inner.file.package != "phaseline.v1":
            continue
        if not inner.GetOptions().map_entry:
            for each in value if field.is_repeated else (value,):
                yield from all_paths(each)


SET = {path for message in MESSAGES for path in set_paths(message)}


@pytest.mark.parametrize("path", paths(TOLD) + paths(ASKED))
def test_the_contract_has_the_field(path: str) -> None:
    name, *fields = path.split(".")
    descriptor = Default().FindMessageTypeByName(f"phaseline.v1.{name}")
    for field in fields:
        descriptor = descriptor.fields_by_name[field].message_type or descriptor


@pytest.mark.parametrize("path", paths(TOLD))
def test_what_is_known_is_told(path: str) -> None:
    assert path in SET


def test_no_field_of_a_message_is_left_unset() -> None:
    """A field that is added to the contract has to be filled in, here and in the samples."""
    known = {path for message in MESSAGES for path in all_paths(message)}
    assert known - SET == SAID_ELSEWHERE
