"""ExecutionService, as its callers see it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from phaseline.domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PhaselineError,
)
from phaseline.v1 import execution_pb2
from phaseline.v1 import execution_service_pb2 as pb
from phaseline.v1.worker_service_pb2 import PhaseReport, ReportPhasesRequest
from phaseline.wire.status import error_of_status
from tests.rpc.callers import complete, lease, start, started
from tests.support.rpc import Api, refusal

PENDING, RUNNING, COMPLETED = (
    execution_pb2.EXECUTION_STATUS_PENDING,
    execution_pb2.EXECUTION_STATUS_RUNNING,
    execution_pb2.EXECUTION_STATUS_COMPLETED,
)


async def status(api: Api, execution_id: str) -> int:
    answer = await api.executions.GetStatus(pb.GetStatusRequest(execution_id=execution_id))
    return int(answer.status)


async def test_a_start_is_answered_with_what_was_started(api: Api) -> None:
    answer = await api.executions.Execute(start(execution_id="x-1"))
    assert (answer.execution_id, answer.workflow_id) == ("x-1", "survey")
    assert (answer.status, answer.message) == (PENDING, "Workflow execution started")
    assert answer.revision > 0


async def test_a_repeated_start_starts_nothing(api: Api) -> None:
    first = await api.executions.Execute(start(request_id="r"))
    again = await api.executions.Execute(start(request_id="r"))
    assert (first.created, again.created) == (True, False)
    assert first.execution_id == again.execution_id
    assert first.resume_token == again.resume_token


async def test_another_start_with_the_same_request_id_is_refused(api: Api) -> None:
    await started(api, request_id="r")
    error = await refusal(api.executions.Execute(start(request_id="r", task="else")))
    assert error.reason == "REQUEST_ID_REUSED"


async def test_a_start_can_be_checked_without_starting_anything(api: Api) -> None:
    answer = await api.executions.Execute(start(validate_only=True))
    assert (answer.execution_id, answer.created) == ("", False)
    assert answer.message.startswith("nothing was started")
    listed = await api.executions.List(pb.ListRequest())
    assert listed.total_size == 0
    error = await refusal(api.executions.Execute(start(validate_only=True, inputs={})))
    assert error.reason == "MISSING_INPUT"


@pytest.mark.parametrize(
    ("fields", "kind", "reason"),
    [
        ({"workflow_id": "other"}, NotFound, "WORKFLOW_NOT_FOUND"),
        ({"inputs": {}}, InvalidArgument, "MISSING_INPUT"),
        ({"inputs": {"topic": "", "else": ""}}, InvalidArgument, "UNKNOWN_INPUT"),
        ({"priority": 101}, InvalidArgument, "INVALID_FIELD"),
        ({"run_timeout": Duration(seconds=-1)}, InvalidArgument, "INVALID_FIELD"),
        ({"task": "x" * 300_000}, InvalidArgument, "PAYLOAD_TOO_LARGE"),
        ({"parent_execution_id": "gone"}, NotFound, "PARENT_NOT_FOUND"),
        ({"lease_token": "none"}, FailedPrecondition, "LEASE_LOST"),
    ],
)
async def test_a_start_that_cannot_be_is_refused(
    api: Api, fields: dict[str, Any], kind: type[PhaselineError], reason: str
) -> None:
    error = await refusal(api.executions.Execute(start(**fields)))
    assert (type(error), error.reason) == (kind, reason)


async def test_an_id_is_taken_once(api: Api) -> None:
    await started(api, execution_id="x-1")
    error = await refusal(api.executions.Execute(start(execution_id="x-1")))
    assert isinstance(error, AlreadyExists)


async def test_the_status_follows_the_work(api: Api) -> None:
    execution_id = await started(api)
    assert await status(api, execution_id) == PENDING
    assert await complete(api) == "plan"
    assert await status(api, execution_id) == RUNNING
    assert await complete(api) == "write"
    assert await status(api, execution_id) == COMPLETED


async def test_a_status_may_be_asked_for_by_workflow(api: Api) -> None:
    execution_id = await started(api)
    request = pb.GetStatusRequest(execution_id=execution_id, workflow_id="survey")
    assert (await api.executions.GetStatus(request)).current_phase == "plan"
    other = pb.GetStatusRequest(execution_id=execution_id, workflow_id="other")
    assert isinstance(await refusal(api.executions.GetStatus(other)), NotFound)


async def test_get_tells_everything(api: Api) -> None:
    execution_id = await started(api, task="look")
    await complete(api, b'"a plan"')
    answer = await api.executions.Get(pb.GetRequest(execution_id=execution_id))
    assert dict(answer.execution.inputs) == {"topic": "rivers"}
    assert answer.execution.task == "look"
    assert [phase.phase_id for phase in answer.execution.phases] == ["plan", "write"]
    assert answer.execution.phases[0].output.data == b'"a plan"'
    assert answer.resume_token


async def test_get_tells_of_the_phases_asked_for(api: Api) -> None:
    request = pb.GetRequest(execution_id=await started(api), phase_ids=["write"])
    answer = await api.executions.Get(request)
    assert [phase.phase_id for phase in answer.execution.phases] == ["write"]


async def test_get_tells_the_basics_if_that_is_asked_for(api: Api) -> None:
    request = pb.GetRequest(
        execution_id=await started(api), view=execution_pb2.EXECUTION_VIEW_BASIC
    )
    execution = (await api.executions.Get(request)).execution
    assert execution.status == PENDING
    assert not execution.phases
    assert not execution.inputs


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.GetRequest(execution_id="gone"), "EXECUTION_NOT_FOUND"),
        (pb.GetRequest(execution_id="x-1", phase_ids=["gone"]), "PHASE_NOT_FOUND"),
    ],
)
async def test_get_finds_only_what_there_is(api: Api, request_: Any, reason: str) -> None:
    await started(api, execution_id="x-1")
    assert (await refusal(api.executions.Get(request_))).reason == reason


async def test_a_list_goes_on_with_its_token(api: Api) -> None:
    ids = [await started(api) for _ in range(5)]
    first = await api.executions.List(pb.ListRequest(page_size=3))
    assert (first.total_size, first.page, first.page_size) == (5, 1, 3)
    rest = await api.executions.List(pb.ListRequest(page_size=3, page_token=first.next_page_token))
    assert (rest.total_size, rest.page, rest.next_page_token) == (5, 0, "")
    listed = [each.execution_id for each in (*first.executions, *rest.executions)]
    assert listed == ids[::-1]


async def test_a_list_may_be_read_by_page_number(api: Api) -> None:
    ids = [await started(api) for _ in range(3)]
    answer = await api.executions.List(
        pb.ListRequest(page_size=2, page=2, order_by=pb.EXECUTION_ORDER_CREATED_AT_ASC)
    )
    assert [each.execution_id for each in answer.executions] == ids[2:]
    assert answer.page == 2


async def test_a_page_token_is_of_one_list(api: Api) -> None:
    for _ in range(2):
        await started(api)
    first = await api.executions.List(pb.ListRequest(page_size=1))
    request = pb.ListRequest(
        page_token=first.next_page_token, filter=pb.ExecutionFilter(active_only=True)
    )
    assert (await refusal(api.executions.List(request))).reason == "PAGE_TOKEN_INVALID"


async def test_an_unknown_status_is_refused(api: Api) -> None:
    matching = pb.ExecutionFilter()
    matching.MergeFromString(b"\x08\x63")
    error = await refusal(api.executions.List(pb.ListRequest(filter=matching)))
    assert [each.field for each in error.violations] == ["filter.statuses[0]"]


async def test_active_executions_are_listed_alone(api: Api) -> None:
    ended, active = await started(api), await started(api)
    await api.executions.Cancel(pb.CancelRequest(execution_id=ended))
    answer = await api.executions.ListActive(pb.ListActiveRequest())
    assert [each.execution_id for each in answer.executions] == [active]
    assert answer.total_size == 1


async def test_wait_answers_as_soon_as_there_is_something_new(api: Api) -> None:
    execution_id = await started(api)
    request = pb.WaitRequest(execution_id=execution_id)
    waiting = asyncio.ensure_future(api.executions.Wait(request))
    await complete(api)
    await complete(api)
    answer = await waiting
    assert answer.satisfied
    assert answer.execution.result.data == b"done"


async def test_wait_answers_when_the_time_is_over(api: Api) -> None:
    request = pb.WaitRequest(execution_id=await started(api), timeout=Duration())
    answer = await api.executions.Wait(request)
    assert not answer.satisfied
    assert answer.execution.status == PENDING


async def test_wait_leaves_time_for_its_answer(api: Api) -> None:
    request = pb.WaitRequest(execution_id=await started(api))
    answer = await api.executions.Wait(request, timeout=1.1)
    assert not answer.satisfied


@pytest.mark.parametrize("method", ["Get", "GetStatus", "Wait", "ListOperations", "GetNesting"])
async def test_what_there_is_not_is_not_found(api: Api, method: str) -> None:
    request = getattr(pb, f"{method}Request")(execution_id="gone")
    error = await refusal(getattr(api.executions, method)(request))
    assert error.reason == "EXECUTION_NOT_FOUND"


async def test_a_page_of_operations_stays_within_what_a_client_accepts(api: Api) -> None:
    execution_id = await started(api)
    large = execution_pb2.Payload(data=b"x" * 64 * 1024)
    token = (await lease(api)).lease_token
    for first in range(0, 100, 50):
        told = [
            execution_pb2.Operation(
                operation_id=f"op-{n:02}", operation_type="tool", input=large, output=large
            )
            for n in range(first, first + 50)
        ]
        report = PhaseReport(lease_token=token, operations=told)
        await api.workers.ReportPhases(ReportPhasesRequest(reports=[report]))

    request = pb.ListOperationsRequest(
        execution_id=execution_id, page_size=1000, view=execution_pb2.EXECUTION_VIEW_FULL
    )
    listed: list[str] = []
    while True:
        page = await api.executions.ListOperations(request)
        assert page.ByteSize() <= 3 * 1024 * 1024 + 64 * 1024
        listed += [each.operation_id for each in page.operations]
        request.page_token = page.next_page_token
        if not page.next_page_token:
            break
    assert listed == [f"op-{n:02}" for n in range(100)]


async def test_operations_are_listed_page_by_page(api: Api) -> None:
    execution_id = await started(api)
    told = [
        execution_pb2.Operation(
            operation_id=f"op-{n}", operation_type="tool", input=execution_pb2.Payload(data=b"ls")
        )
        for n in range(3)
    ]
    report = PhaseReport(lease_token=(await lease(api)).lease_token, operations=told)
    await api.workers.ReportPhases(ReportPhasesRequest(reports=[report]))

    request = pb.ListOperationsRequest(execution_id=execution_id, phase_id="plan", page_size=2)
    first = await api.executions.ListOperations(request)
    request.page_token, request.view = first.next_page_token, execution_pb2.EXECUTION_VIEW_FULL
    rest = await api.executions.ListOperations(request)
    listed = [each.operation_id for each in (*first.operations, *rest.operations)]
    assert listed == ["op-0", "op-1", "op-2"]
    assert (first.total_size, rest.next_page_token) == (3, "")
    assert not first.operations[0].HasField("input")
    assert rest.operations[0].input.data == b"ls"


async def test_a_batch_starts_all_in_one(api: Api) -> None:
    request = pb.ExecuteBatchRequest(executions=[start(), start()], batch_id="b")
    answer = await api.executions.ExecuteBatch(request)
    assert answer.batch_id == "b"
    assert [each.execution.created for each in answer.results] == [True, True]
    listed = await api.executions.List(pb.ListRequest(filter=pb.ExecutionFilter(batch_id="b")))
    assert {each.execution_id for each in listed.executions} == {
        each.execution.execution_id for each in answer.results
    }


async def test_a_batch_starts_none_if_one_cannot_be(api: Api) -> None:
    request = pb.ExecuteBatchRequest(executions=[start(), start(inputs={})])
    error = await refusal(api.executions.ExecuteBatch(request))
    assert error.reason == "MISSING_INPUT"
    assert [each.field for each in error.violations] == ["executions[1].inputs[topic]"]
    assert (await api.executions.List(pb.ListRequest())).total_size == 0


async def test_a_batch_starts_those_that_can_be_if_told_so(api: Api) -> None:
    request = pb.ExecuteBatchRequest(
        executions=[start(max_budget_usd="much"), start(), start(workflow_id="other")],
        allow_partial=True,
    )
    answer = await api.executions.ExecuteBatch(request)
    unreadable, fine, missing = answer.results
    assert error_of_status(unreadable.error).violations[0].field == "max_budget_usd"
    assert fine.execution.created
    assert error_of_status(missing.error).reason == "WORKFLOW_NOT_FOUND"


async def test_a_repeated_batch_starts_nothing(api: Api) -> None:
    request = pb.ExecuteBatchRequest(executions=[start()], request_id="r")
    first = await api.executions.ExecuteBatch(request)
    again = await api.executions.ExecuteBatch(request)
    assert again.batch_id == first.batch_id
    assert [each.execution.created for each in again.results] == [False]


async def test_a_tree_is_told_from_its_top(api: Api) -> None:
    top = await started(api, chat_message_id="m")
    child = await started(api, parent_execution_id=top)
    await started(api, parent_execution_id=child)
    other = await started(api, parent_execution_id=top)
    for request in (
        pb.GetNestingRequest(execution_id=top),
        pb.GetNestingRequest(chat_message_id="m"),
    ):
        answer = await api.executions.GetNesting(request)
        nesting = answer.nesting
        assert nesting.execution.execution_id == top
        assert [each.execution.execution_id for each in nesting.children] == [child, other]
        assert [len(each.children) for each in nesting.children] == [1, 0]
        assert not answer.truncated


async def test_a_tree_has_to_be_named(api: Api) -> None:
    error = await refusal(api.executions.GetNesting(pb.GetNestingRequest()))
    assert isinstance(error, InvalidArgument)
