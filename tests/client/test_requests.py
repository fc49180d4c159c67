"""Plain values become requests."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from phaseline.client import execute_request
from phaseline.client.requests import ExecuteFields
from phaseline.domain.errors import InvalidArgument
from phaseline.v1.execution_pb2 import Payload
from phaseline.v1.execution_service_pb2 import ExecuteRequest


def test_every_field_can_be_given() -> None:
    """But for those of the call itself, and the one that is ignored."""
    fields = {field.name for field in ExecuteRequest.DESCRIPTOR.fields}
    apart = {"workflow_id", "request_id", "validate_only", "provider"}
    assert set(ExecuteFields.__annotations__) == fields - apart


def test_plain_values_become_fields() -> None:
    request = execute_request(
        "survey",
        inputs={"topic": "caches"},
        payload=Payload(data=b"{}"),
        repos=["owner/name"],
        run_timeout=timedelta(minutes=2),
        max_budget_usd=Decimal("1E+1"),
        start_at=datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
        priority=-5,
    )
    assert request.workflow_id == "survey"
    assert dict(request.inputs) == {"topic": "caches"}
    assert list(request.repos) == ["owner/name"]
    assert request.run_timeout.ToTimedelta() == timedelta(minutes=2)
    assert request.max_budget_usd == "10"
    assert request.start_at.ToDatetime(UTC) == datetime(2026, 1, 1, tzinfo=UTC)
    assert request.priority == -5


def test_what_is_left_out_stays_unset() -> None:
    assert execute_request("survey") == ExecuteRequest(workflow_id="survey")
    assert execute_request("survey", run_timeout=None, start_at=None) == execute_request("survey")


def test_a_small_amount_is_written_without_exponent() -> None:
    assert execute_request("survey", max_budget_usd=Decimal("0.00000001")).max_budget_usd == (
        "0.00000001"
    )


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(InvalidArgument) as caught:
        execute_request("survey", start_at=datetime(2026, 1, 1))  # noqa: DTZ001 - the very mistake
    assert caught.value.violations[0].field == "start_at"


def test_a_misspelt_field_is_refused() -> None:
    with pytest.raises(TypeError, match="Execute takes no input"):
        execute_request("survey", input={})  # type: ignore[call-arg]
