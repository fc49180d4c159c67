"""What starts an execution is read as it was sent."""

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from phaseline.domain.errors import InvalidArgument
from phaseline.domain.payload import Payload
from phaseline.domain.start import StartRequest
from phaseline.v1 import execution_pb2
from phaseline.v1.execution_service_pb2 import ExecuteRequest
from phaseline.wire.digests import request_digest
from phaseline.wire.scalars import timestamp
from phaseline.wire.starts import read_start
from tests.wire.samples import T0

#: A value for every field whose value in the domain is the same.
SAME: dict[str, Any] = {
    "workflow_id": "survey",
    "task": "look around",
    "request_id": "r-1",
    "execution_id": "x-1",
    "parent_execution_id": "x-0",
    "step_key": "step",
    "lease_token": "token",
    "session_id": "session",
    "user_id": "user",
    "responder_id": "responder",
    "chat_message_id": "message",
    "queue_name": "slow",
    "concurrency_key": "key",
    "priority": -5,
    "deployment_id": "v7",
    "output_schema_name": "summary",
    "workflow_version": 3,
}
#: Not looked for, or refused for what they are made of when the start is checked.
KEPT_AS_GIVEN = {"task", "execution_id", "lease_token", "output_schema_name"}
#: How what the domain has otherwise is sent.
OTHERWISE: dict[str, Any] = {
    "inputs": {"topic": "rivers"},
    "payload": execution_pb2.Payload(data=b"[1]"),
    "repos": ["acme/site"],
    "labels": {"env": "prod"},
    "run_timeout": Duration(seconds=60),
    "max_budget_usd": "2.5",
    "start_at": timestamp(T0),
}


def made(field: str, value: Any) -> ExecuteRequest:
    return ExecuteRequest(**{field: value})


def test_every_field_is_read() -> None:
    told = read_start(ExecuteRequest(**SAME, **OTHERWISE), "trace")
    assert told == StartRequest(
        **SAME,
        inputs={"topic": "rivers"},
        payload=Payload(data=b"[1]"),
        repos=("acme/site",),
        labels={"env": "prod"},
        run_timeout=timedelta(minutes=1),
        max_budget_nanos=2_500_000_000,
        start_at=T0,
        traceparent="trace",
    )


def test_no_field_is_forgotten() -> None:
    """`validate_only` is not for the domain, and `provider` is ignored."""
    known = {field.name for field in ExecuteRequest.DESCRIPTOR.fields}
    assert known - SAME.keys() - OTHERWISE.keys() == {"validate_only", "provider"}


def test_what_is_unset_is_unset() -> None:
    assert read_start(ExecuteRequest(workflow_id="w")) == StartRequest("w")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (ExecuteRequest(run_timeout=Duration(seconds=-1)), "run_timeout"),
        (ExecuteRequest(max_budget_usd="much"), "max_budget_usd"),
        (ExecuteRequest(start_at=Timestamp(nanos=-1)), "start_at"),
        (ExecuteRequest(repos=["acme/site", "\0"]), "repos"),
        (ExecuteRequest(labels={"\0": "prod"}), "labels"),
        (ExecuteRequest(labels={"env": "\0"}), "labels"),
        *(
            (made(name, "a\0"), name)
            for name, value in SAME.items()
            if isinstance(value, str) and name not in KEPT_AS_GIVEN
        ),
    ],
)
def test_what_cannot_be_read_has_its_path(request_: ExecuteRequest, field: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        read_start(request_)
    assert [each.field for each in error.value.violations] == [field]


def test_the_digest_tells_requests_apart() -> None:
    one = ExecuteRequest(workflow_id="w", request_id="r", inputs={"a": "1", "b": "2"})
    same = ExecuteRequest(workflow_id="w", request_id="r2", inputs={"b": "2", "a": "1"})
    other = ExecuteRequest(workflow_id="w", request_id="r", inputs={"a": "1", "b": "3"})
    assert request_digest(one) == request_digest(same) != request_digest(other)


def test_the_digest_leaves_the_request_as_it_is() -> None:
    request = ExecuteRequest(workflow_id="w", request_id="r")
    request_digest(request)
    assert request.request_id == "r"


def test_what_is_not_remembered_needs_no_digest() -> None:
    assert request_digest(ExecuteRequest(workflow_id="w")) == b""
