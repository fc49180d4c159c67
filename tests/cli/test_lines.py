"""Changes as lines, where there is no terminal."""

from phaseline.cli import figures
from phaseline.cli.lines import Lines
from phaseline.v1 import execution_pb2
from tests.support import messages
from tests.support.messages import EXECUTION_ID, change, execution, operation, phase


def said(
    *resources: execution_pb2.Execution | execution_pb2.Phase | execution_pb2.Operation,
) -> list[str]:
    lines = Lines(about=EXECUTION_ID)
    return [lines.line(change(one)).partition(" ")[2] for one in resources]


def test_each_kind_of_resource_has_its_line() -> None:
    progress = execution_pb2.Progress(percent=7, message="reading")
    assert said(execution(), phase(progress=progress), operation()) == [
        "execution repo-survey running 1/2 phases 12.3k tokens $0.42",
        "phase report running attempt 1 on worker-1 · 7% reading",
        "operation report Read completed 1.5s",
    ]


def test_a_line_begins_with_the_time_of_day() -> None:
    clock, _, _ = Lines().line(change(execution())).partition(" ")
    assert clock == figures.clock(messages.timestamp())


def test_a_version_that_reads_alike_says_nothing() -> None:
    beat = phase(revision=2)
    assert said(phase(), beat, phase(status="COMPLETED")) == [
        "phase report running attempt 1 on worker-1",
        "",
        "phase report completed attempt 1",
    ]


def test_a_failure_is_in_its_line() -> None:
    failure = execution_pb2.Failure(code="E_ODD", message="no luck")
    assert said(
        execution("FAILED", failure=failure),
        phase(status="FAILED", failure=failure),
        operation(success=False, error_message="no\nluck"),
    ) == [
        "execution repo-survey failed 1/2 phases 12.3k tokens $0.42 E_ODD: no luck",
        "phase report failed attempt 1 · E_ODD: no luck",
        "operation report Read failed 1.5s no luck",
    ]


def test_what_belongs_to_another_execution_names_it() -> None:
    [line] = said(phase(execution_id="child"))
    assert line.startswith("child phase report")


def test_one_that_leaves_and_comes_back_is_told_again() -> None:
    lines = Lines()
    told = [
        lines.line(change(execution(), kind)) for kind in ("ADDED", "MODIFIED", "REMOVED", "ADDED")
    ]
    assert [bool(line) for line in told] == [True, False, True, True]
    assert told[2].endswith("$0.42 (no longer matches)")


def test_a_waiting_phase_says_when_it_goes_on() -> None:
    failure = execution_pb2.Failure(code="E")
    [line] = said(phase(status="PENDING", failure=failure, next_attempt_at=messages.timestamp()))
    assert line.startswith("phase report pending attempt 1 · next attempt ")
