"""An agent as a phase of a real server: seen live, stopped in time, and paid for."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from phaseline.client import Client
from phaseline.v1 import execution_pb2
from phaseline.v1.workflow_pb2 import PhaseSpec, RetryPolicy, Workflow
from phaseline.worker.handlers.agent import AgentHandler
from phaseline.worker.registry import Registry
from phaseline.worker.runner import RunnerOptions
from tests.support.agent import STAND_IN, lines
from tests.support.process import until_gone, until_there
from tests.support.whole import settings_in
from tests.support.working import working

CALL = {"operation": {"operation_id": "1", "tool_name": "Bash", "input": {"command": "sleep"}}}
COST = {"usage": {"model": "own", "input_tokens": 5, "cost_usd": "0.02"}}


@pytest.fixture(autouse=True)
def no_blocking_call_in_the_loop() -> None:
    """Let settings be made in the loop: it is this test's own."""


@asynccontextmanager
async def served(directory: Path, *events: Any, **script: object) -> AsyncIterator[Client]:
    """Run a server whose workflow `one` has an agent that plays a script, for the block."""
    stream, path = directory / "stream.jsonl", directory / "script.json"
    stream.write_bytes(lines(events))
    path.write_text(json.dumps({"stream": str(stream), **script}))
    phase = PhaseSpec(
        phase_id="agent", handler="agent", prompt="go", retry_policy=RetryPolicy(max_attempts=1)
    )
    phase.config.update({"adapter": "jsonl", "argv": [sys.executable, str(STAND_IN), str(path)]})
    registry = Registry()
    registry.add("agent", AgentHandler(work_root=directory / "work", directory=directory))
    # So short that the worker soon hears of a cancellation.
    options = RunnerOptions(lease_duration=timedelta(seconds=5))
    async with working(settings_in(directory), registry, options) as client:
        await client.apply_workflow(Workflow(workflow_id="one", phases=[phase]))
        yield client


async def test_cancelled_in_a_call_it_ends_at_once_and_keeps_what_was_spent(
    tmp_path: Path,
) -> None:
    pid_file = tmp_path / "child.pid"
    async with served(
        tmp_path, COST, CALL,
        stop_after=2, child=["sleep", "600"], child_pid_file=str(pid_file),
    ) as client:  # fmt: skip
        execution_id = (await client.execute("one")).execution_id
        pid = int(await until_there(pid_file))
        await client.cancel(execution_id, reason="enough")
        execution = await client.wait(execution_id, timeout=timedelta(seconds=15))
        operations = [each async for each in client.iter_operations(execution_id)]

    await until_gone(pid)
    assert execution.status == execution_pb2.EXECUTION_STATUS_CANCELLED
    assert execution.usage.cost_usd == "0.02"
    assert execution.usage.tool_call_count == 1
    (call,) = operations
    assert call.success is False
    assert call.HasField("completed_at")


async def test_a_call_is_seen_while_it_goes_on(tmp_path: Path) -> None:
    async with served(tmp_path, CALL, stop_after=1) as client:
        started = await client.execute("one")
        execution_id, revision, calls = started.execution_id, started.revision, 0
        while not calls:
            changed = await client.wait(execution_id, after_revision=revision)
            revision, calls = changed.revision, changed.usage.tool_call_count
        listed = await client.list_operations(execution_id)
        (call,) = listed.operations
        assert call.tool_name == "Bash"
        assert not call.HasField("success")
        await client.cancel(execution_id)
        await client.wait(execution_id, timeout=timedelta(seconds=15))


async def test_a_budget_ends_the_agent_and_fails_the_execution(tmp_path: Path) -> None:
    async with served(tmp_path, COST, CALL, stop_after=2) as client:
        started = await client.execute("one", max_budget_usd="0.01")
        execution = await client.wait(started.execution_id, timeout=timedelta(seconds=15))

    assert execution.status == execution_pb2.EXECUTION_STATUS_FAILED
    assert execution.failure.kind == execution_pb2.FAILURE_KIND_BUDGET_EXCEEDED
    assert execution.usage.cost_usd == "0.02"


async def test_a_timeout_ends_the_agent(tmp_path: Path) -> None:
    async with served(tmp_path, COST, stop_after=1) as client:
        started = await client.execute("one", run_timeout=timedelta(seconds=1))
        execution = await client.wait(started.execution_id, timeout=timedelta(seconds=15))

    assert execution.status == execution_pb2.EXECUTION_STATUS_FAILED
    assert execution.failure.kind == execution_pb2.FAILURE_KIND_TIMEOUT
    assert execution.usage.cost_usd == "0.02"
