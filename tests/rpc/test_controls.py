"""The controls of ExecutionService, as their callers see them."""

from __future__ import annotations

from typing import Any

import pytest

from phaseline.domain.errors import FailedPrecondition, IllegalTransition
from phaseline.v1 import execution_pb2
from phaseline.v1 import execution_service_pb2 as pb
from tests.rpc.callers import complete, fail, started
from tests.support.rpc import Api, refusal

PENDING, PAUSED, COMPLETED, CANCELLED = (
    execution_pb2.EXECUTION_STATUS_PENDING,
    execution_pb2.EXECUTION_STATUS_PAUSED,
    execution_pb2.EXECUTION_STATUS_COMPLETED,
    execution_pb2.EXECUTION_STATUS_CANCELLED,
)


async def test_cancel_stops_what_has_not_begun_at_once(api: Api) -> None:
    execution_id = await started(api)
    request = pb.CancelRequest(execution_id=execution_id, reason="enough")
    execution = (await api.executions.Cancel(request)).execution
    assert execution.status == CANCELLED
    assert (execution.cancellation.cancelled_by, execution.cancellation.reason) == (
        "anonymous",
        "enough",
    )
    now = await api.executions.GetStatus(pb.GetStatusRequest(execution_id=execution_id))
    assert execution.revision == now.revision


async def test_a_repeated_cancel_is_answered_alike(api: Api) -> None:
    request = pb.CancelRequest(execution_id=await started(api), request_id="r")
    first = await api.executions.Cancel(request)
    again = await api.executions.Cancel(request)
    assert again.execution.revision == first.execution.revision
    assert again.execution.cancellation == first.execution.cancellation


async def test_what_has_ended_is_cancelled_without_effect(api: Api) -> None:
    execution_id = await started(api)
    await complete(api)
    await complete(api)
    answer = await api.executions.Cancel(pb.CancelRequest(execution_id=execution_id))
    assert answer.execution.status == COMPLETED
    assert not answer.execution.HasField("cancellation")


async def test_a_pause_and_its_end_show(api: Api) -> None:
    execution_id = await started(api)
    paused = await api.executions.Pause(pb.PauseRequest(execution_id=execution_id))
    assert paused.execution.status == PAUSED
    resumed = await api.executions.Resume(pb.ResumeRequest(execution_id=execution_id))
    assert resumed.execution.status == PENDING
    assert resumed.execution.revision > paused.execution.revision


async def test_a_failed_execution_runs_again(api: Api) -> None:
    execution_id = await started(api)
    await fail(api)
    request = pb.RetryRequest(execution_id=execution_id, max_budget_usd="7", request_id="r")
    first = await api.executions.Retry(request)
    assert first.execution.status == PENDING
    assert first.execution.max_budget_usd == "7"
    assert (await api.executions.Retry(request)).execution.revision == first.execution.revision


async def test_purging_leaves_the_row_and_its_figures(api: Api) -> None:
    execution_id = await started(api, task="secret")
    await complete(api)
    await complete(api)
    purged = await api.executions.Purge(pb.PurgeRequest(execution_id=execution_id))
    assert purged.execution.is_purged
    read = (await api.executions.Get(pb.GetRequest(execution_id=execution_id))).execution
    assert (read.task, dict(read.inputs), read.HasField("result")) == ("", {}, False)
    assert read.status == COMPLETED


@pytest.mark.parametrize("method", ["Pause", "Resume", "Retry"])
async def test_what_a_status_does_not_allow_is_refused(api: Api, method: str) -> None:
    execution_id = await started(api)
    await complete(api)
    await complete(api)
    request: Any = getattr(pb, f"{method}Request")(execution_id=execution_id)
    error = await refusal(getattr(api.executions, method)(request))
    assert isinstance(error, IllegalTransition)
    assert error.reason == "INVALID_STATUS"


async def test_only_what_has_ended_can_be_purged(api: Api) -> None:
    request = pb.PurgeRequest(execution_id=await started(api))
    assert isinstance(await refusal(api.executions.Purge(request)), FailedPrecondition)


@pytest.mark.parametrize("method", ["Cancel", "Pause", "Resume", "Retry", "Purge"])
async def test_what_there_is_not_is_not_found(api: Api, method: str) -> None:
    request: Any = getattr(pb, f"{method}Request")(execution_id="gone")
    error = await refusal(getattr(api.executions, method)(request))
    assert error.reason == "EXECUTION_NOT_FOUND"
