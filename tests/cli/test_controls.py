"""Executions are stopped, paused and set going again."""

import json

import pytest

from phaseline.domain.errors import FailedPrecondition, IllegalTransition
from phaseline.v1 import execution_service_pb2 as service_pb2
from tests.cli.conftest import Program
from tests.support import messages
from tests.support.fake_service import FakeService
from tests.support.messages import EXECUTION_ID, execution


@pytest.mark.parametrize(
    ("command", "method", "status"),
    [
        ("cancel", "Cancel", "CANCELLING"),
        ("pause", "Pause", "PAUSED"),
        ("resume", "Resume", "RUNNING"),
        ("retry", "Retry", "PENDING"),
    ],
)
def test_the_execution_is_shown_as_it_then_is(
    program: Program, service: FakeService, command: str, method: str, status: str
) -> None:
    response = getattr(service_pb2, f"{method}Response")(execution=execution(status))
    service.answer(method, response)
    ended = program(command, EXECUTION_ID, "--request-id", "r")
    assert ended.code == 0
    assert f" {status.lower()}  " in ended.out
    [request] = service.requests(method)
    assert (request.execution_id, request.request_id) == (EXECUTION_ID, "r")


def test_a_cancellation_says_why_and_how_fast(program: Program, service: FakeService) -> None:
    service.answer("Cancel", service_pb2.CancelResponse(execution=execution("CANCELLING")))
    program("cancel", EXECUTION_ID, "--reason", "wrong branch", "--grace-period", "5s")
    [request] = service.requests("Cancel")
    assert (request.reason, request.grace_period) == ("wrong branch", messages.duration(5))


def test_a_retry_can_raise_the_limits(program: Program, service: FakeService) -> None:
    service.answer("Retry", service_pb2.RetryResponse(execution=execution("PENDING")))
    program("retry", EXECUTION_ID, "--budget", "9.5", "--run-timeout", "2h")
    [request] = service.requests("Retry")
    assert (request.max_budget_usd, request.run_timeout) == ("9.5", messages.duration(7200))


def test_the_beginning_of_an_id_is_enough(program: Program, service: FakeService) -> None:
    service.answer("List", service_pb2.ListResponse(executions=[execution()]))
    service.answer("Pause", service_pb2.PauseResponse(execution=execution("PAUSED")))
    program("pause", "0192")
    assert service.requests("Pause")[0].execution_id == EXECUTION_ID


def test_what_the_status_does_not_allow_is_a_precondition(
    program: Program, service: FakeService
) -> None:
    service.answer("Pause", IllegalTransition("execution", "failed", "pause"))
    ended = program("pause", EXECUTION_ID)
    assert (ended.code, ended.err) == (4, "error: execution is failed and cannot pause\n")


def test_a_budget_that_is_used_up_comes_with_the_way_out(
    program: Program, service: FakeService
) -> None:
    service.answer("Retry", FailedPrecondition("it is used up", reason="BUDGET_EXCEEDED"))
    assert "--budget DOLLARS" in program("retry", EXECUTION_ID).err


def test_the_answer_as_json_is_the_execution(program: Program, service: FakeService) -> None:
    service.answer("Pause", service_pb2.PauseResponse(execution=execution("PAUSED")))
    ended = program("pause", EXECUTION_ID, "-o", "json")
    assert json.loads(ended.out)["status"] == "EXECUTION_STATUS_PAUSED"


def test_purge_erases_where_it_was_confirmed(program: Program, service: FakeService) -> None:
    service.answer("Purge", service_pb2.PurgeResponse(execution=execution("COMPLETED")))
    assert program("purge", EXECUTION_ID, "--yes").code == 0
    assert len(service.requests("Purge")) == 1


def test_purge_erases_nothing_where_nobody_can_be_asked(
    program: Program, service: FakeService
) -> None:
    ended = program("purge", EXECUTION_ID)
    assert ended.code == 2
    assert ended.err.splitlines() == [
        "error: purge erases for good",
        "hint: give --yes where nobody can be asked",
    ]
    assert service.requests("Purge") == []
