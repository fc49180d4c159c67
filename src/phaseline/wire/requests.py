"""What is asked about one execution."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from phaseline.domain.ids import ID_LENGTH
from phaseline.v1 import execution_service_pb2
from phaseline.wire.reading import Checks
from phaseline.wire.views import read_view

_MOST_PHASES = 100
_LONGEST_WAIT = timedelta(seconds=60)
_WAIT = timedelta(seconds=30)
_LAST_REVISION = 2**63 - 1
_LONGEST_GRACE = timedelta(minutes=10)
_REASON_LENGTH = 1024


class AskedStatus(msgspec.Struct, frozen=True):
    """How far an execution is, of that workflow if it is given."""

    execution_id: str
    workflow_id: str


class AskedExecution(msgspec.Struct, frozen=True):
    """An execution, in full with these phases; with all if there are none."""

    execution_id: str
    full: bool
    phase_ids: tuple[str, ...]


class AskedWait(msgspec.Struct, frozen=True):
    """An execution, once it is past a revision, or terminal if that is 0."""

    execution_id: str
    after_revision: int
    timeout: timedelta
    full: bool


class AskedCancel(msgspec.Struct, frozen=True):
    """An end to an execution."""

    execution_id: str
    reason: str
    grace: timedelta
    request_id: str


def read_get_status(message: execution_service_pb2.GetStatusRequest) -> AskedStatus:
    """Read a GetStatusRequest; raise `InvalidArgument`."""
    checks = Checks()
    asked = AskedStatus(
        checks.id("execution_id", message.execution_id),
        checks.text("workflow_id", message.workflow_id, ID_LENGTH),
    )
    checks.conclude()
    return asked


def read_get(message: execution_service_pb2.GetRequest) -> AskedExecution:
    """Read a GetRequest; raise `InvalidArgument`."""
    checks = Checks()
    asked = AskedExecution(
        checks.id("execution_id", message.execution_id),
        read_view(message.view, checks, full=True),
        checks.texts("phase_ids", message.phase_ids, most=_MOST_PHASES),
    )
    checks.conclude()
    return asked


def read_wait(message: execution_service_pb2.WaitRequest) -> AskedWait:
    """Read a WaitRequest; raise `InvalidArgument`."""
    checks = Checks()
    asked = AskedWait(
        checks.id("execution_id", message.execution_id),
        checks.number("after_revision", message.after_revision, least=0, most=_LAST_REVISION),
        (
            checks.span("timeout", message.timeout, most=_LONGEST_WAIT)
            if message.HasField("timeout")
            else _WAIT
        ),
        read_view(message.view, checks, full=True),
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
