"""What is asked about one execution, or about one tree."""

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


class AskedTree(msgspec.Struct, frozen=True):
    """A tree, by its top or by a chat message; one of them is empty."""

    execution_id: str
    chat_message_id: str


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


def read_get_nesting(message: execution_service_pb2.GetNestingRequest) -> AskedTree:
    """Read a GetNestingRequest; raise `InvalidArgument`."""
    checks = Checks()
    asked = AskedTree(
        checks.text("execution_id", message.execution_id, ID_LENGTH),
        checks.text("chat_message_id", message.chat_message_id, ID_LENGTH),
    )
    checks.conclude()
    return asked
