"""What people write after an option is read, or refused with the name of the option."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from phaseline.cli import parsing
from phaseline.cli.failures import Refused
from tests.support.messages import NOON


def test_pairs_are_split_at_the_first_sign() -> None:
    assert parsing.pairs(["a=1", "b=x=y", "c="], "--input") == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize("text", ["a", "=a", ""])
def test_what_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="--input must be KEY=VALUE"):
        parsing.pairs([text], "--input")


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(Refused, match="--input a is given twice"):
        parsing.pairs(["a=1", "a=2"], "--input")


def test_values_can_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("é\n", encoding="utf-8")
    assert parsing.files([f"a={tmp_path / 'note'}"], "--input-file") == {"a": "é\n"}


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(Refused, match="--input-file cannot read missing: No such file"):
        parsing.files(["a=missing"], "--input-file")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"\xff\xd8")
    with pytest.raises(Refused, match="must be a text file in UTF-8"):
        parsing.files([f"a={tmp_path / 'image'}"], "--input-file")


def test_a_duration_that_is_none_is_refused_by_name() -> None:
    assert parsing.duration("", "--run-timeout") is None
    assert parsing.duration("2h", "--run-timeout") == timedelta(hours=2)
    with pytest.raises(Refused, match=r"--run-timeout must be a duration .* is 'soon'"):
        parsing.duration("soon", "--run-timeout")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T12:00:00Z", NOON),
        ("2026-01-31T13:00:00+01:00", NOON),
        ("2h", NOON - timedelta(hours=2)),
        ("", None),
    ],
)
def test_a_time_in_the_past_is_a_moment_or_how_long_ago(text: str, moment: datetime | None) -> None:
    assert parsing.past(text, NOON, "--created-after") == moment


@pytest.mark.parametrize("text", ["30m", "+30m"])
def test_a_time_to_come_may_be_a_duration_from_now(text: str) -> None:
    assert parsing.future(text, NOON, "--start-at") == NOON + timedelta(minutes=30)


def test_a_time_without_zone_is_local() -> None:
    moment = parsing.past("2026-01-31T12:00:00", NOON, "--created-after")
    assert moment == datetime(2026, 1, 31, 12).astimezone(UTC)


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(Refused, match=r"--start-at must be a time such as .* is 'noon'"):
        parsing.future("noon", NOON, "--start-at")
