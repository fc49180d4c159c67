"""Durations are read as people write them, and written so that they are read alike."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseline.domain.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("5min", 300),
        ("1h", 3600),
        ("7d", 604800),
        ("2w", 1209600),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1.5h", 5400),
        ("250ms", 0.25),
        ("90", 90),
        ("0.5", 0.5),
        (" 30s ", 30),
        ("PT30S", 30),
        ("P1DT2H", 93600),
        ("P2W", 1209600),
        ("PT1.5M", 90),
    ],
)
def test_a_duration_is_read_in_every_form(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "s", "-5s", "5 parsecs", "P", "PT", "1e3", "5s!", "٣s", "nan"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a duration such as"):
        parse_duration(text)


def test_a_duration_too_long_to_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        parse_duration("999999999999w")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (30, "30s"), (90, "1m30s"), (1800, "30m"), (604800, "7d"), (0.25, "250ms")],
)
def test_a_duration_is_written_shortly(seconds: float, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=10_000)))
def test_what_is_written_reads_as_the_same_duration(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration
