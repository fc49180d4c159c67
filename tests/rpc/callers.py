"""What callers and workers do in the tests of the services."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration

from phaseline.v1 import execution_pb2
from phaseline.v1.execution_service_pb2 import ExecuteRequest
from phaseline.v1.worker_service_pb2 import (
    LeasePhasesRequest,
    PhaseCompleted,
    PhaseFailed,
    PhaseLease,
    PhaseReport,
    ReportPhasesRequest,
)
from tests.support.rpc import Api


def start(**fields: Any) -> ExecuteRequest:
    """Return a request to start the workflow "survey"."""
    fields.setdefault("workflow_id", "survey")
    fields.setdefault("inputs", {"topic": "rivers"})
    return ExecuteRequest(**fields)


async def started(api: Api, **fields: Any) -> str:
    """Return the id of a new execution."""
    answer = await api.executions.Execute(start(**fields))
    assert answer.created
    return str(answer.execution_id)


async def lease(api: Api) -> PhaseLease:
    """Lease the phase that comes next."""
    poll = LeasePhasesRequest(worker_id="w", request_id="r", wait=Duration())
    (leased,) = (await api.workers.LeasePhases(poll)).leases
    assert isinstance(leased, PhaseLease)
    return leased


async def complete(api: Api, output: bytes = b"done") -> str:
    """Complete the phase that comes next, and return its id."""
    leased = await lease(api)
    completed = PhaseCompleted(output=execution_pb2.Payload(data=output))
    report = PhaseReport(lease_token=leased.lease_token, completed=completed)
    await api.workers.ReportPhases(ReportPhasesRequest(reports=[report]))
    return leased.phase.phase_id


async def fail(api: Api) -> None:
    """Fail the phase that comes next, for good."""
    failed = PhaseFailed(failure=execution_pb2.Failure(code="BROKEN", retryable=False))
    report = PhaseReport(lease_token=(await lease(api)).lease_token, failed=failed)
    await api.workers.ReportPhases(ReportPhasesRequest(reports=[report]))
