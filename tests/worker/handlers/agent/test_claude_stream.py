"""Each trap in the stream of Claude Code, in a stream of our own making."""

from datetime import UTC, datetime, timedelta

import pytest

from phaseline.domain.failure import FailureKind
from phaseline.domain.usage import ModelUsage
from phaseline.worker.handlers.agent.reader import Fault
from tests.support.agent import Watched

SESSION = "0f6c3c1e-0000-4000-8000-000000000001"
OPUS, HAIKU = "claude-opus-4-7", "claude-haiku-4-5-20251001"

Json = dict[str, object]


def init(model: str = OPUS, **fields: object) -> Json:
    return {"type": "system", "subtype": "init", "session_id": SESSION, "model": model, **fields}


def assistant(
    message_id: str,
    *blocks: Json,
    model: str = OPUS,
    usage: tuple[int, int, int, int] = (3, 2, 100, 1000),
    parent: str | None = None,
    **fields: object,
) -> Json:
    message = {
        "id": message_id,
        "model": model,
        "content": list(blocks),
        "usage": {
            "input_tokens": usage[0],
            "output_tokens": usage[1],
            "cache_creation_input_tokens": usage[2],
            "cache_read_input_tokens": usage[3],
        },
    }
    return {"type": "assistant", "message": message, "parent_tool_use_id": parent, **fields}


def said(text: str) -> Json:
    return {"type": "text", "text": text}


def call(tool_use_id: str, name: str = "Bash", **input: object) -> Json:
    return {"type": "tool_use", "id": tool_use_id, "name": name, "input": input}


def returned(
    tool_use_id: str, content: object = "ok", *, parent: str | None = None, **fields: object
) -> Json:
    block: Json = {"type": "tool_result", "tool_use_id": tool_use_id, "content": content}
    block |= {name: fields.pop(name) for name in ("is_error",) if name in fields}
    return {
        "type": "user",
        "message": {"role": "user", "content": [block]},
        "parent_tool_use_id": parent,
        **fields,
    }


def used(tokens: tuple[int, int, int, int] = (10, 20, 30, 40), cost: object = 0.5) -> Json:
    return {
        "inputTokens": tokens[0],
        "outputTokens": tokens[1],
        "cacheCreationInputTokens": tokens[2],
        "cacheReadInputTokens": tokens[3],
        "costUSD": cost,
    }


def result(models: Json | None = None, **fields: object) -> Json:
    # The type comes last, as newer releases have it.
    return {
        "is_error": False,
        "session_id": SESSION,
        "modelUsage": {OPUS: used()} if models is None else models,
        "result": "done",
        "subtype": "success",
        **fields,
        "type": "result",
    }


@pytest.fixture
def run() -> Watched:
    return Watched("claude")


