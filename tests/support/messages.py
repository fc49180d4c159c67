"""Messages as a server sends them, with sensible defaults."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from phaseline.v1 import execution_pb2, execution_service_pb2, usage_pb2, watch_pb2

EXECUTION_ID = "0192f3a1-c7b2-7c3a-9e2f-1b2c3d4e5f60"
NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def timestamp(moment: datetime = NOON, *, seconds: float = 0) -> Timestamp:
    """Return *moment* and *seconds* more."""
    result = Timestamp()
    result.FromDatetime(moment + timedelta(seconds=seconds))
    return result


def duration(seconds: float) -> Duration:
    result = Duration()
    result.FromTimedelta(timedelta(seconds=seconds))
    return result


def usage(
    tokens: int = 0, cost: str = "0", *, tool_calls: int = 0, complete: bool = True
) -> usage_pb2.Usage:
    return usage_pb2.Usage(
        input_tokens=tokens,
        total_tokens=tokens,
        cost_usd=cost,
        cost_complete=complete,
        credits_used="0",
        tool_call_count=tool_calls,
    )


def execution(status: str = "RUNNING", **fields: Any) -> execution_pb2.Execution:
    """Return an execution of two phases, begun at noon and running for 62 seconds."""
    defaults: dict[str, Any] = {
        "execution_id": EXECUTION_ID,
        "workflow_id": "repo-survey",
        "workflow_name": "Repository survey",
        "workflow_version": 3,
        "revision": 1,
        "completed_phases": 1,
        "total_phases": 2,
        "usage": usage(12_345, "0.42"),
        "tree_usage": usage(12_345, "0.42"),
        "created_at": timestamp(),
        "started_at": timestamp(),
        "updated_at": timestamp(seconds=62),
        "duration": duration(62),
        "current_phase": "report",
    }
    return execution_pb2.Execution(
        status=execution_pb2.ExecutionStatus.Value(f"EXECUTION_STATUS_{status}"),
        **defaults | fields,
    )


def phase(phase_id: str = "report", status: str = "RUNNING", **fields: Any) -> execution_pb2.Phase:
    """Return a phase in its first attempt, for 5 seconds."""
    defaults: dict[str, Any] = {
        "execution_id": EXECUTION_ID,
        "name": phase_id,
        "revision": 1,
        "handler": "agent",
        "attempt": 1,
        "assigned_to_worker": "worker-1",
        "usage": usage(345, "0.02"),
        "started_at": timestamp(),
        "duration": duration(5),
    }
    return execution_pb2.Phase(
        phase_id=phase_id,
        status=execution_pb2.PhaseStatus.Value(f"PHASE_STATUS_{status}"),
        **defaults | fields,
    )


def operation(
    operation_id: str = "o-1", tool_name: str = "Read", **fields: Any
) -> execution_pb2.Operation:
    """Return a tool call that succeeded in 1.5 seconds."""
    defaults: dict[str, Any] = {
        "execution_id": EXECUTION_ID,
        "phase_id": "report",
        "attempt": 1,
        "revision": 1,
        "operation_type": "tool",
        "success": True,
        "timestamp": timestamp(),
        "completed_at": timestamp(seconds=1.5),
    }
    return execution_pb2.Operation(
        operation_id=operation_id, tool_name=tool_name, **defaults | fields
    )


def change(
    resource: execution_pb2.Execution | execution_pb2.Phase | execution_pb2.Operation,
    kind: str = "MODIFIED",
) -> watch_pb2.Change:
    """Return *resource* as one commit left it, at noon."""
    result = watch_pb2.Change(
        kind=watch_pb2.ChangeKind.Value(f"CHANGE_KIND_{kind}"), changed_at=timestamp()
    )
    match resource:
        case execution_pb2.Execution():
            result.execution.CopyFrom(resource)
        case execution_pb2.Phase():
            result.phase.CopyFrom(resource)
        case execution_pb2.Operation():
            result.operation.CopyFrom(resource)
    return result


def watched(*frames: watch_pb2.WatchFrame) -> list[execution_service_pb2.WatchResponse]:
    """Return what Watch sends."""
    return [execution_service_pb2.WatchResponse(frame=frame) for frame in frames]


def opened() -> watch_pb2.WatchFrame:
    return watch_pb2.WatchFrame(opened=watch_pb2.WatchOpened(), resume_token="t-0")


def changes(*members: watch_pb2.Change, token: str = "t-1") -> watch_pb2.WatchFrame:
    return watch_pb2.WatchFrame(change_set=watch_pb2.ChangeSet(changes=members), resume_token=token)


def synced(token: str = "t-1") -> watch_pb2.WatchFrame:
    return watch_pb2.WatchFrame(bookmark=watch_pb2.Bookmark(synced=True), resume_token=token)


def closing(reason: str = "COMPLETED") -> watch_pb2.WatchFrame:
    return watch_pb2.WatchFrame(
        closing=watch_pb2.WatchClosing(
            reason=watch_pb2.CloseReason.Value(f"CLOSE_REASON_{reason}")
        ),
        resume_token="t-9",
    )
