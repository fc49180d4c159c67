"""Each trap in the stream of Codex, in a stream of our own making."""

import json

import pytest

from phaseline.domain.usage import ModelUsage
from phaseline.worker.handlers.agent.tokens import UNKNOWN_MODEL
from tests.support.agent import Watched

Json = dict[str, object]

THREAD: Json = {"type": "thread.started", "thread_id": "thread-1"}
TURN: Json = {"type": "turn.started"}


def item(what: str, item_id: str, type: str, **fields: object) -> Json:
    return {"type": f"item.{what}", "item": {"id": item_id, "type": type, **fields}}


def completed(*tokens: int) -> Json:
    names = ("input_tokens", "cached_input_tokens", "output_tokens", "cache_write_input_tokens")
    return {"type": "turn.completed", "usage": dict(zip(names, tokens, strict=False))}


def failed(message: str) -> Json:
    return {"type": "turn.failed", "error": {"message": message}}


@pytest.fixture
def run() -> Watched:
    return Watched("codex", model="gpt-5-codex")


class TestUsage:
    def test_cached_tokens_are_not_counted_as_input_too(self, run: Watched) -> None:
        seen = run.says(TURN, completed(1000, 600, 50, 100))
        assert seen.models == (ModelUsage("gpt-5-codex", 300, 50, 100, 600),)

    def test_without_a_model_nobody_guesses_one(self) -> None:
        seen = Watched("codex").says(TURN, completed(1, 0, 1))
        assert [each.model for each in seen.models] == [UNKNOWN_MODEL]
        assert [each.cost_nanos for each in seen.models] == [None]

    def test_turns_tell_the_running_total_of_their_thread(self, run: Watched) -> None:
        seen = run.says(TURN, completed(100, 0, 10), TURN, completed(250, 50, 30))
        assert seen.tokens() == (200, 30, 0, 50)

    def test_counts_that_go_back_are_of_another_thread(self, run: Watched) -> None:
        seen = run.says(TURN, completed(100, 0, 10), THREAD, TURN, completed(60, 0, 5))
        assert seen.tokens() == (160, 15, 0, 0)

    def test_a_session_taken_up_again_counts_only_what_is_new(self) -> None:
        run = Watched("codex", model="m", before=[ModelUsage("m", 120, 24)])
        seen = run.says(THREAD, TURN, completed(240, 0, 48))

        assert seen.tokens() == (120, 24, 0, 0)
        assert run.stream.session_usage == (ModelUsage("m", 240, 48),)

    def test_a_failed_turn_without_usage_tells_none(self, run: Watched) -> None:
        assert run.says(TURN, failed("no")).models == ()


