"""A run that was recorded is told again as it was."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from phaseline.domain.payload import text_payload
from phaseline.worker.context import Context
from phaseline.worker.failures import HandlerError
from phaseline.worker.handlers.agent.adapters import ADAPTERS
from phaseline.worker.handlers.agent.recording import Recording, Times, adapter_of, first_moment
from phaseline.worker.outbox import Outbox
from tests.support.agent import lines
from tests.support.clock import ManualClock
from tests.support.source import assignment

START = datetime(2026, 1, 1, tzinfo=UTC)
RUN: list[dict[str, Any]] = [
    {"type": "init", "session_id": "s", "model": "gemini-2.5-pro"},
    {"type": "tool_use", "tool_id": "a", "tool_name": "read", "timestamp": "2026-01-01T00:00:00Z"},
    {"type": "tool_result", "tool_id": "a", "timestamp": "2026-01-01T00:00:02Z"},
    {"type": "message", "role": "assistant", "content": "done"},
    {"type": "result", "status": "success"},
]


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(lambda: None)


@pytest.fixture
def context(outbox: Outbox) -> Context:
    return Context(assignment(), outbox, ManualClock())


def test_what_has_no_time_takes_place_at_the_last_that_is_known() -> None:
    times = Times()
    assert times({}) is None
    assert times({"timestamp": "2026-01-01T00:00:00Z"}) == START
    assert times({}) == START
    assert times({"timestamp": "yesterday"}) == START


async def test_operations_have_the_times_of_the_recording(
    context: Context, outbox: Outbox, tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(lines(RUN))

    assert await Recording(path, ADAPTERS["gemini"])(context) == text_payload("done")
    call, *_ = outbox.take().operations
    assert call.timestamp == START
    assert call.completed_at == START + timedelta(seconds=2)


async def test_no_operation_ends_before_it_begins(
    context: Context, outbox: Outbox, tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    earlier = {**RUN[2], "tool_id": "b", "timestamp": "2025-12-31T00:00:00Z"}
    path.write_bytes(lines([{**RUN[1], "tool_id": "b", "timestamp": None}, *RUN[:3], earlier]))

    with pytest.raises(HandlerError):
        await Recording(path, ADAPTERS["gemini"])(context)
    without_time, *_ = outbox.take().operations
    assert (without_time.timestamp, without_time.completed_at) == (START, START)


@pytest.mark.parametrize("data", [b"", lines(RUN[:1]), b'{"timestamp": "yesterday"}'])
def test_a_stream_may_have_no_time(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(data)
    assert first_moment(path) is None


async def test_what_is_known_is_not_told_again(
    context: Context, outbox: Outbox, tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    again = [{**event, "tool_id": "b"} for event in RUN[1:3]]
    path.write_bytes(lines([*RUN[:3], *again, *RUN[3:]]))
    known = {"a": (True, ""), "b": (False, "it had not ended when its attempt was given back")}

    await Recording(path, ADAPTERS["gemini"], known=known)(context)
    told = [each for each in outbox.take().operations if each.tool_name]
    assert [(each.operation_id, each.success) for each in told] == [("b", True)]


async def test_a_run_that_was_cut_off_is_a_failure(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(lines(RUN[:-1]))

    with pytest.raises(HandlerError) as caught:
        await Recording(path, ADAPTERS["gemini"])(context)
    assert caught.value.code == "INCOMPLETE_STREAM"
    assert caught.value.retryable is False


@pytest.mark.parametrize(
    ("data", "adapter"),
    [
        (lines(RUN), "gemini"),
        (b"Warning: noise\n" + lines(RUN), "gemini"),
        (lines([{"header": 1}, {"type": "thread.started"}]), "codex"),
        (lines([{"type": "result", "subtype": "success", "is_error": False}])[:-1], "claude"),
        (lines([{"progress": {"percent": 1}}]), "jsonl"),
        (lines([{"result": {}, "id": 1, "jsonrpc": "2.0"}]), None),
        (lines({"number": number} for number in range(20_000)) + lines(RUN), None),
        (b"", None),
    ],
)
def test_the_agent_is_recognised_by_what_it_prints(
    tmp_path: Path, data: bytes, adapter: str | None
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(data)
    found = adapter_of(path)
    assert (found and found.name) == adapter
