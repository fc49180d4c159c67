"""Starting an execution: what is checked, and what then exists."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from operator import attrgetter

import msgspec

from phaseline.domain import prompt
from phaseline.domain.advance import settle
from phaseline.domain.checks import labels, positive, text
from phaseline.domain.errors import FieldViolation, InvalidArgument, Reason
from phaseline.domain.execution import NO_CONTENT, Content, Execution, ExecutionSpec, Phase
from phaseline.domain.ids import EXECUTION_ID, ID_LENGTH, Key
from phaseline.domain.lifecycle import ExecutionStatus
from phaseline.domain.payload import Payload
from phaseline.domain.workflow import Workflow

_MAX_REPOS = 32
_MAX_PRIORITY = 100
_KEY_LENGTH = 256
_NAMES = (
    "request_id",
    "parent_execution_id",
    "step_key",
    "session_id",
    "user_id",
    "responder_id",
    "chat_message_id",
    "queue_name",
    "deployment_id",
    "output_schema_name",
)
_names_in = attrgetter(*_NAMES)
#: One for all: an active execution keeps it.
_NO_LABELS: Mapping[str, str] = {}


class StartRequest(msgspec.Struct, frozen=True):
    """What a caller says when it starts an execution; empty means unset."""

    workflow_id: str
    inputs: Mapping[str, str] = {}
    task: str = ""
    payload: Payload | None = None
    request_id: str = ""
    execution_id: str = ""
    parent_execution_id: str = ""
    step_key: str = ""
    lease_token: str = ""
    session_id: str = ""
    user_id: str = ""
    responder_id: str = ""
    chat_message_id: str = ""
    repos: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}
    queue_name: str = ""
    concurrency_key: str = ""
    priority: int = 0
    deployment_id: str = ""
    run_timeout: timedelta | None = None
    max_budget_nanos: int | None = None
    output_schema_name: str = ""
    start_at: datetime | None = None
    workflow_version: int = 0
    traceparent: str = ""


class StartLimits(msgspec.Struct, frozen=True):
    """How large the parts of a start may be, in bytes."""

    inputs: int = 256 * 1024
    task: int = 256 * 1024
    payload: int = 1024 * 1024


class Place(msgspec.Struct, frozen=True):
    """Where a new execution stands: its ids, and its place in a tree and a batch."""

    workspace_id: str
    execution_id: str
    #: All that are above it, the root first and the parent last.
    ancestor_execution_ids: tuple[str, ...] = ()
    batch_id: str = ""


def check_start(request: StartRequest, limits: StartLimits) -> None:
    """Raise `InvalidArgument` with all that is wrong with *request*, whatever its workflow."""
    found = (*_check_texts(request), *_check_sizes(request, limits))
    if found:
        raise InvalidArgument.all_of(found)


def check_inputs(request: StartRequest, workflow: Workflow) -> None:
    """Raise `InvalidArgument` for inputs that the workflow lacks, or requires and did not get."""
    declared = {given.name: given for given in workflow.spec.inputs}
    unknown = [
        FieldViolation(
            f"inputs[{name[:64]}]",
            f"is no input of workflow {workflow.workflow_id!r}; it takes "
            + (", ".join(declared) or "none"),
            Reason.UNKNOWN_INPUT,
        )
        for name in request.inputs
        if name not in declared
    ]
    missing = [
        FieldViolation(f"inputs[{name}]", "is required", Reason.MISSING_INPUT)
        for name, given in declared.items()
        if given.required and not given.default_value and name not in request.inputs
    ]
    if unknown or missing:
        raise InvalidArgument.all_of([*missing, *unknown])


def start(
    request: StartRequest, workflow: Workflow, place: Place, now: datetime
) -> tuple[Execution, Content]:
    """Return the new execution, and what it was given with defaults filled in."""
    inputs = {
        given.name: given.default_value for given in workflow.spec.inputs if given.default_value
    } | dict(request.inputs)
    content = _content(request, inputs)
    key = _concurrency_key(request, workflow, place, inputs)
    spec = _spec(request, workflow, place, now, key=key, has_content=content != NO_CONTENT)
    execution = Execution(
        key=Key(place.workspace_id, place.execution_id),
        spec=spec,
        workflow=workflow,
        status=ExecutionStatus.PENDING,
        updated_at=now,
        phases=tuple(Phase(phase.phase_id) for phase in workflow.spec.phases),
        run_timeout=request.run_timeout or workflow.spec.run_timeout,
        max_budget_nanos=(
            workflow.spec.max_budget_nanos
            if request.max_budget_nanos is None
            else request.max_budget_nanos
        ),
        waits_until=spec.start_at,
        admitted=workflow.spec.concurrency is None,
    )
    return settle(execution, now), content


def _spec(
    request: StartRequest,
    workflow: Workflow,
    place: Place,
    now: datetime,
    *,
    key: str,
    has_content: bool,
) -> ExecutionSpec:
    above = place.ancestor_execution_ids
    return ExecutionSpec(
        workspace_id=place.workspace_id,
        execution_id=place.execution_id,
        created_at=now,
        parent_execution_id=above[-1] if above else "",
        root_execution_id=above[0] if above else place.execution_id,
        ancestor_execution_ids=above,
        step_key=request.step_key,
        batch_id=place.batch_id,
        session_id=request.session_id,
        user_id=request.user_id,
        responder_id=request.responder_id,
        chat_message_id=request.chat_message_id,
        repos=request.repos,
        labels=request.labels or _NO_LABELS,
        queue_name=request.queue_name or workflow.queue_name,
        concurrency_key=key,
        priority=request.priority,
        deployment_id=request.deployment_id,
        start_at=request.start_at if request.start_at and request.start_at > now else None,
        output_schema_name=request.output_schema_name or workflow.spec.output_schema_name,
        traceparent=request.traceparent,
        has_content=has_content,
    )


def _content(request: StartRequest, inputs: Mapping[str, str]) -> Content:
    payload = request.payload or Payload()
    return Content(
        inputs=inputs,
        task=request.task,
        payload_data=payload.data,
        payload_uri=payload.uri,
        payload_media_type=payload.media_type,
        has_payload=request.payload is not None,
    )


def _concurrency_key(
    request: StartRequest, workflow: Workflow, place: Place, inputs: Mapping[str, str]
) -> str:
    if request.concurrency_key or workflow.spec.concurrency is None:
        return request.concurrency_key
    values = {**inputs, "workflow_id": workflow.workflow_id, "execution_id": place.execution_id}
    key = prompt.fill(
        workflow.spec.concurrency.key,
        task=request.task,
        value_of=lambda name: values.get(name, ""),
    )
    if len(key) <= _KEY_LENGTH:
        return key
    # Cut alone, keys that differ only at their ends would share a limit.
    digest = hashlib.sha256(key.encode()).hexdigest()
    return key[: _KEY_LENGTH - len(digest)] + digest


def _check_texts(request: StartRequest) -> Iterator[FieldViolation]:
    yield from text("workflow_id", request.workflow_id, ID_LENGTH, required=True)
    if request.execution_id and not EXECUTION_ID.fullmatch(request.execution_id):
        yield FieldViolation(
            "execution_id", 'must be 1 to 128 letters, digits, ".", "_", ":" and "-"'
        )
    for name, value in zip(_NAMES, _names_in(request), strict=True):
        if len(value) > ID_LENGTH:
            yield from text(name, value, ID_LENGTH)
    yield from text("concurrency_key", request.concurrency_key, _KEY_LENGTH)
    if request.labels:
        yield from labels("labels", request.labels)
    if len(request.repos) > _MAX_REPOS:
        yield FieldViolation(
            "repos", f"must be at most {_MAX_REPOS}, there are {len(request.repos)}"
        )
    for at, repo in enumerate(request.repos):
        yield from text(f"repos[{at}]", repo, 256, required=True)
    if not -_MAX_PRIORITY <= request.priority <= _MAX_PRIORITY:
        yield FieldViolation(
            "priority", f"must be -{_MAX_PRIORITY} to {_MAX_PRIORITY}, is {request.priority}"
        )
    if request.workflow_version < 0:
        yield FieldViolation("workflow_version", "must be a version, or 0 for the latest")
    yield from positive("run_timeout", request.run_timeout)
    if request.step_key and not (request.parent_execution_id or request.lease_token):
        yield FieldViolation("step_key", "needs parent_execution_id or lease_token")


def _check_sizes(request: StartRequest, limits: StartLimits) -> Iterator[FieldViolation]:
    inputs = sum(len(name.encode()) + len(value.encode()) for name, value in request.inputs.items())
    if inputs > limits.inputs:
        yield _too_large("inputs", inputs, limits.inputs)
    task = len(request.task.encode())
    if task > limits.task:
        yield _too_large("task", task, limits.task)
    if request.payload is not None:
        yield from check_payload("payload", request.payload, limits.payload)


def check_payload(field: str, payload: Payload, longest: int) -> Iterator[FieldViolation]:
    """Yield what is wrong with a payload of at most *longest* bytes."""
    if payload.data is not None and len(payload.data) > longest:
        yield _too_large(f"{field}.data", len(payload.data), longest)
    yield from text(f"{field}.uri", payload.uri, 2048)
    yield from text(f"{field}.media_type", payload.media_type, 128)


def _too_large(field: str, size: int, longest: int) -> FieldViolation:
    return FieldViolation(
        field, f"must have at most {longest} bytes, has {size}", Reason.PAYLOAD_TOO_LARGE
    )
