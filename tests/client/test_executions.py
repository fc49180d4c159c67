"""Starting executions, waiting for them, listing and controlling them."""

from datetime import timedelta
from decimal import Decimal

import pytest

from phaseline.client import Client, error_of_status, execute_request
from phaseline.domain.errors import DeadlineExceeded, NotFound, Unavailable
from phaseline.v1 import execution_pb2
from phaseline.v1 import execution_service_pb2 as pb
from phaseline.wire.status import status_of
from tests.client.scripted import QuickClock, Script

RUNNING = execution_pb2.Execution(execution_id="x-1", status=execution_pb2.EXECUTION_STATUS_RUNNING)
COMPLETED = execution_pb2.Execution(
    execution_id="x-1", status=execution_pb2.EXECUTION_STATUS_COMPLETED
)


async def test_execute_sends_what_is_given(client: Client, script: Script) -> None:
    script.replying("Execute", pb.ExecuteResponse(execution_id="x-1", created=True))
    response = await client.execute(
        "survey", task="look", inputs={"a": "b"}, request_id="r", validate_only=True
    )
    assert response.created
    assert script.requests == [
        pb.ExecuteRequest(
            workflow_id="survey", task="look", inputs={"a": "b"}, request_id="r", validate_only=True
        )
    ]


async def test_a_batch_tells_why_a_part_of_it_was_not_started(
    client: Client, script: Script
) -> None:
    refused = pb.ExecuteBatchResult(error=status_of(NotFound("workflow", "other")))
    started = pb.ExecuteBatchResult(execution=pb.ExecuteResponse(execution_id="x-1"))
    script.replying("ExecuteBatch", pb.ExecuteBatchResponse(results=[started, refused]))
    response = await client.execute_batch(
        [execute_request("survey"), execute_request("other")], allow_partial=True
    )
    error = error_of_status(response.results[1].error)
    assert isinstance(error, NotFound)
    assert error.resource_name == "other"
    assert [each.workflow_id for each in script.requests[0].executions] == ["survey", "other"]
    assert script.requests[0].request_id


async def test_get_asks_for_some_phases(client: Client, script: Script) -> None:
    view = execution_pb2.EXECUTION_VIEW_BASIC
    await client.get("x-1", view=view, phase_ids=["plan"])
    assert script.requests == [pb.GetRequest(execution_id="x-1", view=view, phase_ids=["plan"])]


async def test_wait_asks_until_it_is_terminal(client: Client, script: Script) -> None:
    script.replying(
        "Wait",
        pb.WaitResponse(execution=RUNNING),
        pb.WaitResponse(execution=RUNNING),
        pb.WaitResponse(execution=COMPLETED, satisfied=True),
    )
    assert await client.wait("x-1") == COMPLETED
    assert [each.timeout.seconds for each in script.requests] == [30, 30, 30]
    assert script.seconds_left[0] > 31


async def test_wait_survives_a_server_that_restarts(client: Client, script: Script) -> None:
    script.replying("Wait", Unavailable("away"), Unavailable("away"))
    script.replying("Wait", pb.WaitResponse(execution=COMPLETED, satisfied=True))
    assert await client.wait("x-1") == COMPLETED


async def test_wait_gives_up_in_time(client: Client, script: Script, clock: QuickClock) -> None:
    """Each answer takes as long as it was allowed to, by the clock of the client."""
    for _ in range(3):
        script.replying("Wait", pb.WaitResponse(execution=RUNNING))

    def now() -> float:
        return float(sum(each.timeout.seconds for each in script.requests))

    clock.now = now  # type: ignore[method-assign]
    with pytest.raises(DeadlineExceeded, match="'x-1' is EXECUTION_STATUS_RUNNING after 0:01:10"):
        await client.wait("x-1", timeout=timedelta(seconds=70))
    assert [each.timeout.seconds for each in script.requests] == [30, 30, 10]


