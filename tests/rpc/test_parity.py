"""
What users of comparable products look for in an execution, with its true values.

An execution really runs, through the two calls of its worker. Each field is named by its path, and
what it must hold stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from phaseline.domain import display
from phaseline.v1 import (
    artifact_pb2,
    execution_pb2,
    usage_pb2,
    workflow_pb2,
)
from phaseline.v1 import execution_service_pb2 as pb
from phaseline.v1 import worker_service_pb2 as work
from phaseline.v1.workflow_service_pb2 import ApplyWorkflowRequest
from tests.support.rpc import Api

Status = execution_pb2.ExecutionStatus
PhaseStatus = execution_pb2.PhaseStatus

REVIEW = workflow_pb2.Workflow(
    workflow_id="review",
    name="Review",
    is_agentic=True,
    phases=[
        workflow_pb2.PhaseSpec(
            phase_id="plan",
            name="Plan it",
            handler="agent",
            model="small-1",
            retry_policy=workflow_pb2.RetryPolicy(max_attempts=2, initial_delay=Duration()),
        ),
        workflow_pb2.PhaseSpec(phase_id="write", handler="agent"),
    ],
)
#: What the caller says of an execution that has it all.
SAID: dict[str, Any] = {
    "workflow_id": "review",
    "execution_id": "child-1",
    "parent_execution_id": "parent-1",
    "step_key": "step-1",
    "task": "look at it",
    "payload": execution_pb2.Payload(data=b"{}"),
    "session_id": "session-1",
    "user_id": "user-1",
    "responder_id": "responder-1",
    "chat_message_id": "message-1",
    "repos": ["acme/site", "acme/api"],
    "queue_name": "reviews",
    "concurrency_key": "acme",
    "deployment_id": "v2",
    "run_timeout": Duration(seconds=600),
    "max_budget_usd": "9",
    "output_schema_name": "Findings",
    "provider": "claude",
}
FIRST = usage_pb2.ModelUsage(model="small-1", input_tokens=100, output_tokens=20, cost_usd="0.25")
SECOND = usage_pb2.ModelUsage(
    model="small-1",
    input_tokens=1000,
    output_tokens=200,
    cache_creation_tokens=30,
    cache_read_tokens=4,
    cost_usd="1.5",
)
THIRD = usage_pb2.ModelUsage(model="large-1", output_tokens=5, cost_usd="0.75")
CALL = execution_pb2.Operation(
    operation_id="op-1",
    operation_type="tool",
    tool_name="Read",
    tool_use_id="toolu-1",
    success=True,
)

#: Of an execution that has completed.
EXECUTION: Mapping[str, object] = {
    "artifact_ids": "the one artifact",
    "assigned_to_worker": "worker-1",
    "batch_id": "batch-1",
    "completed_phases": 2,
    "concurrency_key": "acme",
    "current_phase": "",
    "deployment_id": "v2",
    "display.duration": "of its duration",
    "display.repos": "acme/site +1",
    "display.total_cost": "$2.50",
    "display.total_tokens": "1.4k",
    "execution_id": "child-1",
    "failure.message": "",
    "is_agentic": True,
    "is_purged": False,
    "agent_detail.model_call_count": 1,
    "agent_detail.tool_names": ["Read"],
    "max_budget_usd": "9",
    "output_schema_name": "Findings",
    "parent_execution_id": "parent-1",
    "payload.data": b"{}",
    "queue_name": "reviews",
    "repos": ["acme/site", "acme/api"],
    "responder_id": "responder-1",
    "result.data": b'"written"',
    "retry_count": 1,
    "root_execution_id": "parent-1",
    "run_timeout": timedelta(seconds=600),
    "session_id": "session-1",
    "status": Status.EXECUTION_STATUS_COMPLETED,
    "step_key": "step-1",
    "task": "look at it",
    "total_phases": 2,
    "usage.cache_creation_tokens": 30,
    "usage.cache_read_tokens": 4,
    "usage.cost_usd": "2.5",
    "usage.credits_used": "1.5",
    "usage.input_tokens": 1100,
    "usage.output_tokens": 225,
    "usage.tool_call_count": 1,
    "usage.total_tokens": 1359,
    "user_id": "user-1",
    "workflow_id": "review",
    "workflow_name": "Review",
    "workspace_id": "default",
}
#: Of its first phase.
PHASE: Mapping[str, object] = {
    "artifact_ids": "the one artifact",
    "cost_by_model": {"small-1": "1.75"},
    "failure.message": "",
    "model": "small-1",
    "name": "Plan it",
    "phase_id": "plan",
    "session_id": "agent-session-1",
    "status": PhaseStatus.PHASE_STATUS_COMPLETED,
    "usage.cache_creation_tokens": 30,
    "usage.cache_read_tokens": 4,
    "usage.cost_usd": "1.75",
    "usage.input_tokens": 1100,
    "usage.output_tokens": 220,
    "usage.total_tokens": 1354,
}
OPERATION: Mapping[str, object] = {
    "operation_id": "op-1",
    "operation_type": "tool",
    "success": True,
    "tool_name": "Read",
    "tool_use_id": "toolu-1",
}


@dataclass
class Run:
    """An execution with a parent, which a worker is at the end of."""

    api: Api
    polls: int = 0

    async def start(self) -> execution_pb2.Execution:
        await self.api.workflows.ApplyWorkflow(ApplyWorkflowRequest(workflow=REVIEW))
        parent = pb.ExecuteRequest(workflow_id="review", execution_id="parent-1", queue_name="idle")
        await self.api.executions.Execute(parent)
        batch = pb.ExecuteBatchRequest(batch_id="batch-1", executions=[pb.ExecuteRequest(**SAID)])
        await self.api.executions.ExecuteBatch(batch)
        return await self.get()

    async def get(self, execution_id: str = "child-1") -> execution_pb2.Execution:
        answer = await self.api.executions.Get(pb.GetRequest(execution_id=execution_id))
        assert isinstance(answer.execution, execution_pb2.Execution)
        return answer.execution

    async def lease(self) -> str:
        self.polls += 1
        poll = work.LeasePhasesRequest(
            worker_id="worker-1",
            request_id=f"poll-{self.polls}",
            queue_names=["reviews"],
            deployment_id="v2",
        )
        (lease,) = (await self.api.workers.LeasePhases(poll)).leases
        return str(lease.lease_token)

    async def report(self, token: str, **news: Any) -> None:
        report = work.PhaseReport(lease_token=token, **news)
        await self.api.workers.ReportPhases(work.ReportPhasesRequest(reports=[report]))

    async def fail(self, message: str) -> None:
        failure = execution_pb2.Failure(message=message)
        await self.report(
            await self.lease(), usage_by_model=[FIRST], failed=work.PhaseFailed(failure=failure)
        )

    async def complete(self) -> None:
        await self.report(
            await self.lease(),
            operations=[CALL],
            usage_by_model=[SECOND],
            session_id="agent-session-1",
            credits_used="1.5",
            completed=work.PhaseCompleted(
                output=execution_pb2.Payload(data=b'"planned"'),
                artifacts=[
                    artifact_pb2.Artifact(
                        name="plan.md", content=execution_pb2.Payload(data=b"# Plan")
                    )
                ],
            ),
        )
        await self.report(
            await self.lease(),
            operations=[execution_pb2.Operation(operation_id="op-2", operation_type="model")],
            usage_by_model=[THIRD],
            completed=work.PhaseCompleted(output=execution_pb2.Payload(data=b'"written"')),
        )


@pytest.fixture
async def run(api: Api) -> Run:
    run = Run(api)
    await run.start()
    return run


async def test_a_completed_execution_shows_what_it_was_and_did(run: Run) -> None:
    await run.fail("first try")
    await run.complete()
    one = await run.get()
    assert _shown(one, EXECUTION) == {
        **EXECUTION,
        "artifact_ids": list(one.phases[0].artifact_ids),
        "display.duration": display.duration(one.duration.ToTimedelta()),
    }
    assert len(one.artifact_ids) == 1
    plan = one.phases[0]
    assert _shown(plan, PHASE) == {**PHASE, "artifact_ids": list(one.artifact_ids)}
    assert _shown(plan.operations[0], OPERATION) == OPERATION


async def test_its_times_are_those_of_what_happened(run: Run) -> None:
    await run.fail("first try")
    await run.complete()
    one = await run.get()
    plan, write = one.phases
    happened = [
        one.created_at,
        one.started_at,
        plan.started_at,
        plan.operations[0].timestamp,
        plan.completed_at,
        write.started_at,
        write.completed_at,
        one.completed_at,
        one.updated_at,
    ]
    times = [_time(moment) for moment in happened]
    assert times == sorted(times)
    assert (times[1], times[-1]) == (times[2], times[-2]) == (times[2], times[6])
    assert one.duration.ToTimedelta() == times[-1] - times[1]
    assert plan.duration.ToTimedelta() == times[4] - times[2]


async def test_an_active_execution_is_listed_with_where_it_stands(run: Run) -> None:
    await run.report(await run.lease(), usage_by_model=[FIRST])
    request = pb.ListActiveRequest(filter=pb.ExecutionFilter(batch_id="batch-1"))
    (one,) = (await run.api.executions.ListActive(request)).executions
    expected: Mapping[str, object] = {
        "execution_id": "child-1",
        "workflow_id": "review",
        "status": Status.EXECUTION_STATUS_RUNNING,
        "current_phase": "plan",
        "completed_phases": 0,
        "total_phases": 2,
        "failure.message": "",
        "usage.total_tokens": 120,
        "display.total_tokens": "120",
    }
    assert _shown(one, expected) == expected
    assert one.HasField("started_at")
    assert not one.HasField("completed_at")


async def test_the_status_says_in_short_where_it_stands(run: Run) -> None:
    request = pb.GetStatusRequest(workflow_id="review", execution_id="child-1")
    await run.fail("first try")
    await run.fail("no luck")
    status = await run.api.executions.GetStatus(request)
    expected: Mapping[str, object] = {
        "execution_id": "child-1",
        "workflow_id": "review",
        "status": Status.EXECUTION_STATUS_FAILED,
        "current_phase": "",
        "completed_phases": 0,
        "total_phases": 2,
        "error_message": "no luck",
    }
    assert _shown(status, expected) == expected
    assert status.completed_at == (await run.get()).completed_at


async def test_a_failed_execution_says_why_and_keeps_what_it_spent(run: Run) -> None:
    await run.fail("first try")
    await run.fail("no luck")
    one = await run.get()
    assert (one.failure.message, one.failure.phase_id) == ("no luck", "plan")
    assert one.phases[0].failure.message == "no luck"
    assert (one.usage.total_tokens, one.usage.cost_usd) == (240, "0.5")


async def test_a_cancelled_execution_says_who_when_and_why(run: Run) -> None:
    request = pb.CancelRequest(execution_id="child-1", reason="changed my mind")
    await run.api.executions.Cancel(request)
    one = await run.get()
    assert one.status == Status.EXECUTION_STATUS_CANCELLED
    assert (one.cancellation.cancelled_by, one.cancellation.reason) == (
        "anonymous",
        "changed my mind",
    )
    assert one.cancellation.cancelled_at == one.completed_at


async def test_a_parent_shows_its_children_and_what_all_of_them_cost(run: Run) -> None:
    await run.fail("first try")
    await run.complete()
    answer = await run.api.executions.GetNesting(pb.GetNestingRequest(execution_id="parent-1"))
    assert answer.nesting.execution.tree_usage.cost_usd == "2.5"
    (child,) = answer.nesting.children
    assert child.execution.execution_id == "child-1"
    by_message = pb.GetNestingRequest(chat_message_id="message-1")
    nesting = (await run.api.executions.GetNesting(by_message)).nesting
    assert nesting.execution.execution_id == "child-1"


async def test_a_start_is_answered_as_users_know_it(run: Run) -> None:
    answer = await run.api.executions.Execute(pb.ExecuteRequest(workflow_id="review"))
    expected: Mapping[str, object] = {
        "workflow_id": "review",
        "status": Status.EXECUTION_STATUS_PENDING,
        "message": "Workflow execution started",
    }
    assert _shown(answer, expected) == expected
    assert answer.execution_id


async def test_a_page_of_the_list_tells_how_many_there_are_in_all(run: Run) -> None:
    request = pb.ListRequest(
        page=2,
        page_size=1,
        filter=pb.ExecutionFilter(statuses=[Status.EXECUTION_STATUS_PENDING]),
    )
    answer = await run.api.executions.List(request)
    assert (answer.total_size, answer.page, answer.page_size) == (2, 2, 1)
    assert [one.execution_id for one in answer.executions] == ["parent-1"]
    mine = pb.ListRequest(filter=pb.ExecutionFilter(responder_ids=["responder-1"]))
    (one,) = (await run.api.executions.List(mine)).executions
    assert one.execution_id == "child-1"


async def test_without_figures_it_shows_that_there_are_none(run: Run) -> None:
    one = await run.get()
    expected: Mapping[str, object] = {
        "display.total_tokens": "0",
        "display.total_cost": "$0.00",
        "display.duration": "—",
        "usage.cost_usd": "0",
        "usage.credits_used": "0",
    }
    assert _shown(one, expected) == expected


def _shown(message: Message, paths: Mapping[str, object]) -> dict[str, object]:
    """Return what *message* holds at each of the paths."""
    return {path: _at(message, path) for path in paths}


def _at(message: Any, path: str) -> object:
    for name in path.split("."):
        message = getattr(message, name)
    if isinstance(message, Duration):
        return message.ToTimedelta()
    if isinstance(message, (str, bytes, int)):
        return message
    return dict(message) if hasattr(message, "items") else list(message)


def _time(moment: Any) -> datetime:
    found = moment.ToDatetime()
    assert isinstance(found, datetime)
    return found
