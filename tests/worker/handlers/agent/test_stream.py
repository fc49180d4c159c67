"""Whatever an agent prints, its run comes to a definite end."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseline.worker.handlers.agent.adapters import ADAPTERS
from phaseline.worker.handlers.agent.lines import LineReader
from phaseline.worker.handlers.agent.reader import Fault, Success
from phaseline.worker.handlers.agent.stream import Stream
from tests.support.agent import Seen, Watched, lines, read_whole

Events = list[dict[str, Any]]

CLAUDE: Events = [
    {"type": "system", "subtype": "init", "session_id": "s", "model": "claude-opus-4-7[1m]"},
    {"type": "assistant", "parent_tool_use_id": None, "message": {
        "id": "m1", "model": "claude-opus-4-7", "content": [
            {"type": "text", "text": "J\u2019écris \U0001f600"},
            {"type": "tool_use", "id": "t1", "name": "Task", "input": {"prompt": "go"}},
        ], "usage": {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 9}}},
    {"type": "assistant", "parent_tool_use_id": "t1", "message": {
        "id": "m2", "model": "claude-haiku-4-5", "content": [
            {"type": "tool_use", "id": "t2", "name": "Read", "input": {}}],
        "usage": {"input_tokens": 1, "output_tokens": 1}}},
    {"type": "user", "parent_tool_use_id": "t1", "message": {"content": [
        {"type": "tool_result", "tool_use_id": "t2", "content": "x", "is_error": True}]}},
    {"type": "user", "message": {"content": [
        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "y"}]}]},
     "tool_use_result": {"isAsync": False}},
    {"type": "stream_event", "event": {"type": "message_start", "message": {"id": "m1"}}},
    {"type": "system", "subtype": "task_updated", "task_id": "a", "patch": {"status": "killed"}},
    {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 1}},
    {"type": "result", "subtype": "success", "is_error": False, "result": "done \u00e9",
     "total_cost_usd": 0.1, "permission_denials": [{"tool_name": "Bash", "tool_use_id": "t3"}],
     "modelUsage": {"claude-opus-4-7[1m]": {"inputTokens": 3, "costUSD": 0.1}}},
]  # fmt: skip
CODEX: Events = [
    {"type": "thread.started", "thread_id": "t"},
    {"type": "turn.started"},
    {"type": "item.started", "item": {"id": "i1", "type": "command_execution", "command": "ls"}},
    {"type": "item.completed", "item": {"id": "i1", "type": "command_execution", "exit_code": 1,
                                        "aggregated_output": "no", "status": "failed"}},
    {"type": "item.completed", "item": {"id": "i2", "type": "agent_message", "text": "done é"}},
    {"type": "error", "message": "Reconnecting... 1/5"},
    {"type": "turn.completed", "usage": {"input_tokens": 9, "cached_input_tokens": 4,
                                         "output_tokens": 2}},
]  # fmt: skip
GEMINI: Events = [
    {"type": "init", "session_id": "s", "model": "auto"},
    {"type": "message", "role": "assistant", "content": "let me", "delta": True},
    {"type": "tool_use", "tool_id": "a", "tool_name": "read_file", "parameters": {"p": "q"}},
    {"type": "tool_result", "tool_id": "a", "status": "error", "error": {"message": "no"}},
    {"type": "message", "role": "assistant", "content": "done é", "delta": True},
    {"type": "result", "status": "success", "stats": {"models": {"m": {
        "total_tokens": 9, "input_tokens": 5, "output_tokens": 1, "cached": 2, "input": 3}}}},
]  # fmt: skip
JSONL: Events = [
    {"session_id": "s"},
    {"operation": {"operation_id": "1", "tool_name": "Bash"}},
    {"usage": {"model": "m", "input_tokens": 1}},
    {"progress": {"percent": 5, "message": "x"}},
    {"artifact": {"name": "a", "content": "b"}},
    {"message": "done é"},
    {"result": {"output": "done é"}},
]
SAMPLES: dict[str, Events] = {
    "claude": CLAUDE,
    "codex": CODEX,
    "gemini": GEMINI,
    "jsonl": JSONL,
}


@pytest.mark.parametrize("adapter", SAMPLES)
class TestCut:
    def test_a_stream_cut_at_every_byte_has_a_definite_end(self, adapter: str) -> None:
        data = lines(SAMPLES[adapter])
        for at in range(len(data) + 1):
            seen, verdict = read_whole(adapter, data[:at])
            assert isinstance(verdict, Success | Fault)
            # Only the end of the last line may be missing.
            assert isinstance(verdict, Success) == (at >= len(data) - 1)
            assert all(each.success is not None for each in seen.operations.values())

    def test_the_cut_line_is_shown(self, adapter: str) -> None:
        data = lines(SAMPLES[adapter])
        seen, _ = read_whole(adapter, data[:-10])
        (shown,) = [each for each in seen.of_type("custom") if "unread" in each.operation_id]
        assert shown.output is not None
        assert json.loads(shown.output.data or b"")["unreadable_lines"] == 1

    def test_it_does_not_matter_in_what_pieces_it_comes(self, adapter: str) -> None:
        data = lines(SAMPLES[adapter])
        whole, verdict = read_whole(adapter, data)
        for size in (1, 7, 100):
            watched = Watched(adapter)
            for at in range(0, len(data), size):
                watched.stream.feed(data[at : at + size])
            assert watched.ends(None) == verdict
            assert watched.seen.reports == whole.reports

    def test_a_cut_line_that_another_runs_into_loses_itself_only(self, adapter: str) -> None:
        *_, last = SAMPLES[adapter]
        cut = lines([last])[:-1] + lines([last])
        _, verdict = read_whole(adapter, b"Warning: half a line" + cut)
        assert isinstance(verdict, Success)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


def _mutated(value: Any, chance: random.Random, foreign: Any) -> Any:
    """Return *value* with some part of it replaced by something that nobody expects there."""
    if chance.random() < 0.15:
        return foreign
    if isinstance(value, dict):
        return {key: _mutated(each, chance, foreign) for key, each in value.items()}
    if isinstance(value, list):
        return [_mutated(each, chance, foreign) for each in value]
    return value


@given(st.sampled_from(sorted(SAMPLES)), st.randoms(use_true_random=False), _json)
def test_no_value_in_any_place_is_too_much(
    adapter: str, chance: random.Random, foreign: Any
) -> None:
    events = [_mutated(event, chance, foreign) for event in SAMPLES[adapter]]
    watched = Watched(adapter)
    watched.stream.feed(b"".join(json.dumps(event).encode() + b"\n" for event in events))
    verdict = watched.ends(None)

    assert isinstance(verdict, Success | Fault)
    assert watched.stream.defects == 0


@given(st.sampled_from(sorted(SAMPLES)), st.binary(max_size=300))
def test_no_bytes_are_too_much(adapter: str, data: bytes) -> None:
    _, verdict = read_whole(adapter, data)
    assert isinstance(verdict, Success | Fault)


class TestLines:
    def test_a_long_line_keeps_its_envelope(self) -> None:
        watched = Watched("claude")
        content = "x" * 10_000_000
        seen = watched.says(
            {"type": "assistant", "message": {"id": "m", "content": [
                {"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]}},
            {"type": "user", "message": {"content": [
                {"type": "tool_result", "content": content, "tool_use_id": "t"}]}},
        )  # fmt: skip
        operation = seen.operations["t"]
        assert operation.success is True
        assert operation.output is not None
        assert operation.output.text().startswith("xxx")

    def test_a_long_result_is_kept_as_far_as_an_output_goes(self) -> None:
        watched = Watched("claude")
        watched.says({**CLAUDE[-1], "result": "x" * 8_000_000})
        output = watched.succeeds()
        assert isinstance(output, str)
        assert len(output) > 1024 * 1024
        assert watched.seen.models

    def test_a_long_line_that_is_no_json_is_counted(self) -> None:
        watched = Watched("claude")
        watched.stream.feed(b"warning " * 1_000_000 + b"\n" + lines(CLAUDE))
        assert isinstance(watched.ends(), Success)
        assert watched.stream.unreadable_lines == 1

    def test_unreadable_lines_are_one_operation_that_shows_the_first(self) -> None:
        watched = Watched("claude")
        watched.stream.feed(b"".join(b"warning %d\n" % number for number in range(20)))
        (shown,) = watched.seen.operations.values()
        assert shown.output is not None
        told = json.loads(shown.output.data or b"")
        assert told["unreadable_lines"] == 20
        assert told["first"][0] == "warning 0"
        assert len(told["first"]) == 5

    def test_blank_lines_are_nothing(self) -> None:
        watched = Watched("claude")
        watched.stream.feed(b"\n\r\n   \n")
        assert watched.stream.unreadable_lines == 0

    def test_unknown_events_beyond_a_thousand_are_counted_only(self) -> None:
        watched = Watched("claude")
        watched.says(*({"type": "new"} for _ in range(1100)))
        assert len(watched.seen.of_type("custom")) == 1000
        assert watched.stream.journal.unknown_events == 1100

    def test_all_events_may_come_in_one_list(self) -> None:
        _, verdict = read_whole("claude", json.dumps(CLAUDE).encode())
        assert verdict == Success("done é")

    def test_a_defect_in_reading_ends_no_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = Seen()
        stream = Stream(ADAPTERS["claude"], seen, lambda _: None)

        def broken(event: object) -> bool:
            raise KeyError("a defect of ours")

        monkeypatch.setattr(stream._reader, "read", broken)
        stream.feed(lines(CLAUDE[:1]))
        assert stream.defects == 1
        assert len(seen.of_type("custom")) == 1


class TestLineReader:
    def test_lines_come_as_they_end(self) -> None:
        reader = LineReader()
        assert [each.data for each in reader.feed(b"a\nb")] == [b"a"]
        assert [each.data for each in reader.feed(b"c\n\nd")] == [b"bc", b""]
        assert [each.data for each in reader.end()] == [b"d"]
        assert not list(reader.end())

    def test_a_long_line_is_kept_within_its_bounds(self) -> None:
        reader = LineReader(whole_bytes=1000, text_bytes=300)
        (line,) = _lines(reader, b'{"a": "' + b"x" * 100_000 + b'", "b": 1}\n')
        assert line.size == 100_017
        assert len(line.data) < 1000
        assert json.loads(line.data)["b"] == 1
        assert not line.is_broken

    def test_the_line_after_a_long_one_is_whole(self) -> None:
        reader = LineReader(whole_bytes=10, text_bytes=5)
        first, second = _lines(reader, b"x" * 500 + b"\n" + b'{"a":1}\n')
        assert first.is_broken
        assert (second.data, second.is_broken) == (b'{"a":1}', False)


def _lines(reader: LineReader, data: bytes) -> Iterator[Any]:
    for at in range(0, len(data), 7):
        yield from reader.feed(data[at : at + 7])
