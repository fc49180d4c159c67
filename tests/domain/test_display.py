"""Figures as people read them."""

from datetime import timedelta

import pytest

from phaseline.domain import display


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (950, "950"),
        (999, "999"),
        (1000, "1k"),
        (1049, "1k"),
        (1050, "1.1k"),
        (1200, "1.2k"),
        (999_949, "999.9k"),
        (999_950, "1M"),
        (1_500_000, "1.5M"),
        (2_000_000_000, "2B"),
        (12_345_000_000_000, "12345B"),
    ],
)
def test_tokens(count: int, text: str) -> None:
    assert display.tokens(count) == text


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "$0.00"),
        (1, "<$0.01"),
        (9_999_999, "<$0.01"),
        (10_000_000, "$0.01"),
        (14_999_999, "$0.01"),
        (15_000_000, "$0.02"),
        (1_230_000_000, "$1.23"),
        (999_990_000_000, "$999.99"),
        (999_994_999_999, "$999.99"),
        (999_995_000_000, "$1k"),
        (1_000_000_000_000, "$1k"),
        (1_200_000_000_000, "$1.2k"),
        (3_400_000_000_000_000, "$3.4M"),
    ],
)
def test_cost(nanos: int, text: str) -> None:
    assert display.cost(nanos) == text


@pytest.mark.parametrize(
    ("nanos", "text"), [(0, "≥$0.00"), (1, "≥$0.00"), (1_230_000_000, "≥$1.23")]
)
def test_a_cost_that_is_not_complete_says_so(nanos: int, text: str) -> None:
    assert display.cost(nanos, is_complete=False) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "<1s"),
        (0.9, "<1s"),
        (1, "1s"),
        (5.9, "5s"),
        (59.9, "59s"),
        (60, "1m 0s"),
        (134, "2m 14s"),
        (3599, "59m 59s"),
        (3720, "1h 2m"),
        (90_000, "25h 0m"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert display.duration(timedelta(seconds=seconds)) == text


def test_no_duration_is_a_dash() -> None:
    assert display.duration(None) == "—"


@pytest.mark.parametrize(
    ("names", "text"), [((), ""), (("a/b",), "a/b"), (("a/b", "c/d", "e/f"), "a/b +2")]
)
def test_repos(names: tuple[str, ...], text: str) -> None:
    assert display.repos(names) == text
