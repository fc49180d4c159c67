"""What is wrong with the fields of a request is noted, and told all at once."""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given
from hypothesis import strategies as st

from phaseline.domain.errors import InvalidArgument, Reason
from phaseline.wire.reading import LONGEST_SPAN, Checks
from phaseline.wire.scalars import duration, timestamp

SECOND = timedelta(seconds=1)


def told(checks: Checks) -> dict[str, str]:
    """Return what was noted, by field."""
    return {each.field: each.description for each in checks.found}


def test_nothing_is_raised_while_nothing_is_wrong() -> None:
    checks = Checks()
    assert checks.text("name", "ada", 3) == "ada"
    checks.conclude()


def test_all_that_is_wrong_is_raised_at_once() -> None:
    checks = Checks()
    checks.text("name", "", 3, required=True)
    checks.number("page_size", 101, least=1, most=100)
    with pytest.raises(InvalidArgument, match="name is required; page_size must be 1 to 100") as e:
        checks.conclude()
    assert [each.field for each in e.value.violations] == ["name", "page_size"]


@pytest.mark.parametrize(
    ("value", "description"),
    [
        ("", "is required"),
        ("abcd", "must have at most 3 characters, has 4"),
        ("a\0", "must not contain the character U+0000"),
    ],
)
def test_a_text_has_its_length(value: str, description: str) -> None:
    checks = Checks()
    checks.text("name", value, 3, required=True)
    assert told(checks) == {"name": description}


def test_an_id_is_required() -> None:
    checks = Checks()
    checks.id("execution_id", "")
    checks.id("phase_id", "x" * 129)
    assert list(told(checks)) == ["execution_id", "phase_id"]


def test_an_optional_text_may_be_empty() -> None:
    checks = Checks()
    checks.text("name", "", 3)
    assert checks.found == []


def test_characters_are_counted_and_not_bytes() -> None:
    checks = Checks()
    checks.text("name", "äöü", 3)
    assert checks.found == []


@pytest.mark.parametrize("value", ["", "\0", "x" * 129])
def test_each_text_of_a_list_is_checked(value: str) -> None:
    checks = Checks()
    checks.texts("names", ["a", value], most=2)
    assert list(told(checks)) == ["names[1]"]


def test_a_list_has_its_length() -> None:
    checks = Checks()
    assert checks.texts("names", ["a", "b", "c"], most=2) == ()
    assert told(checks) == {"names": "must be at most 2, there are 3"}


@pytest.mark.parametrize(("value", "read"), [(0, 50), (1, 1), (100, 100)])
def test_zero_stands_for_the_default(value: int, read: int) -> None:
    checks = Checks()
    assert checks.number("page_size", value, least=1, most=100, default=50) == read
    assert checks.found == []


@pytest.mark.parametrize("value", [-1, 101])
def test_a_number_has_its_range(value: int) -> None:
    checks = Checks()
    checks.number("page_size", value, least=1, most=100, default=50)
    assert told(checks) == {"page_size": f"must be 1 to 100, is {value}"}


def test_zero_is_a_number_where_there_is_no_default() -> None:
    checks = Checks()
    assert checks.number("percent", 0, least=0, most=100) == 0
    assert checks.found == []


def test_an_enum_value_is_looked_up() -> None:
    checks = Checks()
    assert checks.choice("status", 2, {1: "a", 2: "b"}) == "b"
    assert checks.choice("status", 0, {1: "a", 2: "b"}, "b") == "b"
    assert checks.found == []


@pytest.mark.parametrize("value", [0, 3, -1])
def test_an_unknown_enum_value_is_wrong(value: int) -> None:
    checks = Checks()
    checks.choice("status", value, {1: "a", 2: "b"})
    assert told(checks) == {"status": f"has the unknown value {value}"}


def test_false_is_a_value_to_choose() -> None:
    checks = Checks()
    assert checks.choice("view", 1, {1: False, 2: True}) is False
    assert checks.choice("view", 0, {1: False, 2: True}, False) is False
    assert checks.found == []


@given(st.timedeltas(timedelta(), LONGEST_SPAN))
def test_a_duration_survives(span: timedelta) -> None:
    checks = Checks()
    assert checks.span("wait", duration(span)) == span
    assert checks.found == []


@pytest.mark.parametrize(
    ("value", "description"),
    [
        (Duration(seconds=61), "must be 1s to 1m, is 1m1s"),
        (Duration(nanos=999_999_999), "must be 1s to 1m, is 999ms999us"),
        (Duration(seconds=-2), "must be 1s to 1m, is -2s"),
        (Duration(seconds=2, nanos=-1), "must be a valid duration"),
        (Duration(seconds=2, nanos=1_000_000_000), "must be a valid duration"),
        (Duration(seconds=2**62), "must be a valid duration"),
        (Duration(seconds=-(2**62)), "must be a valid duration"),
    ],
)
def test_a_duration_has_its_range(value: Duration, description: str) -> None:
    checks = Checks()
    assert checks.span("wait", value, least=SECOND, most=60 * SECOND) == SECOND
    assert told(checks) == {"wait": description}


def test_what_is_less_than_a_microsecond_is_nothing() -> None:
    assert Checks().span("wait", Duration(nanos=999)) == timedelta()


def test_no_duration_is_too_long_to_be_added_to_a_moment() -> None:
    checks = Checks()
    checks.span("run_timeout", duration(LONGEST_SPAN + SECOND))
    assert told(checks) == {"run_timeout": "must be 0s to 36500d, is 36500d1s"}


@given(st.datetimes(timezones=st.just(UTC)))
@example(datetime.min.replace(tzinfo=UTC))
@example(datetime.max.replace(tzinfo=UTC))
def test_a_timestamp_survives(moment: datetime) -> None:
    checks = Checks()
    assert checks.moment("start_at", timestamp(moment)) == moment
    assert checks.found == []


@pytest.mark.parametrize(
    "value",
    [
        Timestamp(seconds=2**62),
        Timestamp(seconds=-(2**62)),
        Timestamp(seconds=253_402_300_800),
        Timestamp(seconds=-62_135_596_801),
        Timestamp(nanos=-1),
        Timestamp(nanos=1_000_000_000),
    ],
)
def test_a_timestamp_is_in_the_calendar(value: Timestamp) -> None:
    checks = Checks()
    checks.moment("start_at", value)
    assert told(checks) == {"start_at": "must be a valid timestamp"}


def test_an_amount_is_read_exactly() -> None:
    assert Checks().amount("cost_usd", "0.000000075") == 75


@pytest.mark.parametrize("value", ["-1", "1e3", "1.0000000001", "1234567890", "", " 1", "\u0661"])
def test_an_amount_is_a_decimal(value: str) -> None:
    checks = Checks()
    checks.amount("cost_usd", value)
    assert "must be a decimal" in told(checks)["cost_usd"]


def test_what_was_noted_moves_into_the_message_around_it() -> None:
    checks = Checks()
    checks.note("name", "is required")
    known = len(checks.found)
    checks.note("model", "is required")
    checks.within(known, "usage", 3)
    checks.within(0, "report")
    checks.within(0, "")
    assert list(told(checks)) == ["report.name", "report.usage[3].model"]


def test_a_note_has_a_reason() -> None:
    checks = Checks()
    checks.note("payload", "is too large", Reason.PAYLOAD_TOO_LARGE)
    assert checks.found[0].reason == "PAYLOAD_TOO_LARGE"
