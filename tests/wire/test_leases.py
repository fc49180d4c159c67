"""What workers ask for when they poll has its defaults and its ranges."""

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from phaseline.domain.errors import InvalidArgument
from phaseline.domain.report import LeaseRequest
from phaseline.v1.worker_service_pb2 import LeasePhasesRequest, ReportPhasesRequest
from phaseline.wire.leases import LeaseDefaults, read_lease_request, read_next

SECOND = timedelta(seconds=1)
DEFAULTS = LeaseDefaults(wait=20 * SECOND, duration=40 * SECOND)


def made(**fields: Any) -> LeasePhasesRequest:
    """Return a poll with what is required, and *fields*."""
    return LeasePhasesRequest(**{"worker_id": "w", "request_id": "r"} | fields)


def test_a_poll_has_defaults() -> None:
    assert read_lease_request(made(), DEFAULTS) == LeaseRequest(
        "w", "r", wait=20 * SECOND, lease_duration=40 * SECOND
    )


def test_a_poll_is_read_as_asked() -> None:
    request = made(
        queue_names=["slow", "fast"],
        handlers=["agent"],
        deployment_id="v7",
        max_phases=100,
        wait=Duration(),
        lease_duration=Duration(seconds=600),
    )
    assert read_lease_request(request, DEFAULTS) == LeaseRequest(
        worker_id="w",
        request_id="r",
        queue_names=("slow", "fast"),
        handlers=("agent",),
        deployment_id="v7",
        max_phases=100,
        wait=timedelta(),
        lease_duration=600 * SECOND,
    )


def test_no_field_is_forgotten() -> None:
    known = {field.name for field in LeasePhasesRequest.DESCRIPTOR.fields}
    # A worker inside the server makes no request.
    assert known == set(LeaseRequest.__struct_fields__) - {"is_embedded"}


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (made(worker_id=""), "worker_id"),
        (made(worker_id="w" * 129), "worker_id"),
        (made(request_id=""), "request_id"),
        (made(queue_names=["q"] * 65), "queue_names"),
        (made(queue_names=[""]), "queue_names[0]"),
        (made(handlers=["h"] * 257), "handlers"),
        (made(deployment_id="d" * 129), "deployment_id"),
        (made(max_phases=101), "max_phases"),
        (made(max_phases=-1), "max_phases"),
        (made(wait=Duration(seconds=61)), "wait"),
        (made(wait=Duration(seconds=-1)), "wait"),
        (made(lease_duration=Duration(seconds=4)), "lease_duration"),
        (made(lease_duration=Duration(seconds=601)), "lease_duration"),
    ],
)
def test_what_is_out_of_range_has_its_path(request_: LeasePhasesRequest, field: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        read_lease_request(request_, DEFAULTS)
    assert [each.field for each in error.value.violations] == [field]
    with pytest.raises(InvalidArgument) as error:
        read_next(ReportPhasesRequest(next=request_), DEFAULTS)
    assert [each.field for each in error.value.violations] == [f"next.{field}"]


def test_a_report_need_not_ask_for_more() -> None:
    assert read_next(ReportPhasesRequest(), DEFAULTS) is None


def test_a_report_may_ask_for_more() -> None:
    asked = read_next(ReportPhasesRequest(next=made()), DEFAULTS)
    assert asked == read_lease_request(made(), DEFAULTS)
