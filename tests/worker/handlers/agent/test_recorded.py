"""Streams that real agents have printed are read as what they are known to say."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from phaseline.worker.handlers.agent.adapters import recognised
from phaseline.worker.handlers.agent.events import read_line
from phaseline.worker.handlers.agent.reader import Fault, Success, Verdict
from phaseline.worker.handlers.agent.tokens import nanos_of
from tests.support.agent import Seen, needs_recorded_streams, read_whole, recorded_streams

pytestmark = needs_recorded_streams

Facts = dict[str, Any]

_FOLDER = recorded_streams() or Path("nowhere")
_FACTS: dict[str, Facts] = (
    json.loads((_FOLDER / "facts.json").read_text()) if recorded_streams() else {}
)


def names(adapter: str) -> list[str]:
    return sorted(name for name in _FACTS if name.startswith(f"{adapter}/"))


def read(name: str) -> tuple[Seen, Verdict]:
    return read_whole(name.partition("/")[0], (_FOLDER / name).read_bytes())


@pytest.mark.parametrize("name", names("claude"))
class TestClaude:
    def test_tokens_and_cost_of_each_model(self, name: str) -> None:
        seen, _ = read(name)
        last = _FACTS[name]["results"][-1]

        assert {each.model: _counts(each) for each in seen.models} == {
            model: (used["input"], used["output"], used["cache_creation"], used["cache_read"])
            for model, used in last["model_usage"].items()
        }
        assert {each.model: each.cost_nanos for each in seen.models} == {
            model: nanos_of(used["cost"]) for model, used in last["model_usage"].items()
        }

    def test_the_whole_cost(self, name: str) -> None:
        seen, _ = read(name)
        cost = sum(each.cost_nanos or 0 for each in seen.models)
        assert cost == nanos_of(_FACTS[name]["final"]["total_cost_usd"])

    def test_calls_of_tools(self, name: str) -> None:
        facts = _FACTS[name]
        seen, _ = read(name)

        assert seen.tool_names == facts["tool_calls_by_name"]
        assert sum(each.success is False for each in seen.tools) == facts["tool_errors"]
        assert all(each.success is not None for each in seen.tools)
        assert all(each.tool_use_id == each.operation_id for each in seen.tools)

    def test_sub_agents_and_what_they_did(self, name: str) -> None:
        facts = _FACTS[name]
        seen, _ = read(name)
        agents = {each.operation_id for each in seen.of_type("subagent")}

        assert len(agents) == facts["subagents"]
        inside = [each for each in seen.tools if each.parent_operation_id]
        assert len(inside) == facts["tool_calls_in_subagents"]
        assert {each.parent_operation_id for each in inside} <= agents

    def test_model_calls(self, name: str) -> None:
        facts = _FACTS[name]
        seen, _ = read(name)
        calls = seen.of_type("model")
        synthetic = facts["message_models"].get("<synthetic>", 0)

        assert len(calls) == facts["distinct_messages"] - synthetic
        inside = [each for each in calls if each.parent_operation_id]
        assert len(inside) == facts["distinct_messages_subagent"]

    def test_denied_permissions(self, name: str) -> None:
        seen, _ = read(name)
        denials = [
            each for result in _FACTS[name]["results"] for each in result["permission_denials"]
        ]
        assert len(seen.of_type("permission")) == len(denials)

    def test_how_it_ended(self, name: str) -> None:
        final = _FACTS[name]["final"]
        _, verdict = read(name)

        assert isinstance(verdict, Fault) == final["is_error"]
        if isinstance(verdict, Success):
            assert verdict.output == final["text"]

    def test_session(self, name: str) -> None:
        assert read(name)[0].session_id == _FACTS[name]["session_ids"][0]

    def test_lines_that_are_no_json_are_shown(self, name: str) -> None:
        seen, _ = read(name)
        shown = [each for each in seen.of_type("custom") if each.operation_id == "unreadable-lines"]
        assert len(shown) == min(1, len(_FACTS[name]["non_json_lines"]))
        assert len(seen.of_type("custom")) == len(shown)


@pytest.mark.parametrize("name", names("codex"))
class TestCodex:
    def test_tokens(self, name: str) -> None:
        seen, _ = read(name)
        turns = _FACTS[name]["turn_usage"]
        cached = sum(each["cached_input_tokens"] for each in turns)
        whole = sum(each["input_tokens"] for each in turns)
        output = sum(each["output_tokens"] for each in turns)
        written = sum(each.get("cache_write_input_tokens", 0) for each in turns)

        assert seen.tokens() == (whole - cached - written, output, written, cached)
        assert all(each.cost_nanos is None for each in seen.models)

    def test_items(self, name: str) -> None:
        facts = _FACTS[name]
        seen, _ = read(name)
        items: Counter[str] = Counter(facts["items_by_type"])

        assert len(seen.tools) == facts["tool_like_items"]
        assert all(items[tool] == count for tool, count in seen.tool_names.items())
        assert len(seen.of_type("message")) == items["agent_message"]
        assert len(seen.of_type("reasoning")) == items["reasoning"]
        assert len(seen.of_type("error")) == items["error"] + len(facts["error_events"])
        assert not seen.of_type("custom")

    def test_failed_items(self, name: str) -> None:
        statuses = _FACTS[name]["status_by_type"]
        failed = sum(count for status, count in statuses.items() if status.endswith(":failed"))
        assert sum(each.success is False for each in read(name)[0].tools) == failed

    def test_how_it_ended(self, name: str) -> None:
        final = _FACTS[name]["final"]
        _, verdict = read(name)

        if final["status"] == "completed":
            assert verdict == Success(final["text"])
        else:
            assert isinstance(verdict, Fault)

    def test_session(self, name: str) -> None:
        assert read(name)[0].session_id == _FACTS[name]["thread_id"]


@pytest.mark.parametrize("name", names("gemini"))
class TestGemini:
    def test_tokens(self, name: str) -> None:
        facts = _FACTS[name]
        stats = facts["stats"]
        seen, _ = read(name)
        cached = stats.get("cached", 0)
        thought = facts["total_minus_input_minus_output"]

        assert seen.tokens() == (
            stats["input_tokens"] - cached,
            stats["output_tokens"] + thought,
            0,
            cached,
        )
        assert sum(seen.tokens()) == stats["total_tokens"]
        assert [each.model for each in seen.models] == [facts["init_model"]]

    def test_calls_of_tools(self, name: str) -> None:
        facts = _FACTS[name]
        seen, _ = read(name)

        assert seen.tool_names == facts["tool_calls_by_name"]
        assert sum(each.success is False for each in seen.tools) == facts["tool_errors"]
        assert not seen.of_type("custom")

    def test_how_it_ended(self, name: str) -> None:
        final = _FACTS[name]["final"]
        _, verdict = read(name)

        if final["status"] == "success":
            assert verdict == Success(final["text_after_last_tool"])
        else:
            assert isinstance(verdict, Fault)
            assert verdict.message == final["error"]["message"]

    def test_session(self, name: str) -> None:
        assert read(name)[0].session_id == _FACTS[name]["session_id"]


@pytest.mark.parametrize("name", sorted(_FACTS))
def test_the_agent_is_recognised(name: str) -> None:
    found = (
        recognised(event)
        for line in (_FOLDER / name).read_bytes().splitlines()
        for event in read_line(line).events
    )
    adapter = next(each for each in found if each is not None)
    assert adapter.name == name.partition("/")[0]


def _counts(usage: Any) -> tuple[int, int, int, int]:
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_creation_tokens,
        usage.cache_read_tokens,
    )