@pytest.mark.parametrize("timeout", [timedelta(0), timedelta(seconds=-1)])
async def test_wait_for_no_time_asks_once(
    client: Client, script: Script, timeout: timedelta
) -> None:
    script.replying("Wait", pb.WaitResponse(execution=RUNNING))
    with pytest.raises(DeadlineExceeded):
        await client.wait("x-1", timeout=timeout)
    assert script.requests[0].HasField("timeout")
    assert script.requests[0].timeout.ToTimedelta() == timedelta(0)
    assert len(script.requests) == 1


async def test_wait_can_be_for_any_change(client: Client, script: Script) -> None:
    script.replying("Wait", pb.WaitResponse(execution=RUNNING, satisfied=True))
    assert await client.wait("x-1", after_revision=4) == RUNNING
    assert script.requests[0].after_revision == 4


async def test_all_pages_are_read_as_they_are_needed(client: Client, script: Script) -> None:
    one, two, three = (execution_pb2.Execution(execution_id=name) for name in "abc")
    script.replying(
        "List",
        pb.ListResponse(executions=[one, two], next_page_token="p2"),
        pb.ListResponse(next_page_token="p3"),
        pb.ListResponse(executions=[three]),
    )
    filter = pb.ExecutionFilter(workflow_ids=["survey"])
    found = [each.execution_id async for each in client.iter_executions(filter=filter)]
    assert found == ["a", "b", "c"]
    assert [each.page_token for each in script.requests] == ["", "p2", "p3"]
    assert all(each.filter == filter for each in script.requests)


async def test_no_page_is_read_ahead(client: Client, script: Script) -> None:
    one = execution_pb2.Execution(execution_id="a")
    script.replying("List", pb.ListResponse(executions=[one], next_page_token="p2"))
    found = client.iter_executions()
    assert (await anext(found)).execution_id == "a"
    await found.aclose()
    assert len(script.requests) == 1


async def test_operations_are_read_page_by_page(client: Client, script: Script) -> None:
    operation = execution_pb2.Operation(operation_id="o-1")
    script.replying("ListOperations", pb.ListOperationsResponse(operations=[operation]))
    assert [each async for each in client.iter_operations("x-1", phase_id="plan")] == [operation]
    assert script.requests[0].phase_id == "plan"


async def test_lists_send_what_is_given(client: Client, script: Script) -> None:
    order = pb.EXECUTION_ORDER_COST_USD_DESC
    await client.list(order_by=order, page_size=10, page=3)
    await client.list_active(limit=5, page_token="p2")
    assert script.requests == [
        pb.ListRequest(order_by=order, page_size=10, page=3),
        pb.ListActiveRequest(limit=5, page_token="p2"),
    ]


async def test_a_tree_is_found_by_its_top_or_its_chat_message(
    client: Client, script: Script
) -> None:
    await client.get_nesting("x-1")
    await client.get_nesting(chat_message_id="m-1")
    assert script.requests == [
        pb.GetNestingRequest(execution_id="x-1"),
        pb.GetNestingRequest(chat_message_id="m-1"),
    ]


async def test_controls_return_the_execution(client: Client, script: Script) -> None:
    script.replying("Cancel", pb.CancelResponse(execution=RUNNING))
    script.replying("Pause", pb.PauseResponse(execution=RUNNING))
    script.replying("Resume", pb.ResumeResponse(execution=RUNNING))
    script.replying("Retry", pb.RetryResponse(execution=RUNNING))
    script.replying("Purge", pb.PurgeResponse(execution=RUNNING))
    assert await client.cancel("x-1", reason="why", grace_period=timedelta(seconds=3)) == RUNNING
    assert await client.pause("x-1") == RUNNING
    assert await client.resume("x-1") == RUNNING
    assert await client.retry("x-1", max_budget_usd=Decimal(5)) == RUNNING
    assert await client.purge("x-1") == RUNNING
    assert all(len(each.request_id) == 32 for each in script.requests)
    cancel, _, _, retry, _ = script.requests
    assert (cancel.reason, cancel.grace_period.seconds) == ("why", 3)
    assert retry.max_budget_usd == "5"
    assert not retry.HasField("run_timeout")
