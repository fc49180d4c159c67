"""Moments and spans of time as messages, built from integers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400
_NO_TIME = timedelta()


def timestamp(moment: datetime) -> Timestamp:
    """Return *moment* as a message."""
    since = moment - _EPOCH
    return Timestamp(seconds=since.days * _DAY + since.seconds, nanos=since.microseconds * 1000)


def duration(span: timedelta) -> Duration:
    """Return *span* as a message; what clocks made negative is none."""
    if span < _NO_TIME:
        return Duration()
    return Duration(seconds=span.days * _DAY + span.seconds, nanos=span.microseconds * 1000)


def optional_timestamp(moment: datetime | None) -> Timestamp | None:
    """Return *moment* as a message, or none."""
    return None if moment is None else timestamp(moment)


def optional_duration(span: timedelta | None) -> Duration | None:
    """Return *span* as a message, or none."""
    return None if span is None else duration(span)


# Where speed counts, a message within another is filled in its place: made apart, it would be
# copied there, which takes twice as long.


def put_timestamp(place: Timestamp, moment: datetime) -> None:
    """Put *moment* into *place*."""
    since = moment - _EPOCH
    place.seconds = since.days * _DAY + since.seconds
    place.nanos = since.microseconds * 1000


def put_duration(place: Duration, span: timedelta) -> None:
    """Put *span*, which is not negative, into *place*."""
    place.seconds = span.days * _DAY + span.seconds
    place.nanos = span.microseconds * 1000


def ran(started: datetime, completed: datetime | None, now: datetime) -> timedelta:
    """Return how long something ran that may still be running."""
    return max((now if completed is None else completed) - started, _NO_TIME)
