"""What a handler raises becomes a failure that callers can act on."""

from datetime import timedelta

import pytest

from phaseline.domain.failure import Failure, FailureKind
from phaseline.domain.report import Failed
from phaseline.worker.failures import HandlerError, failed_by, upper_snake


def test_a_handler_error_says_all_that_a_failure_can() -> None:
    error = HandlerError(
        "busy",
        code="RATE_LIMITED",
        retryable=True,
        retry_delay=timedelta(seconds=30),
        details={"region": "eu"},
    )

    assert failed_by(error) == Failed(
        Failure(
            FailureKind.ERROR, "RATE_LIMITED", "busy", retryable=True, details={"region": "eu"}
        ),
        timedelta(seconds=30),
    )


def test_any_other_exception_is_an_error_by_its_name() -> None:
    assert failed_by(ValueError("no such colour")) == Failed(
        Failure(FailureKind.ERROR, "VALUE_ERROR", "no such colour")
    )


def test_an_exception_without_a_text_is_told_by_its_name() -> None:
    assert failed_by(TimeoutError()).failure.message == "TimeoutError"


def test_texts_are_cut_to_what_the_contract_allows() -> None:
    failure = failed_by(
        HandlerError("x" * 5000, code="Y" * 100, details={"k" * 300: "v" * 300})
    ).failure

    assert len(failure.message) == 4096
    assert len(failure.code) == 64
    assert failure.details == {"k" * 256: "v" * 256}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ValueError", "VALUE_ERROR"),
        ("HTTPStatusError", "HTTP_STATUS_ERROR"),
        ("OSError", "OS_ERROR"),
        ("timeout", "TIMEOUT"),
        ("S3Error", "S3_ERROR"),
        ("_Private", "PRIVATE"),
    ],
)
def test_a_class_name_becomes_a_code(name: str, code: str) -> None:
    assert upper_snake(name) == code
