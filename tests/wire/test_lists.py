"""What is asked of a list has its defaults and its ranges."""

from collections.abc import Callable
from typing import Any

import pytest

from phaseline.app.queries import Order
from phaseline.domain.errors import InvalidArgument
from phaseline.v1 import artifact_service_pb2, workflow_service_pb2
from phaseline.v1 import execution_service_pb2 as pb
from phaseline.v1.execution_pb2 import EXECUTION_VIEW_FULL
from phaseline.wire.lists import (
    read_list,
    read_list_active,
    read_list_artifacts,
    read_list_operations,
    read_list_workflows,
)


def violations(read: Callable[[Any], object], request: object) -> list[str]:
    with pytest.raises(InvalidArgument) as error:
        read(request)
    return [each.field for each in error.value.violations]


def test_a_list_has_defaults() -> None:
    asked = read_list(pb.ListRequest())
    assert (asked.page.size, asked.page.token, asked.number) == (50, "", 1)
    assert asked.order is Order.CREATED_AT_DESC


def test_a_list_is_read_as_asked() -> None:
    asked = read_list(
        pb.ListRequest(page_size=100, page=7, order_by=pb.EXECUTION_ORDER_COST_USD_DESC)
    )
    assert (asked.page.size, asked.number, asked.order) == (100, 7, Order.COST_USD_DESC)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListRequest(page_size=101), "page_size"),
        (pb.ListRequest(page_size=-1), "page_size"),
        (pb.ListRequest(page=-1), "page"),
        (pb.ListRequest(page=2, page_token="t"), "page"),
        (pb.ListRequest(page_token="t" * 4097), "page_token"),
        (pb.ListRequest(order_by=77), "order_by"),  # type: ignore[arg-type]
        (pb.ListRequest(filter=pb.ExecutionFilter(batch_id="\0")), "filter.batch_id"),
    ],
)
def test_a_list_has_its_ranges(request_: pb.ListRequest, field: str) -> None:
    assert violations(read_list, request_) == [field]


def test_active_executions_are_listed_newest_first_by_twenty() -> None:
    asked = read_list_active(pb.ListActiveRequest(page_token="t"))
    assert (asked.page.size, asked.page.token) == (20, "t")
    assert asked.order is Order.CREATED_AT_DESC
    assert asked.matching.active_only


@pytest.mark.parametrize("limit", [-1, 101])
def test_the_limit_of_active_executions_has_its_range(limit: int) -> None:
    assert violations(read_list_active, pb.ListActiveRequest(limit=limit)) == ["limit"]


def test_operations_are_listed_by_two_hundred_in_the_basic_view() -> None:
    asked = read_list_operations(pb.ListOperationsRequest(execution_id="x"))
    assert (asked.execution_id, asked.phase_id, asked.page.size) == ("x", "", 200)
    assert not asked.full


def test_operations_may_be_asked_for_in_full_by_the_thousand() -> None:
    asked = read_list_operations(
        pb.ListOperationsRequest(
            execution_id="x", phase_id="p", page_size=1000, view=EXECUTION_VIEW_FULL
        )
    )
    assert (asked.phase_id, asked.page.size, asked.full) == ("p", 1000, True)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListOperationsRequest(), "execution_id"),
        (pb.ListOperationsRequest(execution_id="x", page_size=1001), "page_size"),
        (pb.ListOperationsRequest(execution_id="x", view=3), "view"),  # type: ignore[arg-type]
        (pb.ListOperationsRequest(execution_id="x", phase_id="p" * 129), "phase_id"),
    ],
)
def test_a_list_of_operations_has_its_ranges(
    request_: pb.ListOperationsRequest, field: str
) -> None:
    assert violations(read_list_operations, request_) == [field]


def test_artifacts_and_workflows_are_listed_by_fifty() -> None:
    artifacts = artifact_service_pb2.ListArtifactsRequest(execution_id="x")
    assert read_list_artifacts(artifacts).page.size == 50
    assert read_list_workflows(workflow_service_pb2.ListWorkflowsRequest()).size == 50


def test_other_lists_have_their_ranges_too() -> None:
    artifacts = artifact_service_pb2.ListArtifactsRequest(page_size=101)
    assert violations(read_list_artifacts, artifacts) == ["execution_id", "page_size"]
    workflows = workflow_service_pb2.ListWorkflowsRequest(page_size=-1)
    assert violations(read_list_workflows, workflows) == ["page_size"]
