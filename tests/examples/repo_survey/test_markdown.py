"""Figures and names are written so that they read well, alone and in tables."""

import pytest

from phaseline.examples.repo_survey.markdown import bars, code, count, plain, share, size, table


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2, "1.0 MiB"),
        (5 * 1024**4, "5.0 TiB"),
        (5000 * 1024**4, "5000.0 TiB"),
    ],
)
def test_a_size_has_a_unit(length: int, text: str) -> None:
    assert size(length) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 files"), (1, "1 file"), (1234567, "1,234,567 files")]
)
def test_one_thing_is_not_many(number: int, text: str) -> None:
    assert count(number, "file") == text


def test_nothing_has_no_share() -> None:
    assert (share(1, 3), share(0, 0)) == ("33.3%", "0.0%")


def test_code_is_fenced_by_more_than_it_has_in_it() -> None:
    assert [code("a"), code("a`b"), code("a``b`")] == ["`a`", "`` a`b ``", "``` a``b` ```"]


def test_text_is_not_taken_for_markup() -> None:
    assert plain("a_b*c|d<e>&\\") == "a\\_b\\*c\\|d\\<e\\>\\&\\\\"


def test_what_cannot_be_seen_is_written_out() -> None:
    assert (code("a\nb\t\x1b"), plain("\u202e")) == ("`a\\nb\\t\\x1b`", "\\\\u202e")


def test_a_table_aligns_what_it_is_told_to() -> None:
    assert list(table(("A", ">B"), [("x", "1")])) == ["| A | B |", "| --- | ---: |", "| x | 1 |"]


def test_the_smallest_bar_can_still_be_seen() -> None:
    assert list(bars([("a", 1000), ("b", 1)])) == [
        "```text",
        f"a  1,000  {'█' * 40}",
        "b      1  █",
        "```",
    ]
