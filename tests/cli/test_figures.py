"""Figures are short, and never do anything to a terminal."""

from datetime import timedelta

import pytest

from phaseline.cli import figures
from phaseline.v1 import execution_pb2, usage_pb2
from tests.support import messages
from tests.support.messages import NOON


def test_text_of_others_cannot_steer_the_terminal() -> None:
    assert figures.plain("a\x1b[31mb\x9b2Jc\x07\n d\u202e") == "a [31mb 2Jc  d "
    assert figures.printable("one\x1b[2J\n\ttwo\r") == "one�[2J\n    two"


@pytest.mark.parametrize(
    ("cost", "complete", "text"),
    [("0", True, "$0.00"), ("0.42", True, "$0.42"), ("0.42", False, "≥$0.42"), ("", True, "$0.00")],
)
def test_a_cost_says_when_it_is_a_lower_bound(cost: str, complete: bool, text: str) -> None:
    assert figures.cost(messages.usage(1, cost, complete=complete)) == text


def test_the_cost_of_a_model_without_a_price_is_unknown() -> None:
    assert figures.model_cost(usage_pb2.ModelUsage(model="m")) == "unknown"
    assert figures.model_cost(usage_pb2.ModelUsage(model="m", cost_usd="1.5")) == "$1.50"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (7200, "2h"),
        (86_400, "1d"),
        (200_000, "2d"),
        (-5, "0s"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(seconds: int, text: str) -> None:
    assert figures.age(messages.timestamp(), NOON + timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (3 << 20, "3 MiB"),
        (5 << 40, "5120 GiB"),
    ],
)
def test_a_size_has_the_largest_unit_that_fits(length: int, text: str) -> None:
    assert figures.size(length) == text


def test_things_are_counted_in_words() -> None:
    assert [figures.count(n, "artifact") for n in (0, 1, 1200)] == [
        "0 artifacts",
        "1 artifact",
        "1,200 artifacts",
    ]


def test_ids_are_cut_to_what_tells_them_apart() -> None:
    ids = ["0192f3a1-c7b2-7c3a-9e2f-1b2c3d4e5f60", "0192f3a1-c7b3-7c3a-9e2f-1b2c3d4e5f60"]
    assert list(figures.short_ids(ids).values()) == ["0192f3a1-c7b2", "0192f3a1-c7b3"]


def test_ids_of_one_millisecond_are_told_apart_all_the_same() -> None:
    ids = ["0192f3a1-c7b2-7c3a-9e2f-1b2c3d4e5f60", "0192f3a1-c7b2-7c3b-9e2f-1b2c3d4e5f60"]
    assert list(figures.short_ids(ids).values()) == ["0192f3a1-c7b2-7c3a", "0192f3a1-c7b2-7c3b"]


def test_ids_that_are_short_stay_whole() -> None:
    assert figures.short_ids(["nightly-1", "nightly-10"]) == {
        "nightly-1": "nightly-1",
        "nightly-10": "nightly-10",
    }
    assert figures.short_ids([]) == {}


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (execution_pb2.Payload(data=b'{"a": 1}'), '{"a": 1}'),
        (execution_pb2.Payload(uri="s3://bucket/key"), "s3://bucket/key"),
        (execution_pb2.Payload(data=b"\xff\xfe", media_type="image/png"), "(2 B of image/png)"),
        (execution_pb2.Payload(), "(left out)"),
    ],
)
def test_a_payload_shows_its_text_or_what_it_is(payload: execution_pb2.Payload, text: str) -> None:
    assert figures.payload_text(payload) == text


def test_a_failure_is_told_by_code_and_message() -> None:
    failure = execution_pb2.Failure(code="RATE_LIMITED", message="too many\nrequests")
    assert figures.failure(failure) == "RATE_LIMITED: too many requests"
    assert figures.failure(execution_pb2.Failure(message="odd")) == "odd"
    assert figures.failure(execution_pb2.Failure()) == "failed"
