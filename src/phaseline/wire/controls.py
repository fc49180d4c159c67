"""What is asked to be done to an execution."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from phaseline.domain.ids import ID_LENGTH
from phaseline.v1 import execution_service_pb2
from phaseline.wire.reading import Checks

_LONGEST_GRACE = timedelta(minutes=10)
_SHORTEST_RUN = timedelta(microseconds=1)
_REASON_LENGTH = 1024


class AskedControl(msgspec.Struct, frozen=True):
    """A control that needs to know no more."""

    execution_id: str
    request_id: str


class AskedCancel(msgspec.Struct, frozen=True):
    """An end to an execution."""

    execution_id: str
    reason: str
    grace: timedelta
    request_id: str


class AskedRetry(msgspec.Struct, frozen=True):
    """Another run of an execution; what is None stays as it is."""

    execution_id: str
    max_budget_nanos: int | None
    run_timeout: timedelta | None
    request_id: str


def read_control(
    message: execution_service_pb2.PauseRequest
    | execution_service_pb2.ResumeRequest
    | execution_service_pb2.PurgeRequest,
) -> AskedControl:
    """Read a request that names an execution only; raise `InvalidArgument`."""
    checks = Checks()
    asked = AskedControl(
        checks.id("execution_id", message.execution_id),
        checks.text("request_id", message.request_id, ID_LENGTH),
    )
    checks.conclude()
    return asked


def read_cancel(message: execution_service_pb2.CancelRequest, *, grace: timedelta) -> AskedCancel:
    """Read a CancelRequest, *grace* for one that does not say; raise `InvalidArgument`."""
    checks = Checks()
    asked = AskedCancel(
        checks.id("execution_id", message.execution_id),
        checks.text("reason", message.reason, _REASON_LENGTH),
        (
            checks.span("grace_period", message.grace_period, most=_LONGEST_GRACE)
            if message.HasField("grace_period")
            else grace
        ),
        checks.text("request_id", message.request_id, ID_LENGTH),
    )
    checks.conclude()
    return asked


def read_retry(message: execution_service_pb2.RetryRequest) -> AskedRetry:
    """Read a RetryRequest; raise `InvalidArgument`."""
    checks = Checks()
    asked = AskedRetry(
        checks.id("execution_id", message.execution_id),
        (
            checks.amount("max_budget_usd", message.max_budget_usd)
            if message.max_budget_usd
            else None
        ),
        (
            checks.span("run_timeout", message.run_timeout, least=_SHORTEST_RUN)
            if message.HasField("run_timeout")
            else None
        ),
        checks.text("request_id", message.request_id, ID_LENGTH),
    )
    checks.conclude()
    return asked