class TestUsage:
    def test_a_model_call_counts_once_however_many_lines_it_has(self, run: Watched) -> None:
        seen = run.says(
            assistant("m1", {"type": "thinking", "thinking": "hm"}),
            assistant("m1", said("let me see")),
            assistant("m1", call("t1")),
            assistant("m1", call("t2")),
        )

        assert seen.tokens() == (3, 2, 100, 1000)
        (operation,) = seen.of_type("model")
        assert operation.operation_id == "m1"
        assert operation.output is not None
        assert operation.output.text() == "hm\n\nlet me see"
        assert operation.usage == ModelUsage(OPUS, 3, 2, 100, 1000)

    def test_the_result_replaces_what_the_messages_come_to(self, run: Watched) -> None:
        seen = run.says(
            init("claude-opus-4-7[1m]"),
            assistant("m1", said("a")),
            result({"claude-opus-4-7[1m]": used(cost=0.4), HAIKU: used((1, 1, 0, 0), 0.1)}),
        )

        assert seen.models == (
            ModelUsage("claude-opus-4-7[1m]", 10, 20, 30, 40, cost_nanos=400_000_000),
            ModelUsage(HAIKU, 1, 1, 0, 0, cost_nanos=100_000_000),
        )

    def test_a_model_has_the_name_that_it_was_asked_for_by(self, run: Watched) -> None:
        seen = run.says(init("claude-opus-4-7[1m]"), assistant("m1"))
        assert [each.model for each in seen.models] == ["claude-opus-4-7[1m]"]

    def test_results_tell_running_totals_and_the_last_one_counts(self, run: Watched) -> None:
        run.says(result({OPUS: used((1, 1, 1, 1), 0.1)}, result="first", total_cost_usd=0.1))
        seen = run.says(init(), result({OPUS: used((5, 5, 5, 5), 0.3)}, total_cost_usd=0.3))

        assert seen.tokens() == (5, 5, 5, 5)
        assert [each.cost_nanos for each in seen.models] == [300_000_000]
        assert run.succeeds() == "done"

    def test_what_comes_after_a_result_is_added_until_the_next(self, run: Watched) -> None:
        seen = run.says(assistant("m1"), result({OPUS: used((5, 5, 5, 5), 0.3)}), assistant("m2"))
        assert seen.models == (ModelUsage(OPUS, 8, 7, 105, 1005, cost_nanos=None),)

    def test_a_late_line_of_a_message_that_a_result_told_counts_no_more(self, run: Watched) -> None:
        seen = run.says(
            assistant("m1"), result({OPUS: used((5, 5, 5, 5), 0.3)}), assistant("m1", said("late"))
        )
        assert seen.tokens() == (5, 5, 5, 5)

    def test_a_stream_that_is_cut_has_what_its_messages_come_to(self, run: Watched) -> None:
        run.says(init(), assistant("m1"), assistant("m2", usage=(4, 1, 0, 50)))
        fault = run.fails(None)

        assert run.seen.tokens() == (7, 3, 100, 1050)
        assert [each.cost_nanos for each in run.seen.models] == [None]
        assert fault.code == "INCOMPLETE_STREAM"

    def test_true_output_comes_from_the_end_of_a_streamed_message(self, run: Watched) -> None:
        seen = run.says(
            {"type": "stream_event", "event": {"type": "message_start", "message": {"id": "m1"}}},
            assistant("m1", said("a")),
            {
                "type": "stream_event",
                "event": {"type": "message_delta", "usage": {"output_tokens": 141}},
            },
            assistant("m1", said("b")),
        )
        assert seen.tokens() == (3, 141, 100, 1000)

    def test_after_an_interrupt_the_models_tell_what_was_spent(self, run: Watched) -> None:
        seen = run.says(
            assistant("m1"),
            result(
                {HAIKU: used((917, 16, 0, 0), 0.000997)},
                is_error=True,
                subtype="error_during_execution",
                terminal_reason="aborted_streaming",
                errors=["interrupted"],
                total_cost_usd=0.000997,
                usage={"input_tokens": 0, "output_tokens": 0},
            ),
        )
        assert seen.models == (ModelUsage(HAIKU, 917, 16, 0, 0, cost_nanos=997_000),)

    def test_nothing_spent_is_not_the_same_as_not_known(self, run: Watched) -> None:
        assert run.says(result({}, total_cost_usd=0)).models == ()

    def test_a_result_that_tells_no_model_leaves_what_the_messages_come_to(
        self, run: Watched
    ) -> None:
        seen = run.says(assistant("m1"), result({}, total_cost_usd=0))
        assert seen.models == (ModelUsage(OPUS, 3, 2, 100, 1000, cost_nanos=None),)

    def test_the_difference_to_the_whole_cost_goes_to_one_model(self, run: Watched) -> None:
        seen = run.says(
            result({OPUS: used(cost=0.1000000004), HAIKU: used(cost=None)}, total_cost_usd=0.25)
        )
        costs = {each.model: each.cost_nanos for each in seen.models}
        assert costs == {OPUS: 100_000_000, HAIKU: 150_000_000}

    def test_an_old_release_tells_the_main_thread_and_the_cost_only(self, run: Watched) -> None:
        old = result(total_cost_usd=0.2, usage={"input_tokens": 3, "output_tokens": 122})
        del old["modelUsage"]
        seen = run.says(init(), assistant("m1"), assistant("m2", model=HAIKU, parent="t1"), old)

        assert seen.models == (
            ModelUsage(OPUS, 3, 122, 100, 1000, cost_nanos=200_000_000),
            ModelUsage(HAIKU, 3, 2, 100, 1000, cost_nanos=0),
        )

    def test_what_the_program_says_itself_is_no_model_call(self, run: Watched) -> None:
        seen = run.says(
            assistant("x", said("model not found"), model="<synthetic>", error="model_not_found")
        )
        assert seen.models == ()
        assert not seen.of_type("model")
        assert [each.error_message for each in seen.of_type("error")] == ["model not found"]

    @pytest.mark.parametrize(
        ("told", "counted"),
        [
            ((15, 25, 35, 45), (10, 20, 30, 40)),  # goes on counting
            ((10, 20, 30, 40), (10, 20, 30, 40)),  # begins anew
        ],
    )
    def test_a_session_taken_up_again_counts_only_what_is_new(
        self, told: tuple[int, int, int, int], counted: tuple[int, int, int, int]
    ) -> None:
        run = Watched("claude", before=[ModelUsage(OPUS, 5, 5, 5, 5, cost_nanos=100_000_000)])
        seen = run.says(
            assistant("m1", usage=(10, 1, 30, 40)), result({OPUS: used(told, cost=0.3)})
        )
        assert seen.tokens() == counted


