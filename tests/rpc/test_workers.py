"""WorkerService, as workers see it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from phaseline.domain.errors import InvalidArgument
from phaseline.v1 import execution_pb2, usage_pb2
from phaseline.v1 import worker_service_pb2 as pb
from phaseline.v1.execution_service_pb2 import CancelRequest, ExecuteRequest, GetRequest
from tests.support.rpc import Api, refusal

SECOND = timedelta(seconds=1)


class Worker:
    """Makes the two calls of a worker."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._numbers = count()

    def poll(self, **fields: Any) -> pb.LeasePhasesRequest:
        fields.setdefault("wait", Duration())
        fields.setdefault("request_id", f"poll-{next(self._numbers)}")
        return pb.LeasePhasesRequest(worker_id="w", **fields)

    async def lease(self, **fields: Any) -> list[pb.PhaseLease]:
        return list((await self._api.workers.LeasePhases(self.poll(**fields))).leases)

    async def report(self, lease: pb.PhaseLease, **fields: Any) -> pb.PhaseDirective:
        report = pb.PhaseReport(lease_token=lease.lease_token, **fields)
        answer = await self._api.workers.ReportPhases(pb.ReportPhasesRequest(reports=[report]))
        directive = answer.directives[0]
        assert isinstance(directive, pb.PhaseDirective)
        return directive


@pytest.fixture
def worker(api: Api) -> Worker:
    return Worker(api)


async def started(api: Api, **fields: Any) -> str:
    request = ExecuteRequest(workflow_id="survey", inputs={"topic": "rivers"}, **fields)
    return str((await api.executions.Execute(request)).execution_id)


async def read(api: Api, execution_id: str) -> execution_pb2.Execution:
    answer = await api.executions.Get(GetRequest(execution_id=execution_id))
    assert isinstance(answer.execution, execution_pb2.Execution)
    return answer.execution


async def test_a_lease_brings_all_that_a_worker_needs(api: Api, worker: Worker) -> None:
    execution_id = await started(api, task="look", max_budget_usd="2")
    (lease,) = await worker.lease(lease_duration=Duration(seconds=60))
    assert lease.prompt == "look: rivers"
    assert (lease.phase.phase_id, lease.phase.attempt) == ("plan", 1)
    assert lease.execution.execution_id == execution_id
    assert dict(lease.execution.inputs) == {"topic": "rivers"}
    assert lease.fencing_token == 1
    assert 59 * SECOND < lease.time_to_live.ToTimedelta() <= 60 * SECOND
    assert lease.heartbeat_interval.ToTimedelta() == 5 * SECOND
    assert lease.remaining_budget_usd == "2"


async def test_a_poll_waits_for_work(api: Api, worker: Worker) -> None:
    waiting = asyncio.ensure_future(worker.lease(wait=Duration(seconds=15)))
    await started(api)
    assert len(await waiting) == 1


async def test_a_poll_leaves_time_for_its_answer(api: Api, worker: Worker) -> None:
    request = worker.poll(wait=Duration(seconds=60))
    answer = await api.workers.LeasePhases(request, timeout=1.1)
    assert not answer.leases


async def test_a_repeated_poll_gets_the_same_leases(api: Api, worker: Worker) -> None:
    await started(api)
    (lease,) = await worker.lease(request_id="r")
    (again,) = await worker.lease(request_id="r")
    assert lease.lease_token == again.lease_token


async def test_a_poll_out_of_range_is_refused(api: Api, worker: Worker) -> None:
    error = await refusal(api.workers.LeasePhases(worker.poll(max_phases=101)))
    assert isinstance(error, InvalidArgument)
    assert [each.field for each in error.violations] == ["max_phases"]


async def test_a_heartbeat_renews_the_lease(api: Api, worker: Worker) -> None:
    await started(api)
    (lease,) = await worker.lease()
    directive = await worker.report(lease)
    assert directive.action == pb.DIRECTIVE_ACTION_CONTINUE
    assert directive.time_to_live.ToTimedelta() == 30 * SECOND


