"""Results are shown as a table and as JSON."""

from __future__ import annotations

import json

import pytest

from phaseline.bench.plan import Plan
from phaseline.bench.report import Report, number, table
from phaseline.bench.results import Goal, Result, summed_up

LINES = summed_up(
    [
        Result("execute", 1234.5, "/s", 2469, Goal(0.5, 0.8)),
        Result("execute, p99", 3.14159, "ms", goal=Goal(2, 1, is_most=True)),
        Result("memory", 0.5, "kB"),
    ]
)


def test_a_table_lines_up_names_figures_shares_and_goals() -> None:
    assert table(LINES).splitlines() == [
        "              median  least   most      of echo    must",
        "execute        1,234  1,234  1,234  /s     0.50  >= 0.5  met",
        "execute, p99    3.14   3.14   3.14  ms             <= 2  missed",
        "memory           0.5    0.5    0.5  kB",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01234, "0.0123"), (99.96, "100"), (100, "100"), (1_234_567.8, "1,234,568")],
)
def test_a_number_has_the_digits_that_matter(value: float, text: str) -> None:
    assert number(value) == text


def test_the_text_says_on_what_and_for_how_long() -> None:
    report = Report({"processor": "a fast one"}, Plan(rounds=2, seconds=1.5), LINES, {})
    text = report.text().splitlines()
    assert text[:2] == ["processor: a fast one", "measured: 2 rounds, 1.5 s for each rate"]


def test_the_text_ends_with_what_could_not_be_measured_and_why() -> None:
    report = Report({}, Plan(), LINES, {"restart": "phaseline serve ended: out of memory"})
    last = report.text().splitlines()[-1]
    assert last == "not measured: restart: phaseline serve ended: out of memory"


def test_the_json_has_every_round_of_every_figure() -> None:
    report = Report({"python": "3.11"}, Plan(), LINES, {})
    read = json.loads(report.json())
    assert read["machine"] == {"python": "3.11"}
    assert read["plan"]["rounds"] == 3
    assert read["lines"][0] == {
        "name": "execute",
        "unit": "/s",
        "median": 1234.5,
        "least": 1234.5,
        "most": 1234.5,
        "values": [1234.5],
        "ceiling": 2469.0,
        "share": 0.5,
        "goal": {"must": 0.5, "aim": 0.8, "is_most": False},
    }
