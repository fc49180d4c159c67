"""How fast one watcher catches up on an execution with a long history."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

from phaseline.bench.results import Goal, Result
from phaseline.bench.stage import Stage
from phaseline.bench.target import HANDLER, Target
from phaseline.v1 import execution_pb2, worker_service_pb2
from phaseline.v1 import execution_service_pb2 as pb2

_REPORTS = 100
_OPERATIONS = 1000
#: Seconds after which a watch that has not caught up is judged by what it has.
_LONGEST = 20.0
_GOAL = Goal(50_000, 120_000)


async def catch_up(stage: Stage) -> AsyncGenerator[Result]:
    """Yield how many operations a second are recorded, and changes a second watched."""
    async with stage.target() as target:
        started = await target.executions.Execute(
            pb2.ExecuteRequest(
                workflow_id=await target.workflow(1), queue_name=target.queues.working
            )
        )
        began = time.perf_counter()
        await _report(target)
        taken = time.perf_counter() - began
        yield Result("operations recorded", _REPORTS * _OPERATIONS / taken, "/s")
        rate = await _watched(target, started.execution_id, started.resume_token)
        yield Result(f"catching up on {_REPORTS * _OPERATIONS:,} changes", rate, "/s", goal=_GOAL)


async def _report(target: Target) -> None:
    """Lease the phase, and report many operations of it, more than once."""
    request = worker_service_pb2.LeasePhasesRequest(
        worker_id="bench",
        request_id=target.queues.working,
        queue_names=[target.queues.working],
        handlers=[HANDLER],
    )
    lease = (await target.workers.LeasePhases(request)).leases[0]
    for at in range(_REPORTS):
        report = worker_service_pb2.PhaseReport(
            lease_token=lease.lease_token,
            operations=[_operation(at * _OPERATIONS + one) for one in range(_OPERATIONS)],
        )
        if at == _REPORTS - 1:
            report.completed.SetInParent()
        reports = worker_service_pb2.ReportPhasesRequest(reports=[report])
        answer = await target.workers.ReportPhases(reports)
        if answer.directives[0].rejections:
            raise ReportRefused(answer.directives[0].rejections[0].message)


class ReportRefused(Exception):
    """The server did not take a report as it was."""


def _operation(number: int) -> execution_pb2.Operation:
    return execution_pb2.Operation(
        operation_id=f"operation-{number}",
        operation_type="tool",
        tool_name="read",
        tool_use_id=f"tool-use-{number}",
        success=True,
    )


async def _watched(target: Target, execution_id: str, resume_token: str) -> float:
    """Return the changes a second of a watch from the start of an execution to its end."""
    request = pb2.WatchRequest(execution_id=execution_id, resume_token=resume_token)
    stream = target.executions.Watch(request)
    began, changes = time.perf_counter(), 0
    while time.perf_counter() < began + _LONGEST:
        response = await stream.read()
        if not isinstance(response, pb2.WatchResponse):
            break
        changes += len(response.frame.change_set.changes)
    stream.cancel()
    return changes / (time.perf_counter() - began)
