"""Moments and spans of time are built from integers."""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from phaseline.wire.scalars import (
    duration,
    optional_duration,
    optional_timestamp,
    put_duration,
    put_timestamp,
    ran,
    timestamp,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_timestamp_is_what_protobuf_makes_of_it(moment: datetime) -> None:
    expected = Timestamp()
    expected.FromDatetime(moment)
    place = Timestamp()
    put_timestamp(place, moment)
    assert timestamp(moment) == place == expected


@given(st.timedeltas(timedelta(), timedelta(days=100_000)))
def test_a_duration_is_what_protobuf_makes_of_it(span: timedelta) -> None:
    expected = Duration()
    expected.FromTimedelta(span)
    place = Duration()
    put_duration(place, span)
    assert duration(span) == place == expected


def test_a_span_that_clocks_made_negative_is_none() -> None:
    assert duration(timedelta(microseconds=-1)) == Duration()


def test_what_is_unset_stays_unset() -> None:
    assert optional_timestamp(None) is None
    assert optional_duration(None) is None


@pytest.mark.parametrize(
    ("started", "completed", "span"),
    [
        (NOW - MINUTE, None, MINUTE),
        (NOW - MINUTE, NOW - MINUTE / 2, MINUTE / 2),
        (NOW + MINUTE, None, timedelta()),
    ],
)
def test_what_runs_runs_until_now(
    started: datetime, completed: datetime | None, span: timedelta
) -> None:
    assert ran(started, completed, NOW) == span
