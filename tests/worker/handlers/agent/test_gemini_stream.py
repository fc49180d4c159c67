"""Each trap in the stream of Gemini CLI, in a stream of our own making."""

import pytest

from phaseline.domain.usage import ModelUsage
from tests.support.agent import Watched

Json = dict[str, object]


def init(model: str = "gemini-2.5-pro") -> Json:
    return {"type": "init", "session_id": "s-1", "model": model}


def chunk(content: str) -> Json:
    return {"type": "message", "role": "assistant", "content": content, "delta": True}


def call(tool_id: str, name: str = "read_file") -> Json:
    return {"type": "tool_use", "tool_id": tool_id, "tool_name": name, "parameters": {"p": 1}}


def returned(tool_id: str, **fields: object) -> Json:
    return {"type": "tool_result", "tool_id": tool_id, "status": "success", **fields}


def counts(total: int, input: int, output: int, cached: int) -> Json:
    return {
        "total_tokens": total,
        "input_tokens": input,
        "output_tokens": output,
        "cached": cached,
        "input": input - cached,
    }


def result(stats: Json | None = None, **fields: object) -> Json:
    return {"type": "result", "status": "success", "stats": stats or {}, **fields}


@pytest.fixture
def run() -> Watched:
    return Watched("gemini")


def test_thoughts_are_output_and_cached_tokens_are_no_input(run: Watched) -> None:
    seen = run.says(result({"models": {"gemini-2.5-pro": counts(170, 100, 20, 60)}}))
    assert seen.models == (ModelUsage("gemini-2.5-pro", 40, 70, 0, 60),)


def test_the_models_that_answered_count_and_not_the_one_asked_for(run: Watched) -> None:
    seen = run.says(
        init("auto"),
        result({**counts(330, 200, 30, 60), "models": {
            "gemini-3-pro": counts(170, 100, 20, 60), "gemini-3-flash": counts(110, 100, 10, 0),
        }}),
    )  # fmt: skip
    assert {each.model for each in seen.models} == {"gemini-3-pro", "gemini-3-flash"}
    assert sum(seen.tokens()) == 280


def test_an_old_release_tells_the_sum_only(run: Watched) -> None:
    seen = run.says(init(), result({"total_tokens": 118, "input_tokens": 100, "output_tokens": 16}))
    assert seen.models == (ModelUsage("gemini-2.5-pro", 100, 18, 0, 0),)


def test_the_answer_is_what_follows_the_last_call(run: Watched) -> None:
    run.says(
        init(),
        {"type": "message", "role": "user", "content": "question"},
        chunk("I will "),
        chunk("look."),
        call("a"),
        returned("a", output=""),
        chunk("It is "),
        chunk("Latin."),
        result(),
    )
    assert run.succeeds() == "It is Latin."
    texts = [each.output.text() for each in run.seen.of_type("message") if each.output]
    assert texts == ["I will look.", "It is Latin."]


def test_what_is_said_while_a_tool_runs_is_no_part_of_the_answer(run: Watched) -> None:
    run.says(
        init(), call("a"), chunk("Let us see."), returned("a", output=""), chunk("Latin."), result()
    )
    assert run.succeeds() == "Latin."
    texts = [each.output.text() for each in run.seen.of_type("message") if each.output]
    assert texts == ["Let us see.", "Latin."]


def test_a_failed_call_does_not_fail_the_run(run: Watched) -> None:
    run.says(
        call("a"),
        returned("a", status="error", error={"type": "not_found", "message": "no such tool"}),
        chunk("sorry"),
        result(),
    )
    assert run.succeeds() == "sorry"
    (operation,) = run.seen.tools
    assert (operation.success, operation.error_message) == (False, "no such tool")


def test_an_error_event_is_shown_and_decides_nothing(run: Watched) -> None:
    run.says({"type": "error", "severity": "warning", "message": "loop detected"}, result())
    assert run.succeeds() == ""
    assert [each.error_message for each in run.seen.of_type("error")] == ["loop detected"]


@pytest.mark.parametrize(
    ("type", "code", "retryable"),
    [
        ("FatalTurnLimitedError", "MAX_TURNS", False),
        ("FatalAuthenticationError", "AGENT_NOT_AUTHORIZED", False),
        ("FatalCancellationError", "AGENT_INTERRUPTED", None),
        ("ApiError", "AGENT_ERROR", None),
    ],
)
def test_a_failed_run_says_why(run: Watched, type: str, code: str, retryable: bool | None) -> None:
    stats: Json = {"models": {"m": counts(10, 5, 5, 0)}}
    run.says(chunk("half"), result(stats, status="error", error={"type": type, "message": "why"}))
    fault = run.fails(53)

    assert (fault.message, fault.code, fault.retryable) == ("why", code, retryable)
    assert run.seen.tokens() == (5, 5, 0, 0)


@pytest.mark.parametrize(
    ("exit_code", "code"), [(53, "MAX_TURNS"), (41, "AGENT_NOT_AUTHORIZED"), (1, "EXIT_CODE")]
)
def test_without_a_result_the_exit_code_says_why(run: Watched, exit_code: int, code: str) -> None:
    run.says(init())
    assert run.fails(exit_code).code == code


def test_another_agent_that_is_called_is_a_sub_agent(run: Watched) -> None:
    seen = run.says(call("a", "invoke_agent"))
    assert [each.tool_name for each in seen.of_type("subagent")] == ["invoke_agent"]


def test_a_result_without_its_call_and_an_unknown_event_are_kept(run: Watched) -> None:
    seen = run.says(returned("z"), {"type": "brand_new"})
    assert len(seen.of_type("custom")) == 2
