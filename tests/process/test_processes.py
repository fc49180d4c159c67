"""Several servers on one port: they are as one, come back, and end together."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from phaseline.v1 import execution_service_pb2, workflow_pb2, workflow_service_pb2
from tests.support.databases import Databases
from tests.support.process import is_alive, until_gone
from tests.support.program import Program, ServerProgram, Stubs, free_port

_QUICK = ("--drain-timeout", "2s")
WORKFLOW = workflow_pb2.Workflow(
    workflow_id="flow", phases=[workflow_pb2.PhaseSpec(phase_id="one", handler="nothing")]
)


@pytest.fixture
def database(postgresql: Databases) -> Iterator[str]:
    url = postgresql.take()
    yield url
    postgresql.give_back(url)


def children(pid: int) -> list[int]:
    """Return the processes that a process runs."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [child for child in map(int, found) if is_alive(child)]


async def until_children(pid: int, count: int) -> list[int]:
    """Return the children of a process, once there are so many."""
    while len(found := children(pid)) != count:  # noqa: ASYNC110 - nobody tells of a new one
        await asyncio.sleep(0.01)
    return found


@pytest.mark.timeout(60)
async def test_several_processes_are_one_server(database: str) -> None:
    with ServerProgram(database, "--processes", "2", *_QUICK) as server:
        with server.channel() as channel:
            stubs = Stubs(channel)
            stubs.workflows.ApplyWorkflow(
                workflow_service_pb2.ApplyWorkflowRequest(workflow=WORKFLOW)
            )
        for at in range(6):
            # Each on a connection of its own, which one of the two gets.
            with server.channel() as channel:
                executions = Stubs(channel).executions
                executions.Execute(
                    execution_service_pb2.ExecuteRequest(workflow_id="flow", execution_id=f"e{at}")
                )
            with server.channel() as channel:
                request = execution_service_pb2.GetStatusRequest(execution_id=f"e{at}")
                assert Stubs(channel).executions.GetStatus(request).execution_id == f"e{at}"
        first, second = await until_children(server.pid, 2)
        os.kill(first, signal.SIGKILL)
        await until_gone(first)
        assert second in await until_children(server.pid, 2), "another one has come"
        server.signal(signal.SIGTERM)
        assert server.end() == 0
        await until_gone(second)


@pytest.mark.long
@pytest.mark.timeout(60)
async def test_they_end_with_the_one_that_runs_them(database: str) -> None:
    with ServerProgram(database, "--processes", "2", *_QUICK) as server:
        with server.channel():
            pass
        both = await until_children(server.pid, 2)
        server.kill()
        for pid in both:
            await until_gone(pid)


@pytest.mark.long
@pytest.mark.timeout(60)
def test_what_keeps_them_from_starting_is_told(database: str, tmp_path: Path) -> None:
    for db, listen, why in (
        (str(tmp_path / "db"), "127.0.0.1:0", "several need a PostgreSQL database"),
        (database, f"unix:{tmp_path}/socket", "processes cannot share a unix socket"),
        (database, "0.0.0.0:0", "there are no credentials"),
    ):
        with Program("serve", "--processes", "2", "--db", db, "--listen", listen) as server:
            assert server.end() in (2, 4)
        assert why in "".join(server.log)


@pytest.mark.long
@pytest.mark.timeout(60)
def test_a_port_that_others_share_is_taken(database: str) -> None:
    port = free_port()
    arguments = ("--processes", "2", *_QUICK)
    with (
        ServerProgram(database, *arguments, port=port) as first,
        first.channel(),
        ServerProgram(database, *arguments, port=port) as second,
    ):
        assert second.end() == 4
        assert "cannot listen on" in "".join(second.log)
