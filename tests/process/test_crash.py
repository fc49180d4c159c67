"""What was answered survives the end of the process, whenever and however it comes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import grpc
import pytest

from phaseline.v1 import execution_pb2, worker_service_pb2, workflow_pb2, workflow_service_pb2
from phaseline.v1 import execution_service_pb2 as pb
from tests.support.program import ServerProgram, Stubs

TWO_PHASES = workflow_pb2.Workflow(
    workflow_id="two",
    phases=[
        workflow_pb2.PhaseSpec(phase_id="first", handler="test"),
        workflow_pb2.PhaseSpec(phase_id="second", handler="test"),
    ],
)


def apply(stubs: Stubs) -> None:
    stubs.workflows.ApplyWorkflow(workflow_service_pb2.ApplyWorkflowRequest(workflow=TWO_PHASES))


def lease(stubs: Stubs, request_id: str) -> worker_service_pb2.PhaseLease:
    request = worker_service_pb2.LeasePhasesRequest(worker_id="worker", request_id=request_id)
    return stubs.workers.LeasePhases(request, timeout=10).leases[0]


def completion(token: str) -> worker_service_pb2.ReportPhasesRequest:
    completed = worker_service_pb2.PhaseCompleted(output=execution_pb2.Payload(data=b"done"))
    report = worker_service_pb2.PhaseReport(lease_token=token, completed=completed)
    return worker_service_pb2.ReportPhasesRequest(reports=[report])


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.long)])
def test_an_execution_that_was_answered_is_there_after_a_kill(tmp_path: Path, kills: int) -> None:
    database = tmp_path / "phaseline.db"
    known: dict[str, int] = {}
    for round_ in range(kills + 1):
        with ServerProgram(database) as server, server.channel() as channel:
            stubs = Stubs(channel)
            apply(stubs)
            found = {
                execution_id: stubs.executions.GetStatus(
                    pb.GetStatusRequest(execution_id=execution_id)
                ).revision
                for execution_id in known
            }
            assert (round_, found) == (round_, known)
            started = stubs.executions.Execute(pb.ExecuteRequest(workflow_id="two"))
            server.kill()
        known[started.execution_id] = started.revision


@pytest.mark.parametrize("point", ["commit.before", "commit.after"])
def test_a_repeated_start_makes_one_execution_wherever_the_first_try_died(
    tmp_path: Path, point: str
) -> None:
    database = tmp_path / "phaseline.db"
    start = pb.ExecuteRequest(workflow_id="two", request_id="once")
    with ServerProgram(database) as server, server.channel() as channel:
        apply(Stubs(channel))
    with (
        ServerProgram(database, environment={"PHASELINE_CRASH_AT": point}) as server,
        server.channel() as channel,
    ):
        with pytest.raises(grpc.RpcError) as failed:
            Stubs(channel).executions.Execute(start)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        assert server.end() == 70
    with ServerProgram(database) as server, server.channel() as channel:
        executions = Stubs(channel).executions
        again = executions.Execute(start)
        assert again.created == (point == "commit.before")
        assert executions.List(pb.ListRequest()).total_size == 1


def test_what_a_worker_inside_a_killed_server_did_begins_again_at_once(tmp_path: Path) -> None:
    database, pipe = tmp_path / "phaseline.db", tmp_path / "pipe"
    os.mkfifo(pipe)
    spec = workflow_pb2.PhaseSpec(phase_id="only", handler="command")
    script = f'test "$PHASELINE_ATTEMPT" = 1 || exit 0; echo $$ > "{pipe}"; exec sleep 600'
    spec.config.update({"script": script})
    slow = workflow_pb2.Workflow(workflow_id="slow", phases=[spec])
    with ServerProgram(database, command="dev") as server, server.channel() as channel:
        stubs = Stubs(channel)
        stubs.workflows.ApplyWorkflow(workflow_service_pb2.ApplyWorkflowRequest(workflow=slow))
        started = stubs.executions.Execute(pb.ExecuteRequest(workflow_id="slow"))
        orphan = int(pipe.read_text())
        server.kill()
    os.kill(orphan, signal.SIGKILL)
    with ServerProgram(database, command="dev") as server, server.channel() as channel:
        # Far less than the lease that the first one held.
        request = pb.WaitRequest(execution_id=started.execution_id)
        done = Stubs(channel).executions.Wait(request, timeout=10)
        assert done.execution.status == execution_pb2.EXECUTION_STATUS_COMPLETED
        assert done.execution.retry_count == 1


def test_a_worker_goes_on_with_its_lease_after_the_server_was_killed(tmp_path: Path) -> None:
    database = tmp_path / "phaseline.db"
    with ServerProgram(database) as server, server.channel() as channel:
        stubs = Stubs(channel)
        apply(stubs)
        started = stubs.executions.Execute(pb.ExecuteRequest(workflow_id="two"))
        leased = lease(stubs, "first")
        server.kill()
    with ServerProgram(database) as server, server.channel() as channel:
        stubs = Stubs(channel)
        report = completion(leased.lease_token)
        directive = stubs.workers.ReportPhases(report).directives[0]
        assert directive.action == worker_service_pb2.DIRECTIVE_ACTION_ACCEPTED
        server.kill()
    with ServerProgram(database) as server, server.channel() as channel:
        stubs = Stubs(channel)
        again = stubs.workers.ReportPhases(report).directives[0]
        status = stubs.executions.GetStatus(pb.GetStatusRequest(execution_id=started.execution_id))
        assert (again.replayed, status.completed_phases) == (True, 1)
        assert lease(stubs, "second").phase.phase_id == "second"
