"""Errors are told in one line with a hint, and as an exit code."""

from datetime import timedelta

import pytest

from phaseline.cli.failures import EXIT_CODES, ExitCode, Refused, code_of, lines_of
from phaseline.domain import errors
from phaseline.domain.errors import FieldViolation, InvalidArgument


def told(error: Exception) -> list[str]:
    return list(lines_of(error, server="h:1"))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidArgument("x"), 2),
        (errors.NotFound("execution", "x"), 3),
        (errors.AlreadyExists("execution", "x"), 4),
        (errors.FailedPrecondition("x", reason="BUDGET_EXCEEDED"), 4),
        (errors.IllegalTransition("execution", "failed", "pause"), 4),
        (errors.OutOfRange("x"), 4),
        (errors.ResourceExhausted("x", reason="RATE_LIMITED"), 5),
        (errors.Unavailable("x"), 5),
        (errors.DeadlineExceeded("x"), 5),
        (errors.Unauthenticated("x"), 6),
        (errors.PermissionDenied("x"), 6),
        (errors.Unimplemented("x"), 7),
        (errors.Internal("x"), 7),
        (OSError("x"), 7),
        (Refused("x"), 2),
        (Refused("x", code=ExitCode.NOT_FOUND), 3),
    ],
)
def test_each_error_has_its_exit_code(error: Exception, code: int) -> None:
    assert code_of(error) == code


def test_every_exit_code_is_documented() -> None:
    documented = {
        int(part.split()[0]) for part in EXIT_CODES.removeprefix("Exit codes: ").split("; ")
    }
    assert documented == set(ExitCode)


def test_an_error_is_one_line() -> None:
    assert told(errors.Unimplemented("the server has no such thing")) == [
        "error: the server has no such thing"
    ]


def test_one_violation_is_told_by_the_message() -> None:
    assert told(InvalidArgument.of("inputs.a", "must be given")) == [
        "error: inputs.a must be given"
    ]


def test_several_violations_have_a_line_each() -> None:
    error = InvalidArgument.all_of(
        [FieldViolation("a", "must be set"), FieldViolation("b[1].c", "is too long")]
    )
    assert told(error) == ["error: 2 fields are wrong", "  a: must be set", "  b[1].c: is too long"]


def test_a_server_that_is_not_there_can_be_started() -> None:
    away = errors.Unavailable("all failing: ipv4:1: Connection refused", reason="UNAVAILABLE")
    assert told(away) == [
        "error: cannot reach h:1: Connection refused",
        "hint: is a server running on h:1? start one with `phaseline dev`",
    ]


def test_a_bracket_that_was_opened_earlier_is_not_shown() -> None:
    away = errors.Unavailable("x; last error: [ipv4:1: Socket closed]", reason="UNAVAILABLE")
    assert told(away)[0] == "error: cannot reach h:1: Socket closed"


def test_a_server_whose_database_is_away_is_there() -> None:
    assert told(errors.Unavailable("the disk is full"))[-1].startswith("hint: the database is away")


def test_a_server_that_drains_is_there() -> None:
    hint = told(errors.Unavailable("draining", reason="DRAINING"))[-1]
    assert hint == "hint: the server is shutting down: try again in a moment"


def test_where_waiting_helps_the_hint_says_how_long() -> None:
    error = errors.ResourceExhausted(
        "too fast", reason="RATE_LIMITED", retry_after=timedelta(seconds=4)
    )
    assert told(error)[-1] == "hint: try again in 4 s"


def test_a_reason_of_a_newer_server_has_no_hint() -> None:
    assert told(errors.FailedPrecondition("odd", reason="BRAND_NEW")) == ["error: odd"]


def test_a_defect_names_the_request_for_the_log() -> None:
    error = errors.Internal("internal error", metadata={"request_id": "r-1"})
    assert told(error) == ["error: internal error", "  request_id: r-1"]


def test_what_the_system_refuses_is_told_without_its_number() -> None:
    assert told(FileNotFoundError(2, "No such file or directory", "tokens")) == [
        "error: tokens: no such file or directory"
    ]
    assert told(OSError(28, "No space left on device")) == ["error: no space left on device"]


def test_a_refusal_has_its_own_hint() -> None:
    assert told(Refused("no", hint="do this")) == ["error: no", "hint: do this"]