class TestItems:
    def test_a_command_begins_and_ends_in_place(self, run: Watched) -> None:
        seen = run.says(
            item("started", "item_1", "command_execution", command="ls", exit_code=None),
            item(
                "completed", "item_1", "command_execution", command="ls",
                aggregated_output="a.py\n", exit_code=0, status="completed",
            ),
        )  # fmt: skip
        begun, ended = seen.reports
        assert (begun.tool_name, begun.tool_use_id) == ("command_execution", "item_1")
        assert begun.success is None
        assert ended.success is True
        assert ended.output is not None
        assert ended.output.text() == "a.py\n"

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"exit_code": 2, "status": "failed"}, "exit code 2"),
            ({"exit_code": 1}, "exit code 1"),
            ({"status": "failed"}, "failed"),
            ({"status": "failed", "error": {"message": "no such tool"}}, "no such tool"),
        ],
    )
    def test_a_failed_call_does_not_fail_the_turn(
        self, run: Watched, fields: Json, error: str
    ) -> None:
        run.says(
            TURN,
            item("completed", "item_1", "command_execution", **fields),
            item("completed", "item_2", "agent_message", text="done all the same"),
            completed(1, 0, 1),
        )
        assert run.succeeds() == "done all the same"
        assert run.seen.operations["item_1"].error_message == error

    def test_calls_overlap(self, run: Watched) -> None:
        seen = run.says(
            item("started", "item_1", "command_execution"),
            item("started", "item_2", "command_execution"),
            item("completed", "item_2", "command_execution", exit_code=0),
        )
        assert [each.success for each in seen.tools] == [None, True]

    def test_a_call_that_is_only_completed_is_one_call(self, run: Watched) -> None:
        seen = run.says(item("completed", "item_1", "file_change", changes=[{"path": "a"}]))
        assert seen.tool_names == {"file_change": 1}

    def test_a_declined_call_is_a_denied_permission(self, run: Watched) -> None:
        seen = run.says(item("completed", "item_1", "command_execution", status="declined"))
        (denied,) = seen.of_type("permission")
        assert denied.parent_operation_id == "item_1"

    def test_a_tool_of_a_server_has_its_name(self, run: Watched) -> None:
        seen = run.says(item("completed", "item_1", "mcp_tool_call", server="calc", tool="add"))
        assert seen.tool_names == {"mcp__calc__add": 1}

    def test_an_agent_that_is_spawned_is_a_sub_agent(self, run: Watched) -> None:
        seen = run.says(item("started", "item_1", "collab_tool_call", tool="spawn_agent"))
        (agent,) = seen.of_type("subagent")
        assert agent.tool_name == "spawn_agent"

    def test_a_plan_is_updated_in_place(self, run: Watched) -> None:
        seen = run.says(
            item("started", "item_1", "todo_list", items=[{"text": "a", "completed": False}]),
            item("updated", "item_1", "todo_list", items=[{"text": "a", "completed": True}]),
        )
        (plan,) = seen.of_type("plan")
        assert plan.output is not None
        assert b"true" in (plan.output.data or b"")

    def test_the_tag_of_old_releases_is_known(self, run: Watched) -> None:
        run.says(
            TURN,
            {"type": "item.completed", "item": {"id": "1", "item_type": "assistant_message",
                                                "text": "hello"}},
            completed(1, 0, 1),
        )  # fmt: skip
        assert run.succeeds() == "hello"

    def test_items_of_another_thread_are_other_items(self, run: Watched) -> None:
        one = item("completed", "item_0", "command_execution", exit_code=0)
        seen = run.says(THREAD, one, {**THREAD, "thread_id": "thread-2"}, one)
        assert len(seen.tools) == 2

    def test_an_unknown_item_is_kept(self, run: Watched) -> None:
        seen = run.says(item("completed", "item_1", "hologram"))
        assert len(seen.of_type("custom")) == 1


class TestEnd:
    def test_an_error_item_is_a_warning(self, run: Watched) -> None:
        run.says(
            item("completed", "item_0", "error", message="no metadata"),
            TURN,
            item("completed", "item_1", "agent_message", text="fine"),
            completed(1, 0, 1),
        )
        assert run.succeeds() == "fine"
        assert len(run.seen.of_type("error")) == 1

    def test_an_error_event_may_be_a_notice(self, run: Watched) -> None:
        run.says(TURN, {"type": "error", "message": "Reconnecting... 2/5"}, completed(1, 0, 1))
        assert run.succeeds() == ""

    def test_an_error_event_without_an_end_of_the_turn_is_fatal(self, run: Watched) -> None:
        run.says(TURN, {"type": "error", "message": "stream disconnected"})
        assert run.fails(1).message == "stream disconnected"

    @pytest.mark.parametrize(
        ("said", "message", "code", "retryable"),
        [
            (json.dumps({"detail": "no such model"}), "no such model", "AGENT_ERROR", None),
            (
                json.dumps({"error": {"type": "invalid_request_error", "message": "bad"}}),
                "bad",
                "AGENT_API_ERROR",
                False,
            ),
            ("unexpected status 401 Unauthorized: x", None, "AGENT_NOT_AUTHORIZED", False),
            ("exceeded retry limit, last status: 429 Too Many", None, "AGENT_API_ERROR", None),
            ("something else", None, "AGENT_ERROR", None),
            ("{cut", None, "AGENT_ERROR", None),
        ],
    )
    def test_a_failed_turn_says_why(
        self, run: Watched, said: str, message: str | None, code: str, retryable: bool | None
    ) -> None:
        run.says(THREAD, TURN, failed(said))
        fault = run.fails(1)
        assert (fault.message, fault.code) == (message or said, code)
        assert fault.retryable is retryable

    def test_a_turn_after_a_failed_one_decides(self, run: Watched) -> None:
        run.says(TURN, failed("no"), TURN, completed(1, 0, 1))
        assert run.succeeds() == ""

    def test_a_stream_that_is_cut_has_no_result(self, run: Watched) -> None:
        run.says(THREAD, TURN, item("started", "item_1", "command_execution"))
        assert run.fails(None).code == "INCOMPLETE_STREAM"
        assert run.seen.operations["item_1"].success is False

    def test_the_thread_is_the_session(self, run: Watched) -> None:
        assert run.says(THREAD).session_id == "thread-1"
