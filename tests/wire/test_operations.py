"""Operations survive the wire, within their limits."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from phaseline.domain.report import OperationReport
from phaseline.v1 import execution_pb2, usage_pb2
from phaseline.wire.operations import operation_message, read_operation
from phaseline.wire.reading import Checks
from tests.wire.samples import COSTLY, OPERATION, T0

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=64)
moments = st.none() | st.timedeltas(timedelta(), timedelta(days=99)).map(lambda span: T0 + span)
reports = st.builds(
    OperationReport,
    operation_id=texts.filter(bool),
    operation_type=texts.filter(bool),
    parent_operation_id=texts,
    tool_name=texts,
    tool_use_id=texts,
    success=st.none() | st.booleans(),
    timestamp=moments,
    completed_at=moments,
    error_message=texts,
    usage=st.none() | st.just(COSTLY),
    input=st.none(),
    output=st.none(),
)


def made(**fields: Any) -> execution_pb2.Operation:
    """Return a report with what is required, and *fields*."""
    return execution_pb2.Operation(**{"operation_id": "op", "operation_type": "tool"} | fields)


@given(reports)
def test_a_reported_operation_survives(told: OperationReport) -> None:
    checks = Checks()
    message = operation_message(replace(OPERATION, reported=told))
    assert read_operation(message, checks) == told
    assert checks.found == []


def test_an_operation_says_where_it_belongs() -> None:
    message = operation_message(OPERATION)
    assert (message.execution_id, message.phase_id) == ("x-1", "plan")
    assert (message.attempt, message.revision) == (2, 21)


def test_only_the_full_view_has_input_and_output() -> None:
    basic, full = operation_message(OPERATION), operation_message(OPERATION, full=True)
    assert (basic.HasField("input"), basic.HasField("output")) == (False, False)
    assert (full.input.data, full.output.uri) == (b"ls", "s3://bucket/log")


def test_what_goes_on_has_no_end() -> None:
    told = OperationReport("op", "tool")
    message = operation_message(replace(OPERATION, reported=told))
    assert not message.HasField("success")
    assert not message.HasField("completed_at")
    assert not message.HasField("usage")


def test_a_long_error_message_is_cut() -> None:
    assert read_operation(made(error_message="x" * 2000), Checks()).error_message == "x" * 1024


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (made(operation_id=""), "operation_id"),
        (made(operation_id="x" * 129), "operation_id"),
        (made(operation_type=""), "operation_type"),
        (made(operation_type="x" * 65), "operation_type"),
        (made(parent_operation_id="x" * 129), "parent_operation_id"),
        (made(tool_name="x" * 129), "tool_name"),
        (made(tool_use_id="x" * 129), "tool_use_id"),
        (made(timestamp=Timestamp(nanos=-1)), "timestamp"),
        (made(completed_at=Timestamp(nanos=-1)), "completed_at"),
        (made(usage=usage_pb2.ModelUsage(model="m", input_tokens=-1)), "usage.input_tokens"),
    ],
)
def test_what_is_wrong_has_its_path(message: execution_pb2.Operation, field: str) -> None:
    checks = Checks()
    read_operation(message, checks)
    assert [each.field for each in checks.found] == [field]


def test_an_operation_began_when_its_worker_says() -> None:
    began = read_operation(operation_message(OPERATION), Checks()).timestamp
    assert isinstance(began, datetime)
    assert began == OPERATION.reported.timestamp
