"""A worker that stalls past its lease is replaced, and refused; a server that does takes none."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from phaseline.v1 import execution_pb2, workflow_pb2, workflow_service_pb2
from phaseline.v1 import execution_service_pb2 as pb
from tests.support.program import Program, ServerProgram, Stubs

LEASE_SECONDS = 5
_LEASES = {"PHASELINE_LEASES_DURATION": f"{LEASE_SECONDS}s"}
_END_SECONDS = 30


def worker(server: ServerProgram, worker_id: str) -> Program:
    # One slot: with more it would already ask for the next phase when it stalls, and be given it.
    arguments = ("worker", "--server", server.address, "--worker-id", worker_id, "--slots", "1")
    return Program(*arguments, environment=_LEASES)


def slow() -> workflow_pb2.Workflow:
    workflow = workflow_pb2.Workflow(
        workflow_id="slow", phases=[workflow_pb2.PhaseSpec(phase_id="nap", handler="command")]
    )
    workflow.phases[0].config["script"] = "sleep 1"
    return workflow


def until(stubs: Stubs, execution_id: str, is_so: Callable[[execution_pb2.Phase], bool]) -> None:
    """Return once the one phase of the execution is as it should be."""
    revision = 1
    deadline = time.monotonic() + _END_SECONDS
    while time.monotonic() < deadline:
        waited = stubs.executions.Wait(
            pb.WaitRequest(execution_id=execution_id, after_revision=revision)
        )
        if is_so(waited.execution.phases[0]):
            return
        revision = waited.execution.revision
    raise AssertionError("the phase never was as it should be")


@pytest.mark.long
@pytest.mark.timeout(90)
def test_a_stalled_worker_is_replaced_and_its_late_report_refused(tmp_path: Path) -> None:
    with ServerProgram(tmp_path / "phaseline.db") as server, server.channel() as channel:
        stubs = Stubs(channel)
        stubs.workflows.ApplyWorkflow(workflow_service_pb2.ApplyWorkflowRequest(workflow=slow()))
        with worker(server, "stalled") as stalled:
            started = stubs.executions.Execute(pb.ExecuteRequest(workflow_id="slow"))
            until(stubs, started.execution_id, lambda phase: phase.attempt == 1)
            stalled.signal(signal.SIGSTOP)
            with worker(server, "other"):
                until(
                    stubs,
                    started.execution_id,
                    lambda phase: phase.status == execution_pb2.PHASE_STATUS_COMPLETED,
                )
                stalled.signal(signal.SIGCONT)
                stalled.signal(signal.SIGTERM)
                assert stalled.end() == 0
        first, second = (
            stubs.executions.Get(pb.GetRequest(execution_id=started.execution_id))
            .execution.phases[0]
            .attempts
        )
    assert (first.failure.code, second.assigned_to_worker) == ("WORKER_LOST", "other")
    waited = second.started_at.ToDatetime() - first.started_at.ToDatetime()
    assert LEASE_SECONDS <= waited.total_seconds() <= LEASE_SECONDS + 2 + LEASE_SECONDS / 3


@pytest.mark.long
@pytest.mark.timeout(60)
def test_what_ended_while_the_server_stood_still_is_taken_from_its_worker(tmp_path: Path) -> None:
    with ServerProgram(tmp_path / "phaseline.db") as server, server.channel() as channel:
        stubs = Stubs(channel)
        stubs.workflows.ApplyWorkflow(workflow_service_pb2.ApplyWorkflowRequest(workflow=slow()))
        with worker(server, "patient"):
            started = stubs.executions.Execute(pb.ExecuteRequest(workflow_id="slow"))
            until(stubs, started.execution_id, lambda phase: phase.attempt == 1)
            server.signal(signal.SIGSTOP)
            time.sleep(LEASE_SECONDS + 2)
            server.signal(signal.SIGCONT)
            until(
                stubs,
                started.execution_id,
                lambda phase: phase.status == execution_pb2.PHASE_STATUS_COMPLETED,
            )
        phase = stubs.executions.Get(
            pb.GetRequest(execution_id=started.execution_id)
        ).execution.phases[0]
    assert (phase.attempt, phase.assigned_to_worker) == (1, "patient")
