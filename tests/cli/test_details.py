"""All there is to say of one execution."""

from rich.console import Group

from phaseline.cli import details
from phaseline.cli.frame import Frame
from phaseline.v1 import execution_pb2, execution_service_pb2, usage_pb2
from tests.cli.drawn import drawn
from tests.support import messages
from tests.support.messages import EXECUTION_ID, execution, phase

FRAME = Frame(0, 120)


def test_inputs_are_shown_with_their_lines() -> None:
    text = drawn(details.whole(execution(inputs={"b": "1\n2", "a": "x"}), FRAME))
    assert text.endswith("inputs\n  a  x\n  b  1\n     2")


def test_attempts_that_were_repeated_are_shown_with_their_failures() -> None:
    failure = execution_pb2.Failure(code="RATE_LIMITED")
    first = execution_pb2.PhaseAttempt(
        attempt=1, assigned_to_worker="w-1", usage=messages.usage(5, "0.01"), failure=failure
    )
    second = execution_pb2.PhaseAttempt(attempt=2, assigned_to_worker="w-2")
    text = drawn(
        details.whole(execution(phases=[phase(attempt=2, attempts=[first, second])]), FRAME)
    )
    assert "report  try 1  w-1  5 tokens  $0.01  RATE_LIMITED" in text
    assert "try 2" not in text


def test_each_model_is_shown_with_its_tokens() -> None:
    model = usage_pb2.ModelUsage(
        model="sonnet", input_tokens=1000, output_tokens=20, total_tokens=1020
    )
    text = drawn(details.whole(execution(usage_by_model=[model]), FRAME))
    assert text.splitlines()[-1].split() == ["sonnet", "1,000", "20", "0", "0", "1,020", "unknown"]


def test_the_result_is_shown() -> None:
    done = execution("COMPLETED", result=execution_pb2.Payload(data=b"# Report\n\nfine"))
    text = drawn(details.whole(done, FRAME))
    assert text.endswith("result\n  # Report\n\n  fine")


def test_a_long_result_is_cut_with_a_way_to_the_rest() -> None:
    done = execution("COMPLETED", result=execution_pb2.Payload(data=b"line\n" * 100))
    text = drawn(Group(*details.result(done, lines=3)))
    rest = f"… 485 more characters: phaseline get {EXECUTION_ID} -o json"
    assert text.endswith(f"result\n  line\n  line\n  line\n  {rest}")


def test_a_result_that_is_one_long_line_is_cut_as_well() -> None:
    done = execution("COMPLETED", result=execution_pb2.Payload(data=b"x" * 100_000))
    text = drawn(Group(*details.result(done)))
    assert text.count("x") == 2_000
    assert f"… 98,000 more characters: phaseline get {EXECUTION_ID} -o json" in text


def test_artifacts_are_counted_with_the_way_to_them() -> None:
    done = execution("COMPLETED", artifact_ids=["a", "b"])
    text = drawn(details.whole(done, FRAME))
    assert text.endswith(f"2 artifacts: phaseline artifact list {EXECUTION_ID}")


def test_what_was_purged_says_so() -> None:
    assert drawn(details.whole(execution("COMPLETED", is_purged=True), FRAME)).endswith(
        "its content was purged"
    )


def test_a_tree_shows_what_each_part_has_used() -> None:
    top = execution_service_pb2.ExecutionNode(
        execution=execution(tree_usage=messages.usage(99, "3")),
        children=[
            execution_service_pb2.ExecutionNode(execution=execution("FAILED", execution_id="c-1")),
            execution_service_pb2.ExecutionNode(execution=execution(execution_id="c-2")),
        ],
    )
    lines = drawn(details.tree(top, FRAME)).splitlines()
    assert lines[0].startswith(f"● repo-survey {EXECUTION_ID} running  1/2 · 99 tokens · $3.00")
    assert lines[1].startswith("├── ✘ repo-survey c-1 failed  1/2 · 12.3k tokens · $0.42")
    assert lines[2].startswith("└── ● repo-survey c-2 running")
