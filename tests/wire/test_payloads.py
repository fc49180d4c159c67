"""Payloads, failures and progress survive the wire, within their limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseline.domain.failure import Failure, FailureKind
from phaseline.domain.payload import Payload
from phaseline.domain.report import Progress
from phaseline.v1 import execution_pb2
from phaseline.wire.payloads import (
    cancellation_message,
    failure_message,
    payload_message,
    payload_of,
    progress_message,
    read_failure,
    read_payload,
    read_progress,
)
from phaseline.wire.reading import Checks
from tests.wire.samples import CANCELLATION, FAILURE

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=64)
failures = st.builds(
    Failure,
    st.sampled_from(FailureKind),
    texts,
    texts,
    st.just(""),
    st.none() | st.booleans(),
    st.dictionaries(texts.filter(bool), texts, max_size=16),
)


def fields(checks: Checks) -> list[str]:
    return [each.field for each in checks.found]


@given(st.builds(Payload, st.none() | st.binary(), st.just(""), texts))
def test_the_bytes_of_a_payload_survive(payload: Payload) -> None:
    assert payload_of(payload_message(payload)) == payload


def test_where_the_bytes_are_survives() -> None:
    payload = Payload(uri="s3://bucket/key", media_type="text/plain")
    assert payload_of(payload_message(payload)) == payload


def test_no_bytes_are_bytes_too() -> None:
    assert payload_message(Payload(data=b"")).WhichOneof("source") == "data"


def test_bytes_that_were_left_out_leave_the_media_type() -> None:
    message = payload_message(Payload(media_type="image/png"))
    assert (message.WhichOneof("source"), message.media_type) == (None, "image/png")


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (execution_pb2.Payload(data=b"x" * 10), []),
        (execution_pb2.Payload(data=b"x" * 11), [""]),
        (execution_pb2.Payload(uri="u" * 2049), ["uri"]),
        (execution_pb2.Payload(media_type="m" * 129), ["media_type"]),
    ],
)
def test_a_payload_has_its_limits(message: execution_pb2.Payload, found: list[str]) -> None:
    checks = Checks()
    read_payload(message, 10, checks)
    assert fields(checks) == found


def test_a_payload_that_is_too_large_has_a_reason_of_its_own() -> None:
    checks = Checks()
    read_payload(execution_pb2.Payload(data=b"xx"), 1, checks)
    assert checks.found[0].reason == "PAYLOAD_TOO_LARGE"
    assert checks.found[0].description == "must have at most 1 bytes, has 2"


@given(failures)
def test_a_failure_survives(failure: Failure) -> None:
    checks = Checks()
    assert read_failure(failure_message(failure), checks) == failure
    assert checks.found == []


def test_a_failure_names_its_phase() -> None:
    assert failure_message(FAILURE).phase_id == "review"
    assert failure_message(Failure(), "plan").phase_id == "plan"


def test_a_reporter_cannot_name_the_phase() -> None:
    assert read_failure(execution_pb2.Failure(phase_id="other"), Checks()).phase_id == ""


def test_a_failure_without_a_kind_is_an_error() -> None:
    assert read_failure(execution_pb2.Failure(), Checks()) == Failure(FailureKind.ERROR)


def test_a_long_message_is_cut() -> None:
    failure = read_failure(execution_pb2.Failure(message="é" * 5000), Checks())
    assert failure.message == "é" * 4096


def test_a_message_loses_what_no_database_takes() -> None:
    assert read_failure(execution_pb2.Failure(message="a\0b"), Checks()).message == "ab"


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (execution_pb2.Failure(kind=77), ["kind"]),  # type: ignore[arg-type]
        (execution_pb2.Failure(code="C" * 65), ["code"]),
        (execution_pb2.Failure(details={str(n): "" for n in range(17)}), ["details"]),
        (execution_pb2.Failure(details={"k": "v" * 257}), ["details[k]"]),
        (execution_pb2.Failure(details={"k" * 257: "v"}), [f"details[{'k' * 64}]"]),
        (execution_pb2.Failure(details={"": "v"}), ["details[]"]),
    ],
)
def test_a_failure_has_its_limits(message: execution_pb2.Failure, found: list[str]) -> None:
    checks = Checks()
    read_failure(message, checks)
    assert fields(checks) == found


def test_a_cancellation_says_who_when_and_why() -> None:
    message = cancellation_message(CANCELLATION)
    assert (message.cancelled_by, message.reason) == ("ada", "no longer wanted")
    assert message.cancelled_at.ToJsonString() == "2026-03-01T08:30:50.123456Z"


@given(st.builds(Progress, st.integers(0, 100), texts))
def test_progress_survives(progress: Progress) -> None:
    assert read_progress(progress_message(progress), Checks()) == progress


@pytest.mark.parametrize("percent", [-1, 101])
def test_progress_is_a_percentage(percent: int) -> None:
    checks = Checks()
    read_progress(execution_pb2.Progress(percent=percent), checks)
    assert fields(checks) == ["percent"]


def test_a_long_progress_message_is_cut() -> None:
    assert read_progress(execution_pb2.Progress(message="x" * 300), Checks()).message == "x" * 256