class TestTools:
    def test_a_call_begins_and_ends_in_place(self, run: Watched) -> None:
        seen = run.says(
            assistant("m1", call("t1", command="ls"), timestamp="2026-01-01T00:00:01Z"),
            returned("t1", "a.py", timestamp="2026-01-01T00:00:03Z"),
        )
        begun, ended = (each for each in seen.reports if each.operation_id == "t1")

        assert (begun.tool_name, begun.success) == ("Bash", None)
        assert begun.input is not None
        assert begun.input.data == b'{"command":"ls"}'
        assert ended.success is True
        assert ended.input == begun.input
        assert ended.output is not None
        assert ended.output.text() == "a.py"
        assert ended.timestamp is not None
        assert ended.completed_at is not None
        assert ended.completed_at - ended.timestamp == timedelta(seconds=2)

    def test_parallel_calls_end_in_any_order(self, run: Watched) -> None:
        seen = run.says(
            assistant("m1", call("t1")),
            assistant("m1", call("t2", "Read")),
            returned("t2"),
            returned("t1", "no such file", is_error=True),
        )
        assert [(each.tool_use_id, each.success) for each in seen.tools] == [
            ("t1", False),
            ("t2", True),
        ]
        assert seen.operations["t1"].error_message == "no such file"

    def test_a_line_that_comes_twice_begins_nothing_twice(self, run: Watched) -> None:
        run.says(assistant("m1", call("t1")), returned("t1"))
        seen = run.says(assistant("m1", call("t1")), returned("t1"))
        assert [each.success for each in seen.tools] == [True]
        assert not seen.of_type("custom")

    def test_content_in_blocks_is_told_as_text(self, run: Watched) -> None:
        seen = run.says(
            assistant("m1", call("t1")),
            returned("t1", [{"type": "text", "text": "a"}, {"type": "image", "source": {}}]),
        )
        output = seen.operations["t1"].output
        assert output is not None
        assert output.text() == "a\n[image]"

    def test_a_call_that_is_cut_off_did_not_succeed(self, run: Watched) -> None:
        run.says(assistant("m1", call("t1")))
        run.ends(-9)
        operation = run.seen.operations["t1"]
        assert operation.success is False
        assert operation.error_message == "the agent ended before it did"

    def test_a_result_without_its_call_is_kept(self, run: Watched) -> None:
        seen = run.says(returned("t9", "from before"))
        (kept,) = seen.of_type("custom")
        assert kept.tool_use_id == "t9"
        assert not kept.tool_name

    def test_a_long_result_is_shown_in_part(self, run: Watched) -> None:
        seen = run.says(assistant("m1", call("t1")), returned("t1", "x" * 100_000))
        output = seen.operations["t1"].output
        assert output is not None
        assert output.size <= 16 * 1024
        assert output.text().endswith("[cut: the first part of 100000 bytes]\n")

    def test_denied_permissions_are_told_once(self, run: Watched) -> None:
        denial = {"tool_name": "Bash", "tool_use_id": "t1", "tool_input": {"command": "rm"}}
        seen = run.says(
            assistant("m1", call("t1")),
            returned("t1", "denied", is_error=True),
            result(permission_denials=[denial]),
            result(permission_denials=[denial]),
        )
        (operation,) = seen.of_type("permission")
        assert operation.parent_operation_id == "t1"
        assert operation.success is False
        assert seen.tool_names == {"Bash": 1}