async def test_what_is_reported_is_found(api: Api, worker: Worker) -> None:
    execution_id = await started(api)
    (lease,) = await worker.lease()
    directive = await worker.report(
        lease,
        usage_by_model=[usage_pb2.ModelUsage(model="m", input_tokens=5, cost_usd="0.25")],
        operations=[
            execution_pb2.Operation(operation_id="op", operation_type="tool", tool_name="Bash")
        ],
        progress=execution_pb2.Progress(percent=40),
        completed=pb.PhaseCompleted(output=execution_pb2.Payload(data=b"fine")),
    )
    assert directive.action == pb.DIRECTIVE_ACTION_ACCEPTED
    execution = await read(api, execution_id)
    assert execution.usage.cost_usd == "0.25"
    assert execution.usage.tool_call_count == 1
    assert execution.phases[0].output.data == b"fine"
    assert [each.tool_name for each in execution.phases[0].operations] == ["Bash"]


async def test_a_report_brings_more_work(api: Api, worker: Worker) -> None:
    await started(api)
    (lease,) = await worker.lease()
    report = pb.PhaseReport(lease_token=lease.lease_token, completed=pb.PhaseCompleted())
    answer = await api.workers.ReportPhases(
        pb.ReportPhasesRequest(reports=[report], next=worker.poll())
    )
    assert [each.phase.phase_id for each in answer.next.leases] == ["write"]


async def test_what_is_wrong_with_a_report_keeps_nothing_else_out(api: Api, worker: Worker) -> None:
    execution_id = await started(api)
    (lease,) = await worker.lease()
    directive = await worker.report(
        lease,
        session_id="agent-7",
        credits_used="much",
        completed=pb.PhaseCompleted(output=execution_pb2.Payload(data=b"x" * (1024 * 1024 + 1))),
    )
    assert directive.action == pb.DIRECTIVE_ACTION_CONTINUE
    assert {each.field: each.reason for each in directive.rejections} == {
        "credits_used": "INVALID_FIELD",
        "completed.output": "PAYLOAD_TOO_LARGE",
    }
    assert (await read(api, execution_id)).phases[0].session_id == "agent-7"


async def test_a_lost_lease_keeps_no_other_report_out(api: Api, worker: Worker) -> None:
    await started(api)
    (lease,) = await worker.lease()
    reports = [
        pb.PhaseReport(lease_token="unknown"),
        pb.PhaseReport(lease_token=lease.lease_token),
    ]
    answer = await api.workers.ReportPhases(pb.ReportPhasesRequest(reports=reports))
    lost, kept = answer.directives
    assert (lost.action, lost.abandon_reason) == (
        pb.DIRECTIVE_ACTION_ABANDON,
        pb.ABANDON_REASON_UNKNOWN,
    )
    assert kept.action == pb.DIRECTIVE_ACTION_CONTINUE


async def test_a_failed_attempt_is_told_what_follows(api: Api, worker: Worker) -> None:
    await started(api)
    (lease,) = await worker.lease()
    failure = execution_pb2.Failure(code="FLAKY", message="try again")
    directive = await worker.report(lease, failed=pb.PhaseFailed(failure=failure))
    assert directive.retry_decision == pb.RETRY_DECISION_RETRY
    assert directive.HasField("next_attempt_at")


async def test_a_cancelled_phase_is_told_to_stop(api: Api, worker: Worker) -> None:
    execution_id = await started(api)
    (lease,) = await worker.lease()
    await api.executions.Cancel(CancelRequest(execution_id=execution_id, reason="enough"))
    directive = await worker.report(lease)
    assert directive.action == pb.DIRECTIVE_ACTION_CANCEL
    assert directive.cancellation.reason == "enough"


@pytest.mark.parametrize("tokens", [[], ["t", "t"]])
async def test_reports_that_make_no_sense_together_are_refused(api: Api, tokens: list[str]) -> None:
    reports = [pb.PhaseReport(lease_token=token) for token in tokens]
    error = await refusal(api.workers.ReportPhases(pb.ReportPhasesRequest(reports=reports)))
    assert [each.field for each in error.violations] == ["reports"]
