"""A real agent of a real vendor runs as a phase, offline, with recorded answers of its model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from phaseline.client import Client
from phaseline.v1 import execution_pb2
from phaseline.v1.workflow_pb2 import PhaseSpec, RetryPolicy, Workflow
from phaseline.worker.handlers.agent import AgentHandler
from phaseline.worker.registry import Registry
from tests.support.agent import recorded_streams
from tests.support.whole import settings_in
from tests.support.working import working

_PACKAGE = "@google/gemini-cli@0.61.0"
_INSTALL_SECONDS = 240
_FOLDER = recorded_streams()

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.skipif(_FOLDER is None, reason="the recorded answers are not on this machine"),
    pytest.mark.skipif(
        shutil.which("npm") is None or shutil.which("node") is None, reason="there is no npm"
    ),
]


@pytest.fixture(scope="module")
def gemini() -> list[str]:
    """The command line that starts the agent, without a network where the kernel can do that."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = cache / "phaseline-tests" / "gemini-cli-0.61.0"
    script = directory / "node_modules" / "@google" / "gemini-cli" / "bundle" / "gemini.js"
    if not script.is_file():
        _install(directory)
    offline = ["unshare", "-rn"]
    can = subprocess.run([*offline, "true"], capture_output=True, check=False).returncode == 0
    return [*(offline if can else []), str(shutil.which("node")), str(script)]


@pytest.fixture(autouse=True)
def no_blocking_call_in_the_loop() -> None:
    """Let settings be made in the loop: it is this test's own."""


def _install(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", _PACKAGE, "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        subprocess.run(
            [*command, "--prefix", str(directory)],
            check=True,
            capture_output=True,
            timeout=_INSTALL_SECONDS,
        )
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"{_PACKAGE} cannot be installed: {error}")


async def _runs(
    directory: Path, gemini: list[str], responses: str, settings: dict[str, Any] | None = None
) -> tuple[execution_pb2.Execution, list[execution_pb2.Operation]]:
    """Run the agent as the only phase of a workflow, with what its model is to answer."""
    assert _FOLDER is not None
    work, home = directory / "work", directory / "home"
    (work / ".gemini").mkdir(parents=True)
    home.mkdir()
    (work / "test.txt").write_text("Lorem\nIpsum\nDolor\n")
    (work / ".gemini" / "settings.json").write_text(json.dumps(settings or {}))
    phase = PhaseSpec(
        phase_id="read",
        handler="agent",
        prompt="Read the file test.txt and tell me what language it is.",
        model="gemini-2.5-pro",
        retry_policy=RetryPolicy(max_attempts=1),
    )
    phase.config.update(
        {
            "adapter": "gemini",
            "access": "read",
            "program": gemini,
            "args": ["--fake-responses", str(_FOLDER / "gemini" / "replay-inputs" / responses)],
            "cwd": str(work),
            "env": {
                "HOME": str(home),
                "CI": "1",
                "GEMINI_API_KEY": "dummy",
                "GEMINI_CLI_TRUST_WORKSPACE": "true",
            },
        }
    )
    registry = Registry()
    registry.add("agent", AgentHandler(work_root=directory / "own", directory=directory))
    async with working(settings_in(directory), registry) as client:
        return await _executed(client, Workflow(workflow_id="read", phases=[phase]))


async def _executed(
    client: Client, workflow: Workflow
) -> tuple[execution_pb2.Execution, list[execution_pb2.Operation]]:
    await client.apply_workflow(workflow)
    started = await client.execute(workflow.workflow_id)
    execution = await client.wait(started.execution_id)
    operations = [each async for each in client.iter_operations(started.execution_id)]
    return execution, operations


async def test_it_reads_a_file_and_answers(gemini: list[str], tmp_path: Path) -> None:
    execution, operations = await _runs(tmp_path, gemini, "policy-headless-readonly.responses")
    (phase,) = execution.phases

    assert execution.status == execution_pb2.EXECUTION_STATUS_COMPLETED, execution.failure
    assert execution.result.data.decode() == "The language of the file is Latin."
    assert [each.tool_name for each in operations if each.tool_name] == ["read_file"]
    assert all(each.success for each in operations)
    assert phase.session_id
    (usage,) = phase.usage_by_model
    assert usage.model == "gemini-2.5-pro"
    assert (usage.input_tokens, usage.cache_read_tokens) == (10022, 6082)
    assert usage.output_tokens == 72 + 97
    assert usage.cost_usd


async def test_its_limit_of_turns_fails_the_phase(gemini: list[str], tmp_path: Path) -> None:
    execution, operations = await _runs(
        tmp_path,
        gemini,
        "policy-headless-readonly.responses",
        {"model": {"maxSessionTurns": 1}},
    )
    assert execution.status == execution_pb2.EXECUTION_STATUS_FAILED
    assert execution.failure.code == "MAX_TURNS"
    assert execution.failure.details["exit_code"] == "53"
    assert execution.usage.total_tokens == 8114
    assert [each.tool_name for each in operations if each.tool_name] == ["read_file"]
