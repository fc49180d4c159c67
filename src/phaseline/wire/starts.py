"""What starts an execution, and what its caller is told."""

from __future__ import annotations

from operator import attrgetter
from sys import intern

from phaseline.domain.start import StartRequest
from phaseline.v1 import execution_service_pb2
from phaseline.wire.payloads import payload_of
from phaseline.wire.reading import NO_NUL, Checks

_LOOKED_FOR = (
    "workflow_id",
    "request_id",
    "parent_execution_id",
    "step_key",
    "session_id",
    "user_id",
    "responder_id",
    "chat_message_id",
    "queue_name",
    "concurrency_key",
    "deployment_id",
)
_texts_looked_for = attrgetter(*_LOOKED_FOR)


def read_start(
    message: execution_service_pb2.ExecuteRequest, traceparent: str = ""
) -> StartRequest:
    """
    Read an ExecuteRequest; how long and how large its parts are is checked with the start.

    Raises `InvalidArgument`.
    """
    checks = Checks()
    request = StartRequest(
        workflow_id=message.workflow_id,
        inputs=dict(message.inputs),
        task=message.task,
        payload=payload_of(message.payload) if message.HasField("payload") else None,
        request_id=message.request_id,
        execution_id=message.execution_id,
        parent_execution_id=message.parent_execution_id,
        step_key=message.step_key,
        lease_token=message.lease_token,
        session_id=message.session_id,
        user_id=message.user_id,
        responder_id=message.responder_id,
        chat_message_id=message.chat_message_id,
        repos=tuple(message.repos),
        labels=dict(message.labels),
        # One string for all: an active execution keeps it.
        queue_name=intern(message.queue_name),
        concurrency_key=message.concurrency_key,
        priority=message.priority,
        deployment_id=message.deployment_id,
        run_timeout=(
            checks.span("run_timeout", message.run_timeout)
            if message.HasField("run_timeout")
            else None
        ),
        max_budget_nanos=(
            checks.amount("max_budget_usd", message.max_budget_usd)
            if message.max_budget_usd
            else None
        ),
        output_schema_name=message.output_schema_name,
        start_at=(
            checks.moment("start_at", message.start_at) if message.HasField("start_at") else None
        ),
        workflow_version=message.workflow_version,
        traceparent=traceparent,
    )
    _check_characters(request, checks)
    checks.conclude()
    return request


def _check_characters(request: StartRequest, checks: Checks) -> None:
    """Note texts that not every database can look for."""
    if "\0" in "".join(_texts_looked_for(request)):
        for name in _LOOKED_FOR:
            if "\0" in getattr(request, name):
                checks.note(name, NO_NUL)
    if request.repos and any("\0" in repo for repo in request.repos):
        checks.note("repos", NO_NUL)
    if request.labels and any("\0" in each for pair in request.labels.items() for each in pair):
        checks.note("labels", NO_NUL)
