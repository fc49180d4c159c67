"""Rounds are summed up to a line for each figure, and held against what must be."""

from __future__ import annotations

import pytest

from phaseline.bench.results import Goal, Result, summed_up


def test_a_line_has_the_median_and_the_spread_of_its_rounds() -> None:
    (line,) = summed_up([Result("rate", value, "/s") for value in (30.0, 10.0, 20.0)])
    assert (line.median, line.least, line.most) == (20.0, 10.0, 30.0)
    assert line.values == (30.0, 10.0, 20.0)


def test_lines_come_in_the_order_of_the_first_round() -> None:
    names = ["b", "a", "c", "a", "b", "c"]
    assert [line.name for line in summed_up(Result(name, 1, "") for name in names)] == [*"bac"]


def test_the_share_is_the_median_of_the_shares_and_not_the_share_of_the_medians() -> None:
    rounds = [Result("rate", 50, "/s", 100), Result("rate", 80, "/s", 100)]
    (line,) = summed_up([*rounds, Result("rate", 60, "/s", 300)])
    assert (line.median, line.ceiling, line.share) == (60, 100, 0.5)


def test_a_figure_without_a_ceiling_has_no_share() -> None:
    (line,) = summed_up([Result("p50", 3, "ms")])
    assert (line.ceiling, line.share, line.word) == (None, None, "")


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        (Goal(400, 1200), {399: "missed", 400: "met", 1199: "met", 1200: "aim"}),
        (Goal(15, 5, is_most=True), {16: "missed", 15: "met", 6: "met", 5: "aim"}),
    ],
)
def test_a_figure_misses_meets_or_reaches_what_is_aimed_for(
    goal: Goal, words: dict[float, str]
) -> None:
    assert {value: goal.word(value) for value in words} == words


def test_a_figure_with_a_ceiling_is_held_to_its_share() -> None:
    (line,) = summed_up([Result("rate", 900, "/s", 1000, Goal(0.5, 0.8))])
    assert line.word == "aim"
