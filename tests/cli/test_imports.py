"""`phaseline import` records what an agent did elsewhere, once."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from phaseline.domain.errors import AlreadyExists, PermissionDenied
from phaseline.v1.execution_pb2 import (
    EXECUTION_STATUS_COMPLETED,
    EXECUTION_STATUS_FAILED,
    FAILURE_KIND_WORKER_LOST,
    Execution,
)
from phaseline.v1.execution_service_pb2 import GetResponse, RetryResponse, WaitResponse
from phaseline.v1.worker_service_pb2 import LeasePhasesResponse
from phaseline.v1.workflow_pb2 import PhaseSpec, Workflow
from phaseline.v1.workflow_service_pb2 import GetWorkflowResponse
from tests.cli.conftest import Program
from tests.support.agent import lines
from tests.support.fake_service import FakeService
from tests.support.program import ServerProgram

CODEX: list[dict[str, Any]] = [
    {"type": "thread.started", "thread_id": "thread-1"},
    {"type": "turn.started"},
    {"type": "item.completed", "item": {"id": "item_0", "type": "command_execution",
                                        "command": "ls", "exit_code": 0}},
    {"type": "item.completed", "item": {"id": "item_1", "type": "agent_message", "text": "done"}},
    {"type": "turn.completed", "usage": {"input_tokens": 1000, "output_tokens": 10}},
]  # fmt: skip
FAILED: list[dict[str, Any]] = [
    {"type": "system", "subtype": "init", "session_id": "s"},
    {"type": "result", "subtype": "error_max_turns", "is_error": True, "errors": ["too many"],
     "modelUsage": {"claude-opus-4-7": {"inputTokens": 7, "costUSD": 0.25}}},
]  # fmt: skip


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server: what is imported is read back from it."""
    database = tmp_path_factory.mktemp("server") / "phaseline.db"
    with ServerProgram(database) as server:
        server.channel().close()
        yield server.address


@pytest.fixture(autouse=True)
def _server(monkeypatch: pytest.MonkeyPatch, address: str) -> Iterator[None]:
    monkeypatch.setenv("PHASELINE_SERVER", address)
    monkeypatch.setattr("phaseline.telemetry.set_up_logging", lambda *_: None)
    with capture_logs():
        yield


def written(path: Path, events: list[dict[str, Any]]) -> str:
    path.write_bytes(lines(events))
    return str(path)


def imported(program: Program, *arguments: str) -> dict[str, Any]:
    ended = program("import", *arguments, "-o", "json")
    assert ended.code == 0, ended.err
    execution: dict[str, Any] = json.loads(ended.out)
    return execution


def test_a_run_becomes_an_execution_that_has_ended(program: Program, tmp_path: Path) -> None:
    stream = written(tmp_path / "run.jsonl", CODEX)
    execution = imported(program, stream, "--model", "gpt-5-codex", "--label", "team=a")
    (phase,) = execution["phases"]

    assert execution["workflow_id"] == "imported-codex"
    assert execution["status"] == "EXECUTION_STATUS_COMPLETED"
    assert execution["labels"] == {"agent": "codex", "imported": "run.jsonl", "team": "a"}
    assert execution["usage"]["input_tokens"] == "1000"
    assert execution["usage"]["tool_call_count"] == "1"
    assert execution["usage"]["cost_complete"] is True
    assert execution["is_agentic"] is True
    assert phase["model"] == "gpt-5-codex"
    assert phase["session_id"] == "thread-1"
    assert [each["tool_name"] for each in phase["operations"]] == ["command_execution", ""]


def test_the_same_run_is_imported_once(program: Program, tmp_path: Path) -> None:
    stream = written(tmp_path / "once.jsonl", CODEX)
    first = imported(program, stream)
    second = program("import", stream)

    assert first["execution_id"] in second.out
    assert "it was imported before" in second.err
    assert imported(program, stream, "--model", "other")["execution_id"] != first["execution_id"]


def test_another_name_or_label_makes_no_other_run_of_it(program: Program, tmp_path: Path) -> None:
    first = imported(program, written(tmp_path / "a.jsonl", [*CODEX, {"copied": 1}]))
    copy = written(tmp_path / "b.jsonl", [*CODEX, {"copied": 1}])
    assert imported(program, copy, "--label", "x=y") == first