class TestSubAgents:
    @pytest.mark.parametrize("name", ["Task", "Agent"])
    def test_what_a_sub_agent_does_is_inside_of_it(self, run: Watched, name: str) -> None:
        seen = run.says(
            assistant("m1", call("t1", name, prompt="look")),
            assistant("m2", call("t2", "Read"), parent="t1"),
            returned("t2", parent="t1"),
            returned("t1", [{"type": "text", "text": "found"}]),
        )
        agent = seen.operations["t1"]
        assert (agent.operation_type, agent.tool_name, agent.success) == ("subagent", name, True)
        assert seen.operations["t2"].parent_operation_id == "t1"
        assert seen.operations["m2"].parent_operation_id == "t1"
        assert seen.tool_names == {name: 1, "Read": 1}

    @pytest.mark.parametrize(
        "launched",
        [
            returned("t1", "started", tool_use_result={"isAsync": True}),
            returned("t1", "started", tool_use_result={"status": "async_launched"}),
            returned("t1", [{"type": "text", "text": "Async agent launched successfully."}]),
        ],
    )
    @pytest.mark.parametrize(
        ("told", "success"),
        [
            ({"subtype": "task_notification", "tool_use_id": "t1", "status": "completed"}, True),
            ({"subtype": "task_notification", "tool_use_id": "t1", "status": "stopped"}, False),
            ({"subtype": "task_updated", "task_id": "a", "patch": {"status": "killed"}}, False),
            ({"subtype": "task_updated", "task_id": "a", "patch": {"status": "running"}}, None),
        ],
    )
    def test_one_in_the_background_ends_when_it_is_told(
        self, run: Watched, launched: Json, told: Json, success: bool | None
    ) -> None:
        seen = run.says(
            assistant("m1", call("t1", "Agent")),
            {"type": "system", "subtype": "task_started", "task_id": "a", "tool_use_id": "t1"},
            launched,
        )
        assert seen.operations["t1"].success is None

        seen = run.says({"type": "system", **told})
        assert seen.operations["t1"].success is success


