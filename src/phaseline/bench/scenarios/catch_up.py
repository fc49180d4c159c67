"""How fast one watcher catches up on an execution with a long history."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

from phaseline.bench.results import Goal, Result
from phaseline.bench.stage import Stage
from phaseline.bench.target import HANDLER, Target
from phaseline.v1 import execution_pb2, worker_service_pb2
from phaseline.v1 import execution_service_pb2 as pb2

#: Reports, and the operations in each: few large commits, and many small ones.
_HISTORIES = ((100, 1000), (1500, 1))
#: Seconds after which a watch that has not caught up is judged by what it has.
_LONGEST = 20.0
_GOAL = Goal(50_000, 120_000)


async def catch_up(stage: Stage) -> AsyncGenerator[Result]:
    """Yield how many operations a second are recorded, and changes a second watched."""
    for reports, operations in _HISTORIES:
        name = f"{reports:,} × {operations:,} operations"
        database = stage.fresh()
        async with stage.target(database=database) as target:
            started = await target.executions.Execute(
                pb2.ExecuteRequest(
                    workflow_id=await target.workflow(1), queue_name=target.queues.working
                )
            )
            began = time.perf_counter()
            await _report(target, reports, operations)
            taken = time.perf_counter() - began
            yield Result(f"{name}, recorded", reports * operations / taken, "/s")
        # A server that has just started remembers nothing: all comes from the database.
        async with stage.target(database=database) as target:
            changes, rate = await _watched(target, started.execution_id, started.resume_token)
            yield Result(f"{name}, catching up on {changes:,} changes", rate, "/s", goal=_GOAL)


async def _report(target: Target, reports: int, operations: int) -> None:
    """Lease the phase, and report so many times so many operations of it."""
    request = worker_service_pb2.LeasePhasesRequest(
        worker_id="bench",
        request_id=target.queues.working,
        queue_names=[target.queues.working],
        handlers=[HANDLER],
    )
    lease = (await target.workers.LeasePhases(request)).leases[0]
    for at in range(reports):
        report = worker_service_pb2.PhaseReport(
            lease_token=lease.lease_token,
            operations=[_operation(at * operations + one) for one in range(operations)],
        )
        if at == reports - 1:
            report.completed.SetInParent()
        told = worker_service_pb2.ReportPhasesRequest(reports=[report])
        answer = await target.workers.ReportPhases(told)
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


async def _watched(target: Target, execution_id: str, resume_token: str) -> tuple[int, float]:
    """Return the changes of a watch from the start of an execution to its end, and their rate."""
    request = pb2.WatchRequest(execution_id=execution_id, resume_token=resume_token)
    stream = target.executions.Watch(request)
    began, changes = time.perf_counter(), 0
    while time.perf_counter() < began + _LONGEST:
        response = await stream.read()
        if not isinstance(response, pb2.WatchResponse):
            break
        changes += len(response.frame.change_set.changes)
    stream.cancel()
    return changes, changes / (time.perf_counter() - began)
