"""Exact money, inside and outside."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseline.domain.money import MAX_NANOS, format_amount, parse_amount


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("0", 0),
        ("1", 1_000_000_000),
        ("12.5", 12_500_000_000),
        ("0.000000075", 75),
        ("007", 7_000_000_000),
        ("1.500000000", 1_500_000_000),
        ("999999999.999999999", MAX_NANOS),
    ],
)
def test_amounts_are_read_exactly(text: str, nanos: int) -> None:
    assert parse_amount(text) == nanos


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1e3",
        ".5",
        "1.",
        "1,5",
        " 1",
        "1 ",
        "1_0",
        "٣",
        "1.0000000001",
        "1" * 10,
        "NaN",
    ],
)
def test_anything_else_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match="must be a decimal"):
        parse_amount(text)


@pytest.mark.parametrize(
    ("nanos", "text"),
    [(0, "0"), (75, "0.000000075"), (12_500_000_000, "12.5"), (10_000_000_000, "10")],
)
def test_amounts_are_written_as_short_as_they_can_be(nanos: int, text: str) -> None:
    assert format_amount(nanos) == text


@given(st.integers(0, MAX_NANOS))
def test_an_amount_survives_the_round_trip(nanos: int) -> None:
    assert parse_amount(format_amount(nanos)) == nanos
