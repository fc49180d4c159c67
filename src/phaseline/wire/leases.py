"""What workers ask for when they poll."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from phaseline.domain.ids import ID_LENGTH
from phaseline.domain.report import LeaseRequest
from phaseline.domain.workflow import DEFAULT_QUEUE
from phaseline.v1 import worker_service_pb2
from phaseline.wire.reading import Checks

_LONGEST_WAIT = timedelta(seconds=60)
_MOST_PHASES = 100
_MOST_QUEUES = 64
_MOST_HANDLERS = 256
_SHORTEST_LEASE = timedelta(seconds=5)
_LONGEST_LEASE = timedelta(minutes=10)


class LeaseDefaults(msgspec.Struct, frozen=True):
    """What a worker gets that does not say."""

    wait: timedelta = timedelta(seconds=30)
    duration: timedelta = timedelta(seconds=30)


def read_lease_request(
    message: worker_service_pb2.LeasePhasesRequest, defaults: LeaseDefaults
) -> LeaseRequest:
    """Read a poll; raise `InvalidArgument`."""
    checks = Checks()
    request = _read(message, checks, defaults)
    checks.conclude()
    return request


def read_next(
    message: worker_service_pb2.ReportPhasesRequest, defaults: LeaseDefaults
) -> LeaseRequest | None:
    """Read what a report asks for besides; raise `InvalidArgument`."""
    if not message.HasField("next"):
        return None
    checks = Checks()
    request = _read(message.next, checks, defaults)
    checks.within(0, "next")
    checks.conclude()
    return request


def _read(
    message: worker_service_pb2.LeasePhasesRequest, checks: Checks, defaults: LeaseDefaults
) -> LeaseRequest:
    return LeaseRequest(
        worker_id=checks.id("worker_id", message.worker_id),
        request_id=checks.id("request_id", message.request_id),
        queue_names=(
            checks.texts("queue_names", message.queue_names, most=_MOST_QUEUES) or (DEFAULT_QUEUE,)
        ),
        handlers=checks.texts("handlers", message.handlers, most=_MOST_HANDLERS),
        deployment_id=checks.text("deployment_id", message.deployment_id, ID_LENGTH),
        max_phases=checks.number(
            "max_phases", message.max_phases, least=1, most=_MOST_PHASES, default=1
        ),
        wait=(
            checks.span("wait", message.wait, most=_LONGEST_WAIT)
            if message.HasField("wait")
            else defaults.wait
        ),
        lease_duration=(
            checks.span(
                "lease_duration",
                message.lease_duration,
                least=_SHORTEST_LEASE,
                most=_LONGEST_LEASE,
            )
            if message.HasField("lease_duration")
            else defaults.duration
        ),
    )