def test_an_interrupted_import_is_taken_up_where_it_was(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupt(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        await asyncio.Event().wait()

    stream = written(tmp_path / "cut-off.jsonl", CODEX)
    with monkeypatch.context() as patch:
        # Once all of its operations are told.
        patch.setattr("phaseline.worker.handlers.agent.recording._until_reported", interrupt)
        ended = program("import", stream, "--workflow", "cut-off")
    assert ended.code == 130
    assert "run it again to go on" in ended.err

    listed = json.loads(program("list", "--workflow", "cut-off", "-o", "json").out)
    (before,) = listed["executions"]
    assert before["status"] == "EXECUTION_STATUS_RUNNING"
    assert before["usage"]["tool_call_count"] == "1"
    # At once: its lease was given back.
    ended = program("import", stream, "--workflow", "cut-off")
    assert "✔ completed" in ended.out
    assert "imported before" not in ended.err

    execution = imported(program, stream, "--workflow", "cut-off")
    (phase,) = execution["phases"]
    assert execution["execution_id"] == before["execution_id"]
    assert execution["usage"]["input_tokens"] == "1000"
    assert execution["usage"]["tool_call_count"] == "1"
    assert [each["tool_name"] for each in phase["operations"]] == ["command_execution", ""]


def test_an_import_that_was_lost_with_its_worker_is_not_done(
    program: Program, tmp_path: Path, service: FakeService
) -> None:
    workflow = Workflow(workflow_id="w", phases=[PhaseSpec(phase_id="agent", handler="import")])
    lost = Execution(execution_id="e", status=EXECUTION_STATUS_FAILED)
    lost.completed_at.GetCurrentTime()
    done = Execution()
    done.CopyFrom(lost)
    done.status = EXECUTION_STATUS_COMPLETED
    lost.failure.kind = FAILURE_KIND_WORKER_LOST
    service.answer("GetWorkflow", GetWorkflowResponse(workflow=workflow))
    service.answer("Execute", AlreadyExists("execution", "e"))
    service.answer("Get", GetResponse(execution=lost), GetResponse(execution=done))
    service.answer("Retry", RetryResponse(execution=lost))
    service.answer("LeasePhases", LeasePhasesResponse())
    service.answer("Wait", WaitResponse(execution=done, satisfied=True))

    ended = program("import", written(tmp_path / "run.jsonl", CODEX))
    assert ended.code == 0, ended.err
    assert "✔ completed" in ended.out
    assert "imported before" not in ended.err
    assert len(service.requests("Retry")) == 1


def test_a_failed_run_is_a_failed_execution_with_its_cost(program: Program, tmp_path: Path) -> None:
    execution = imported(program, written(tmp_path / "failed.jsonl", FAILED))
    assert execution["status"] == "EXECUTION_STATUS_FAILED"
    assert execution["failure"]["code"] == "MAX_TURNS"
    assert execution["usage"]["cost_usd"] == "0.25"
    assert execution["retry_count"] == 0


def test_a_failed_run_that_is_retried_counts_once(program: Program, tmp_path: Path) -> None:
    stream = written(tmp_path / "failed.jsonl", [*FAILED, {"and": "retried"}])
    first = imported(program, stream)
    assert program("retry", first["execution_id"]).code == 0
    second = imported(program, stream)
    assert second["failure"]["code"] == "MAX_TURNS"
    assert second["usage"] == first["usage"]
    assert second["phases"][0]["operations"] == first["phases"][0]["operations"]


def test_several_runs_at_once(program: Program, tmp_path: Path) -> None:
    streams = [written(tmp_path / f"{n}.jsonl", [*CODEX, {"new": n}]) for n in range(2)]
    ended = program("import", *streams)
    assert ended.code == 0
    assert len(ended.out.splitlines()) == 2
    assert "codex  ✔ completed" in ended.out


def test_several_runs_as_json_are_one_list(program: Program, tmp_path: Path) -> None:
    streams = [written(tmp_path / f"j{n}.jsonl", [*CODEX, {"json": n}]) for n in range(2)]
    found = json.loads(program("import", *streams, "-o", "json").out)
    assert [each["labels"]["imported"] for each in found] == ["j0.jsonl", "j1.jsonl"]


def test_what_was_recorded_before_a_failure_is_told(program: Program, tmp_path: Path) -> None:
    stream = written(tmp_path / "good.jsonl", [*CODEX, {"good": 1}])
    ended = program("import", stream, str(tmp_path / "missing.jsonl"), "-o", "json")
    assert ended.code != 0
    assert len(json.loads(ended.out)) == 1


def test_standard_input_may_be_a_stream(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    given = io.TextIOWrapper(io.BytesIO(lines([*CODEX, {"from": "stdin"}])))
    monkeypatch.setattr(sys, "stdin", given)
    assert imported(program, "-")["labels"]["imported"] == "-"


def test_a_workflow_may_be_named(program: Program, tmp_path: Path) -> None:
    stream = written(tmp_path / "named.jsonl", CODEX)
    assert imported(program, stream, "--workflow", "my-runs")["workflow_id"] == "my-runs"


def test_a_workflow_that_runs_something_is_not_for_imports(
    program: Program, tmp_path: Path
) -> None:
    program("apply", "--example", "repo-survey")
    stream = written(tmp_path / "run.jsonl", CODEX)
    ended = program("import", stream, "--workflow", "repo-survey")
    assert ended.code == 2
    assert "'repo-survey' runs something" in ended.err


def test_a_stream_of_nobody_is_refused(program: Program, tmp_path: Path) -> None:
    stream = written(tmp_path / "unknown.jsonl", [{"what": "is this"}])
    ended = program("import", stream)
    assert ended.code == 2
    assert "tells which agent has printed it" in ended.err

    assert imported(program, stream, "--adapter", "claude")["failure"]["code"] == (
        "INCOMPLETE_STREAM"
    )


def test_an_adapter_that_is_not_there_is_refused(program: Program, tmp_path: Path) -> None:
    ended = program("import", written(tmp_path / "x.jsonl", CODEX), "--adapter", "clyde")
    assert ended.code == 2
    assert "claude, codex, gemini, jsonl" in ended.err


def test_a_file_that_is_not_there_is_told(program: Program) -> None:
    ended = program("import", "nowhere.jsonl")
    assert ended.code == 7
    assert "nowhere.jsonl: no such file" in ended.err


def test_what_the_server_refuses_is_told(
    program: Program, tmp_path: Path, service: FakeService
) -> None:
    service.answer("GetWorkflow", PermissionDenied("not yours"))
    ended = program("import", written(tmp_path / "run.jsonl", CODEX))
    assert ended.code == 6
