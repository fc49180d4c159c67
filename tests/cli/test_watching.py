"""Executions are followed live."""

import json

import pytest

from phaseline.domain.errors import NotFound, OutOfRange
from phaseline.v1 import execution_pb2, watch_pb2
from phaseline.v1 import execution_service_pb2 as service_pb2
from tests.cli.conftest import Program
from tests.support.fake_service import FakeService
from tests.support.messages import (
    EXECUTION_ID,
    change,
    changes,
    closing,
    execution,
    opened,
    operation,
    phase,
    synced,
    watched,
)


def watched_active(*frames: watch_pb2.WatchFrame) -> list[service_pb2.WatchActiveResponse]:
    return [service_pb2.WatchActiveResponse(frame=frame) for frame in frames]


def ending(service: FakeService, status: str, **fields: object) -> None:
    """Let the execution run to an end in *status*."""
    service.stream(
        "Watch",
        watched(
            opened(),
            changes(change(execution("RUNNING")), change(phase())),
            synced(),
            changes(
                change(operation()), change(phase(status="COMPLETED", revision=2)), token="t-2"
            ),
            changes(change(execution(status, revision=2)), token="t-3"),
            closing(),
        ),
    )
    service.answer("Get", service_pb2.GetResponse(execution=execution(status, **fields)))


def without_times(text: str) -> list[str]:
    return [line.partition(" ")[2] for line in text.splitlines()]


def test_without_a_terminal_there_is_a_line_for_each_change(
    program: Program, service: FakeService
) -> None:
    ending(service, "COMPLETED", result=execution_pb2.Payload(data=b"# fine"))
    ended = program("watch", EXECUTION_ID)
    lines, _, conclusion = ended.out.partition("\n\n")
    assert without_times(lines) == [
        "execution repo-survey running 1/2 phases 12.3k tokens $0.42",
        "phase report running attempt 1 on worker-1",
        "operation report Read completed 1.5s",
        "phase report completed attempt 1",
        "execution repo-survey completed 1/2 phases 12.3k tokens $0.42",
    ]
    assert conclusion.splitlines() == [
        "✔ completed in 1m 2s · 1 of 2 phases · 12.3k tokens · $0.42",
        "",
        "result",
        "  # fine",
    ]
    assert ended.code == 0


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED"])
def test_an_execution_that_was_not_completed_exits_with_1(
    program: Program, service: FakeService, status: str
) -> None:
    ending(service, status)
    ended = program("watch", EXECUTION_ID)
    assert ended.code == 1
    assert f"{status.lower()} in 1m 2s" in ended.out
    assert ended.err.endswith(f"again: phaseline retry {EXECUTION_ID}\n")


def test_as_json_each_change_is_a_line(program: Program, service: FakeService) -> None:
    ending(service, "COMPLETED")
    lines = [
        json.loads(line) for line in program("watch", EXECUTION_ID, "-o", "json").out.splitlines()
    ]
    assert [
        next(key for key in line if key in ("execution", "phase", "operation")) for line in lines
    ] == [
        "execution",
        "phase",
        "operation",
        "phase",
        "execution",
    ]
    assert service.requests("Get") == []


def test_as_yaml_each_change_is_a_document(program: Program, service: FakeService) -> None:
    ending(service, "COMPLETED")
    assert program("watch", EXECUTION_ID, "-o", "yaml").out.count("---\n") == 5


def test_execute_can_follow_what_it_starts_from_its_beginning(
    program: Program, service: FakeService
) -> None:
    service.answer(
        "Execute", service_pb2.ExecuteResponse(execution_id=EXECUTION_ID, resume_token="t-0")
    )
    ending(service, "FAILED")
    ended = program("execute", "repo-survey", "--watch")
    assert ended.code == 1
    assert service.requests("Watch")[0].resume_token == "t-0"
    assert "phase report completed" in ended.out


def test_descendants_are_followed_on_request(program: Program, service: FakeService) -> None:
    service.stream(
        "Watch",
        watched(
            opened(),
            changes(change(execution("COMPLETED")), change(execution("FAILED", execution_id="c"))),
            closing(),
        ),
    )
    service.answer("Get", service_pb2.GetResponse(execution=execution("COMPLETED")))
    ended = program("watch", EXECUTION_ID, "--descendants")
    assert service.requests("Watch")[0].include_descendants
    assert "c execution repo-survey failed" in ended.out
    assert ended.code == 0


def test_after_a_gap_the_present_state_is_told_again(
    program: Program, service: FakeService
) -> None:
    service.stream(
        "Watch",
        [*watched(opened(), changes(change(execution()), change(phase()))), OutOfRange("trimmed")],
        watched(opened(), changes(change(execution("COMPLETED", revision=9))), synced(), closing()),
    )
    service.answer("Get", service_pb2.GetResponse(execution=execution("COMPLETED")))
    ended = program("watch", EXECUTION_ID)
    assert ended.code == 0
    assert [one.resume_token for one in service.requests("Watch")] == ["", ""]


def test_one_that_is_not_there_is_not_found(program: Program, service: FakeService) -> None:
    service.stream("Watch", [NotFound("execution", EXECUTION_ID)])
    assert program("watch", EXECUTION_ID).code == 3


def test_without_an_id_all_active_ones_are_followed(program: Program, service: FakeService) -> None:
    service.stream(
        "WatchActive",
        watched_active(
            opened(),
            changes(change(execution(), "ADDED")),
            synced(),
            changes(change(execution("COMPLETED", revision=2), "REMOVED"), token="t-2"),
            closing(),
        ),
    )
    ended = program("watch", "--workflow", "repo-survey")
    assert without_times(ended.out) == [
        f"{EXECUTION_ID} execution repo-survey running 1/2 phases 12.3k tokens $0.42",
        f"{EXECUTION_ID} execution repo-survey completed 1/2 phases 12.3k tokens $0.42",
    ]
    assert list(service.requests("WatchActive")[0].filter.workflow_ids) == ["repo-survey"]
    assert ended.code == 0


def test_a_filter_and_an_execution_exclude_each_other(
    program: Program, service: FakeService
) -> None:
    ended = program("watch", EXECUTION_ID, "--status", "running")
    assert ended.code == 2
    assert ended.err.startswith("error: a filter is for all active executions")
