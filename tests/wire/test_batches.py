"""A batch is read whole, or with what is wrong in its place if some may fail."""

import pytest

from phaseline.domain.errors import InvalidArgument
from phaseline.domain.start import StartRequest
from phaseline.v1.execution_service_pb2 import ExecuteBatchRequest, ExecuteRequest
from phaseline.wire.batches import read_batch

FINE = ExecuteRequest(workflow_id="w")
WRONG = ExecuteRequest(workflow_id="w", max_budget_usd="much")


def test_a_batch_is_read_as_asked() -> None:
    request = ExecuteBatchRequest(
        executions=[FINE, FINE], batch_id="b", request_id="r", allow_partial=True
    )
    asked = read_batch(request, "trace")
    start = StartRequest("w", traceparent="trace")
    assert asked.starts == asked.readable == (start, start)
    assert (asked.batch_id, asked.request_id, asked.allow_partial) == ("b", "r", True)


def test_what_is_wrong_with_any_refuses_them_all() -> None:
    with pytest.raises(InvalidArgument) as error:
        read_batch(ExecuteBatchRequest(executions=[FINE, WRONG, WRONG]))
    assert [each.field for each in error.value.violations] == [
        "executions[1].max_budget_usd",
        "executions[2].max_budget_usd",
    ]


def test_what_is_wrong_with_some_keeps_its_place_if_some_may_fail() -> None:
    asked = read_batch(ExecuteBatchRequest(executions=[WRONG, FINE], allow_partial=True))
    refused, start = asked.starts
    assert isinstance(refused, InvalidArgument)
    assert [each.field for each in refused.violations] == ["max_budget_usd"]
    assert asked.readable == (start,)


def test_a_batch_is_not_only_checked() -> None:
    check = ExecuteRequest(workflow_id="w", validate_only=True)
    with pytest.raises(InvalidArgument) as error:
        read_batch(ExecuteBatchRequest(executions=[check]))
    assert [each.field for each in error.value.violations] == ["executions[0].validate_only"]


def test_a_request_id_has_its_length() -> None:
    with pytest.raises(InvalidArgument) as error:
        read_batch(ExecuteBatchRequest(request_id="r" * 129, allow_partial=True))
    assert [each.field for each in error.value.violations] == ["request_id"]
