"""The neutral format says all that an agent can be told to have done."""

from datetime import timedelta

import pytest

from phaseline.domain.usage import ModelUsage
from tests.support.agent import Watched


@pytest.fixture
def run() -> Watched:
    return Watched("jsonl")


def test_a_run_from_begin_to_end(run: Watched) -> None:
    seen = run.says(
        {"session_id": "s-1"},
        {"message": "let me see"},
        {"operation": {"operation_id": "1", "tool_name": "Bash", "input": {"command": "ls"}}},
        {"operation": {"operation_id": "2", "operation_type": "subagent",
                       "parent_operation_id": "1"}},
        {"operation": {"operation_id": "1", "success": True, "output": "a.py"}},
        {"usage": {"model": "m", "input_tokens": 1, "cost_usd": "0.01"}},
        {"usage": {"model": "m", "input_tokens": 5, "output_tokens": 2, "cost_usd": "0.05"}},
        {"usage": {"model": "n", "cache_read_tokens": 7}},
        {"progress": {"percent": 50.0, "message": "half"}},
        {"artifact": {"name": "a.md", "content": "text"}},
        {"result": {"output": {"answer": 42}}},
    )  # fmt: skip

    assert run.succeeds() == {"answer": 42}
    assert seen.session_id == "s-1"
    assert seen.tool_names == {"Bash": 1}
    tool = seen.operations["1"]
    assert tool.success is True
    assert tool.input is not None
    assert tool.output is not None
    assert seen.operations["2"].parent_operation_id == "1"
    assert set(seen.models) == {
        ModelUsage("m", 5, 2, cost_nanos=50_000_000),
        ModelUsage("n", cache_read_tokens=7),
    }
    assert seen.percents == [50]
    assert seen.artifacts == {"a.md": "text"}
    assert not seen.of_type("custom")


def test_the_last_message_is_the_output_if_nothing_else_is(run: Watched) -> None:
    run.says({"message": "first"}, {"message": "last"})
    assert run.succeeds() == "last"


def test_without_a_result_the_exit_code_decides(run: Watched) -> None:
    run.says({"message": "almost"})
    assert run.fails(1).code == "EXIT_CODE"


def test_without_a_result_a_recorded_run_is_incomplete(run: Watched) -> None:
    run.says({"message": "almost"})
    assert run.fails(None).code == "INCOMPLETE_STREAM"


def test_a_failure_says_all_that_matters(run: Watched) -> None:
    run.says(
        {"result": {"error": {"message": "busy", "code": "BUSY", "retryable": True,
                              "retry_delay_seconds": 30}}}
    )  # fmt: skip
    fault = run.fails()
    assert (fault.message, fault.code, fault.retryable) == ("busy", "BUSY", True)
    assert fault.retry_delay == timedelta(seconds=30)


def test_a_failure_may_be_a_text(run: Watched) -> None:
    run.says({"result": {"error": "no"}})
    assert run.fails().message == "no"


def test_a_failed_operation_says_why(run: Watched) -> None:
    seen = run.says({"operation": {"operation_id": "1", "success": False, "error_message": "why"}})
    assert seen.operations["1"].error_message == "why"


@pytest.mark.parametrize(
    "line",
    [
        {"something": "else"},
        {"operation": {"tool_name": "without an id"}},
        {"usage": {"input_tokens": 1}},
        {"progress": {"percent": 200}},
        {"progress": "half"},
        {"message": 7},
        {"session_id": None},
    ],
)
def test_what_makes_no_sense_is_kept(run: Watched, line: dict[str, object]) -> None:
    seen = run.says(line)
    assert len(seen.of_type("custom")) == 1


def test_an_artifact_that_cannot_be_kept_is_an_error(run: Watched) -> None:
    seen = run.says({"artifact": {"content": "nameless"}})
    assert [each.error_message for each in seen.of_type("error")] == ["an artifact needs a name"]
