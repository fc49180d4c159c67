"""Values to rows and back: exactly one function each way for each table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import RowMapping

from phaseline.app.changes import Entry, Part
from phaseline.app.ports import Remembered, Slot
from phaseline.domain.execution import (
    Artifact,
    Content,
    Execution,
    ExecutionSpec,
    Operation,
    Phase,
)
from phaseline.domain.failure import Cancellation, Failure
from phaseline.domain.ids import Key
from phaseline.domain.lifecycle import ExecutionStatus, PhaseStatus
from phaseline.domain.payload import Payload
from phaseline.domain.report import OperationReport
from phaseline.domain.usage import NO_USAGE, ModelUsage, Usage
from phaseline.domain.workflow import Workflow, WorkflowSpec

Row = tuple[Any, ...]

#: What the tables hold of a status. To ask an enum for its value takes six times as long.
TEXTS = {status: status.value for status in (*ExecutionStatus, *PhaseStatus)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """What can change of an execution and has no column; the fields are those of `Execution`."""

    run_started_at: datetime | None = None
    paused_at: datetime | None = None
    paused_for: timedelta = timedelta()
    run_timeout: timedelta | None = None
    max_budget_nanos: int | None = None
    cancellation: Cancellation | None = None
    failure: Failure | None = None
    waits_until: datetime | None = None
    admitted: bool = True
    tree_size: int = 1
    below: Usage = NO_USAGE
    current_phase: str = ""
    running_phases: tuple[str, ...] = ()
    completed_phases: int = 0
    usage: Usage = NO_USAGE
    retry_count: int = 0
    worker_id: str = ""
    model_call_count: int = 0
    tool_names: tuple[str, ...] = ()
    usage_by_model: tuple[ModelUsage, ...] = ()
    artifact_ids: tuple[str, ...] = ()


_state_of = attrgetter(*State.__struct_fields__)
_encode = msgspec.json.Encoder().encode
_state_decoder = msgspec.json.Decoder(State)
_spec_decoder = msgspec.json.Decoder(ExecutionSpec)
_phase_decoder = msgspec.json.Decoder(Phase)
_workflow_decoder = msgspec.json.Decoder(WorkflowSpec)
_operation_decoder = msgspec.json.Decoder(OperationReport)
_content_decoder = msgspec.msgpack.Decoder(Content)
_payload_decoder = msgspec.msgpack.Decoder(Payload)
_part_decoder = msgspec.msgpack.Decoder(Part)
_parts_decoder = msgspec.msgpack.Decoder(tuple[Part, ...])
_pack = msgspec.msgpack.Encoder().encode


def micros(moment: datetime) -> int:
    """Return *moment* as the tables hold it."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(value: int) -> datetime:
    """Return the time that a table holds."""
    return _EPOCH + value * _MICROSECOND


def execution_changes(execution: Execution) -> Row:
    """Return what can change of an execution's row, in the order of `CHANGE_EXECUTION`."""
    return (
        micros(execution.updated_at),
        _maybe(execution.started_at),
        _maybe(execution.due_at),
        _encode(State(*_state_of(execution))).decode(),
        execution.revision,
        execution.usage.total_tokens,
        execution.usage.cost_nanos,
        TEXTS[execution.status],
        _maybe(execution.completed_at),
        execution.is_purged,
    )


def execution_row(execution: Execution) -> Row:
    """Return the row of a new execution: what never changes, then what can."""
    spec = execution.spec
    is_child = bool(spec.parent_execution_id)
    return (
        spec.workspace_id,
        spec.execution_id,
        execution.workflow.workflow_id,
        execution.workflow.version,
        micros(spec.created_at),
        spec.parent_execution_id or None,
        spec.root_execution_id if is_child else None,
        path_of(spec) if is_child else None,
        spec.step_key or None,
        spec.batch_id or None,
        spec.session_id or None,
        spec.user_id or None,
        spec.responder_id or None,
        spec.chat_message_id or None,
        spec.queue_name,
        _encode(spec).decode(),
        *execution_changes(execution),
    )


def path_of(spec: ExecutionSpec) -> str:
    """Return all that are above an execution, the root first; the ids have no slash in them."""
    return "".join(f"/{above}" for above in spec.ancestor_execution_ids) + "/"


def execution_of(row: RowMapping, workflow: Workflow, phases: Sequence[Phase] = ()) -> Execution:
    """Return the execution of a row."""
    state = _state_decoder.decode(row["state"])
    return Execution(
        key=Key(row["workspace_id"], row["execution_id"]),
        spec=_spec_decoder.decode(row["spec"]),
        workflow=workflow,
        status=ExecutionStatus(row["status"]),
        updated_at=moment(row["updated_at"]),
        phases=tuple(phases),
        revision=row["revision"],
        started_at=_moment(row["started_at"]),
        completed_at=_moment(row["completed_at"]),
        is_purged=bool(row["is_purged"]),
        **dict(zip(State.__struct_fields__, _state_of(state), strict=True)),
    )


def phase_changes(phase: Phase) -> Row:
    """Return what can change of a phase's row, in the order of the columns."""
    usage = phase.usage
    return (
        TEXTS[phase.status],
        phase.revision,
        phase.attempt,
        phase.worker_id or None,
        None if phase.lease is None else micros(phase.lease.expires_at),
        _maybe(phase.started_at),
        _maybe(phase.completed_at),
        usage.total_tokens,
        usage.cost_nanos,
        _encode(phase).decode(),
    )


def phase_part(position: int, phase: Phase) -> Row:
    """Return the row of a new phase but for the key of its execution, which comes first."""
    return (position, phase.phase_id, *phase_changes(phase))


def phase_of(state: str) -> Phase:
    """Return the phase of a row's state."""
    return _phase_decoder.decode(state)