class TestEnd:
    def test_the_last_result_is_the_output(self, run: Watched) -> None:
        run.says(result(result="first"), result(result="second"))
        assert run.succeeds() == "second"

    def test_structured_output_comes_before_the_text(self, run: Watched) -> None:
        run.says(result(structured_output={"answer": 42}))
        assert run.succeeds() == {"answer": 42}

    def test_success_with_an_error_is_a_failure(self, run: Watched) -> None:
        run.says(
            result(
                {}, is_error=True, result="no such model", api_error_status=404,
                terminal_reason="api_error",
            )
        )  # fmt: skip
        fault = run.fails(1)
        assert (fault.message, fault.code) == ("no such model", "AGENT_API_ERROR")
        assert fault.retryable is False

    @pytest.mark.parametrize(
        ("fields", "code", "retryable"),
        [
            ({"subtype": "error_max_turns", "errors": ["too many"]}, "MAX_TURNS", False),
            ({"subtype": "error_max_turns", "is_error": False}, "MAX_TURNS", False),
            ({"subtype": "error_max_budget_usd"}, "BUDGET_EXCEEDED", False),
            ({"subtype": "error_during_execution"}, "AGENT_ERROR", None),
            (
                {"subtype": "error_during_execution", "terminal_reason": "aborted_tools"},
                "AGENT_INTERRUPTED",
                None,
            ),
            ({"api_error_status": 401}, "AGENT_NOT_AUTHORIZED", False),
            ({"api_error_status": 429}, "AGENT_API_ERROR", None),
            ({"api_error_status": 529}, "AGENT_API_ERROR", None),
            ({"terminal_reason": "api_error"}, "AGENT_API_ERROR", None),
            ({"subtype": "error_max_structured_output_retries"}, "INVALID_OUTPUT", False),
        ],
    )
    def test_failures_have_codes(
        self, run: Watched, fields: Json, code: str, retryable: bool | None
    ) -> None:
        told = result(None, **({"is_error": True} | fields))
        if str(told["subtype"]).startswith("error"):
            del told["result"]
        run.says(told)
        fault = run.fails(1)
        assert (fault.code, fault.retryable) == (code, retryable)
        assert fault.message

    def test_a_used_up_budget_is_a_kind_of_its_own(self, run: Watched) -> None:
        run.says(result(is_error=True, subtype="error_max_budget_usd"))
        assert run.fails(1).kind is FailureKind.BUDGET_EXCEEDED

    def test_a_limit_on_use_delays_the_next_attempt(self, run: Watched) -> None:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        resets_at = int((now + timedelta(hours=2)).timestamp())
        run.says(
            {
                "type": "rate_limit_event",
                "rate_limit_info": {"status": "rejected", "resetsAt": resets_at},
            },
            result(is_error=True, result="limit", timestamp=now.isoformat()),
        )
        fault = run.ends(1)
        assert isinstance(fault, Fault)
        assert fault.retry_delay == timedelta(hours=2)

    def test_success_and_then_a_bad_exit_is_a_failure(self, run: Watched) -> None:
        run.says(result())
        assert run.fails(3).code == "EXIT_CODE"

    def test_killed_without_a_result_is_told_by_the_signal(self, run: Watched) -> None:
        run.says(init())
        assert run.fails(-9).code == "SIGNAL"

    def test_the_session_is_told(self, run: Watched) -> None:
        assert run.says(init(), init()).session_id == SESSION


class TestOtherLines:
    def test_what_says_nothing_leaves_nothing(self, run: Watched) -> None:
        seen = run.says(
            {"type": "system", "subtype": "hook_response", "output": "x"},
            {"type": "system", "subtype": "thinking_tokens"},
            {"type": "control_request", "request": {}},
            {"type": "control_response", "response": {}},
            {"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}},
            {"type": "user", "message": {"role": "user", "content": "hello"}},
        )
        assert seen.reports == []

    def test_compaction_and_retries_are_operations(self, run: Watched) -> None:
        seen = run.says(
            {"type": "system", "subtype": "compact_boundary", "compact_metadata": {"a": 1}},
            {"type": "system", "subtype": "api_retry", "error": "overloaded"},
        )
        assert [each.operation_type for each in seen.reports] == ["compaction", "error"]
        assert "overloaded" in seen.reports[1].error_message

    @pytest.mark.parametrize(
        "event",
        [
            {"type": "system", "subtype": "brand_new"},
            {"type": "brand_new"},
            {"recorder": "some header"},
            {"type": 7},
        ],
    )
    def test_an_unknown_event_is_kept(self, run: Watched, event: Json) -> None:
        seen = run.says(event, result())
        (kept,) = seen.of_type("custom")
        assert kept.output is not None
        assert kept.output.is_json
        assert run.succeeds() == "done"
