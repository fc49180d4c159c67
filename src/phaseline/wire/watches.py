"""What is asked of a watch."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from phaseline.app.queries import ExecutionFilter
from phaseline.v1 import execution_service_pb2
from phaseline.wire.filters import read_optional_filter
from phaseline.wire.reading import NOTHING, Checks
from phaseline.wire.views import read_view

_SHORTEST_INTERVAL = timedelta(seconds=1)
_LONGEST_INTERVAL = timedelta(seconds=300)
_LONGEST_PAUSE = timedelta(seconds=60)
_TOKEN_LENGTH = 4096


class AskedWatch(msgspec.Struct, frozen=True):
    """A watch of one execution; without a token from its present state."""

    execution_id: str
    resume_token: str
    full: bool
    descendants: bool
    bookmark_interval: timedelta


class AskedWatchActive(msgspec.Struct, frozen=True):
    """A watch of all active executions that match; without a token from the present state."""

    matching: ExecutionFilter
    resume_token: str
    min_interval: timedelta
    bookmark_interval: timedelta


def read_watch(
    message: execution_service_pb2.WatchRequest, *, bookmark_interval: timedelta
) -> AskedWatch:
    """Read a WatchRequest, *bookmark_interval* for one that does not say."""
    checks = Checks()
    asked = AskedWatch(
        checks.id("execution_id", message.execution_id),
        checks.text("resume_token", message.resume_token, _TOKEN_LENGTH),
        read_view(message.view, checks, full=False),
        message.include_descendants,
        _read_interval(message, checks, bookmark_interval),
    )
    checks.conclude()
    return asked


def read_watch_active(
    message: execution_service_pb2.WatchActiveRequest, *, bookmark_interval: timedelta
) -> AskedWatchActive:
    """Read a WatchActiveRequest, *bookmark_interval* for one that does not say."""
    checks = Checks()
    asked = AskedWatchActive(
        read_optional_filter(message, checks),
        checks.text("resume_token", message.resume_token, _TOKEN_LENGTH),
        (
            checks.span("min_interval", message.min_interval, most=_LONGEST_PAUSE)
            if message.HasField("min_interval")
            else NOTHING
        ),
        _read_interval(message, checks, bookmark_interval),
    )
    checks.conclude()
    return asked


def _read_interval(
    message: execution_service_pb2.WatchRequest | execution_service_pb2.WatchActiveRequest,
    checks: Checks,
    default: timedelta,
) -> timedelta:
    if not message.HasField("bookmark_interval"):
        return default
    return checks.span(
        "bookmark_interval",
        message.bookmark_interval,
        least=_SHORTEST_INTERVAL,
        most=_LONGEST_INTERVAL,
    )