def workflow_row(workflow: Workflow) -> Row:
    """Return the row of a version of a workflow."""
    return (
        workflow.workspace_id,
        workflow.workflow_id,
        workflow.version,
        _encode(workflow.spec).decode(),
        micros(workflow.created_at),
        micros(workflow.updated_at),
    )


def workflow_of(row: RowMapping) -> Workflow:
    """Return the workflow of a row."""
    return Workflow(
        workspace_id=row["workspace_id"],
        version=row["version"],
        spec=_workflow_decoder.decode(row["spec"]),
        created_at=moment(row["created_at"]),
        updated_at=moment(row["updated_at"]),
    )


def content_row(key: Key, content: Content) -> Row:
    """Return the row of what an execution was given."""
    return (*key, _pack(content))


def content_of(body: bytes) -> Content:
    """Return what an execution was given."""
    return _content_decoder.decode(body)


def payload_row(slot: Slot, kind: str, payload: Payload) -> Row:
    """Return the row of an output or a checkpoint."""
    return (*slot.key, slot.position, kind, payload.data, payload.uri, payload.media_type)


def payload_of(row: RowMapping) -> Payload:
    """Return the payload of a row."""
    return Payload(row["data"], row["uri"], row["media_type"])


def operation_row(operation: Operation) -> Row:
    """Return the row of an operation."""
    told = operation.reported
    return (
        *operation.key,
        operation.position,
        operation.epoch,
        told.operation_id,
        operation.phase_id,
        operation.attempt,
        operation.ordinal,
        operation.revision,
        told.operation_type,
        told.tool_name,
        _body(told),
        None if told.input is None else _pack(told.input),
        None if told.output is None else _pack(told.output),
    )


def closed_row(operation: Operation) -> Row:
    """Return what the end of its attempt changes of an operation, and its key."""
    told = operation.reported
    own = (*operation.key, operation.position, operation.epoch, told.operation_id)
    return (operation.revision, _body(told), *own)


def _body(told: OperationReport) -> str:
    if told.input is not None or told.output is not None:
        told = msgspec.structs.replace(told, input=None, output=None)
    return _encode(told).decode()


def told_of(body: str) -> OperationReport:
    """Return what was reported of an operation, without input and output."""
    return _operation_decoder.decode(body)


def operation_of(row: RowMapping) -> Operation:
    """Return the operation of a row; with input and output if they were selected."""
    told = told_of(row["body"])
    given, returned = row.get("input"), row.get("output")
    if given is not None or returned is not None:
        told = msgspec.structs.replace(
            told,
            input=None if given is None else _payload_decoder.decode(given),
            output=None if returned is None else _payload_decoder.decode(returned),
        )
    return Operation(
        key=Key(row["workspace_id"], row["execution_id"]),
        phase_id=row["phase_id"],
        position=row["position"],
        epoch=row["epoch"],
        attempt=row["attempt"],
        ordinal=row["ordinal"],
        reported=told,
        revision=row["revision"],
    )


def artifact_row(artifact: Artifact, data: bytes | None) -> Row:
    """Return the row of an artifact."""
    return (
        artifact.key.workspace_id,
        artifact.artifact_id,
        artifact.key.execution_id,
        artifact.position,
        artifact.phase_id,
        artifact.name,
        artifact.media_type,
        artifact.uri,
        artifact.size_bytes,
        micros(artifact.created_at),
        data,
    )


def artifact_of(row: RowMapping) -> Artifact:
    """Return the artifact of a row."""
    return Artifact(
        artifact_id=row["artifact_id"],
        key=Key(row["workspace_id"], row["execution_id"]),
        phase_id=row["phase_id"],
        position=row["position"],
        name=row["name"],
        size_bytes=row["size_bytes"],
        media_type=row["media_type"],
        uri=row["uri"],
        created_at=moment(row["created_at"]),
    )


def request_row(remembered: Remembered, answer: bytes, revision: int, now: datetime) -> Row:
    """Return the row of a remembered write."""
    return (
        remembered.workspace_id,
        remembered.request_id,
        remembered.method,
        remembered.digest,
        answer,
        revision,
        micros(now),
    )


def label_rows(spec: ExecutionSpec) -> list[Row]:
    """Return the rows by which its labels find an execution."""
    created = micros(spec.created_at)
    return [
        (spec.workspace_id, name, value, created, spec.execution_id)
        for name, value in spec.labels.items()
    ]


def repo_rows(spec: ExecutionSpec) -> list[Row]:
    """Return the rows by which its repositories find an execution."""
    created = micros(spec.created_at)
    return [
        (spec.workspace_id, repo, created, spec.execution_id) for repo in dict.fromkeys(spec.repos)
    ]


def change_row(entry: Entry, execution: bytes, parts: Sequence[Part]) -> Row:
    """Return the row of what a commit did to one execution, its own part packed already."""
    before, root = entry.status_before, entry.root_execution_id
    return (
        entry.key.workspace_id,
        entry.revision,
        entry.key.execution_id,
        None if root == entry.key.execution_id else root,
        micros(entry.changed_at),
        None if before is None else TEXTS[before],
        TEXTS[entry.status_after],
        execution,
        _pack(parts) if parts else None,
    )


def pack_part(part: Part) -> bytes:
    """Return one part of a change as the log keeps it."""
    return _pack(part)


def parts_of(execution: bytes, parts: bytes | None = None) -> tuple[Part, ...]:
    """Return the parts of a change, that of the execution first."""
    first = _part_decoder.decode(execution)
    return (first, *_parts_decoder.decode(parts)) if parts else (first,)


def _maybe(time: datetime | None) -> int | None:
    return None if time is None else micros(time)


def _moment(value: int | None) -> datetime | None:
    return None if value is None else moment(value)
