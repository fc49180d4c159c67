"""Three agents in a row hand their results on, whichever agent they are."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from phaseline import examples
from phaseline.cli import manifest
from phaseline.v1 import execution_pb2
from phaseline.worker.handlers.agent import AgentHandler
from phaseline.worker.registry import Registry
from tests.support.agent import STAND_IN, lines
from tests.support.whole import settings_in
from tests.support.working import working

#: What each agent prints whose answer is "did: " and its prompt.
STREAMS: dict[str, list[dict[str, Any]]] = {
    "claude": [
        {"type": "assistant", "message": {"id": "m1", "model": "claude-opus-4-7", "content": [
            {"type": "tool_use", "id": "t1", "name": "Read", "input": {}}]}},
        {"type": "user", "message": {"content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": "x"}]}},
        {"type": "result", "subtype": "success", "is_error": False, "result": "did: {prompt}",
         "session_id": "s", "total_cost_usd": 0.25,
         "modelUsage": {"claude-opus-4-7": {"inputTokens": 7, "costUSD": 0.25}}},
    ],
    "codex": [
        {"type": "thread.started", "thread_id": "s"},
        {"type": "turn.started"},
        {"type": "item.completed", "item": {"id": "i", "type": "command_execution"}},
        {"type": "item.completed",
         "item": {"id": "j", "type": "agent_message", "text": "did: {prompt}"}},
        {"type": "turn.completed", "usage": {"input_tokens": 7}},
    ],
    "gemini": [
        {"type": "init", "session_id": "s", "model": "gemini-2.5-pro"},
        {"type": "tool_use", "tool_id": "t", "tool_name": "read_file"},
        {"type": "tool_result", "tool_id": "t", "status": "success"},
        {"type": "message", "role": "assistant", "content": "did: {prompt}", "delta": True},
        {"type": "result", "status": "success", "stats": {"models": {
            "gemini-2.5-pro": {"total_tokens": 7, "input_tokens": 7, "output_tokens": 0}}}},
    ],
    "jsonl": [
        {"session_id": "s"},
        {"operation": {"operation_id": "1", "tool_name": "Read", "success": True}},
        {"usage": {"model": "gemini-2.5-pro", "input_tokens": 7}},
        {"result": {"output": "did: {prompt}"}},
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_blocking_call_in_the_loop() -> None:
    """Let the manifest be read and settings be made in the loop: it is this test's own."""


@pytest.mark.parametrize("agent", STREAMS)
async def test_each_agent_gets_what_those_before_have_said(
    agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, script = tmp_path / "stream.jsonl", tmp_path / "script.json"
    stream.write_bytes(lines(STREAMS[agent]))
    script.write_text(json.dumps({"stream": str(stream)}))
    program = shlex.join([sys.executable, str(STAND_IN), str(script)])
    monkeypatch.setenv("PHASELINE_AGENT_PROGRAM", program)
    (workflow,) = manifest.load(examples.path("plan-build-review"))

    registry = Registry()
    registry.add("agent", AgentHandler(work_root=tmp_path / "work", directory=tmp_path))
    async with working(settings_in(tmp_path), registry) as client:
        await client.apply_workflow(workflow)
        started = await client.execute(
            "plan-build-review", task="count words", inputs={"agent": agent}
        )
        execution = await client.wait(started.execution_id)

    assert execution.status == execution_pb2.EXECUTION_STATUS_COMPLETED, execution.failure
    outputs = [phase.output.data.decode() for phase in execution.phases]
    assert outputs[0].startswith("did: Plan how to do the task")
    assert all("count words" in output for output in outputs)
    assert outputs[0] in outputs[1]
    assert outputs[1] in outputs[2]
    assert execution.result.data.decode() == outputs[2]
    assert execution.usage.total_tokens == 21
    assert execution.usage.tool_call_count == 3
    assert [phase.session_id for phase in execution.phases] == ["s"] * 3
