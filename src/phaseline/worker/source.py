"""Where a worker gets its phases from, and where its reports go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Protocol, Self, TypeVar

import grpc
from msgspec.structs import replace

from phaseline.domain.errors import InvalidArgument, NotFound
from phaseline.domain.payload import Payload
from phaseline.domain.report import Directive, LeaseRequest, Report
from phaseline.v1 import (
    execution_pb2,
    execution_service_pb2,
    execution_service_pb2_grpc,
    worker_service_pb2,
    worker_service_pb2_grpc,
)
from phaseline.wire.channel import Endpoint
from phaseline.wire.payloads import payload_of
from phaseline.wire.status import error_of
from phaseline.worker.assignment import Assignment
from phaseline.worker.clock import Clock, SystemClock, sleep
from phaseline.worker.translate import (
    assignment_of,
    directive_of,
    lease_message,
    reports_message,
)

_T = TypeVar("_T")

Metadata = tuple[tuple[str, str], ...]

#: How much longer than it waits for phases a poll may take; the contract wants a second at least.
_BEYOND_THE_WAIT = timedelta(seconds=10)
_REPORT_TIMEOUT = timedelta(seconds=30)
_GET_TIMEOUT = timedelta(seconds=30)


class Source(Protocol):
    """
    A server, as a worker sees it.

    Both calls may be repeated as they are: they raise `Unavailable` or `DeadlineExceeded` when it
    is not known whether they were done, and a repetition then tells what the first one did.
    """

    async def lease(self, request: LeaseRequest) -> list[Assignment]:
        """Return phases, as soon as there is one, or none when the wait is over."""
        ...

    async def report(
        self, reports: Sequence[Report], next: LeaseRequest | None
    ) -> tuple[list[Directive], list[Assignment]]:
        """
        Store reports of different leases, and lease more phases without waiting for any.

        Returns one directive for each report, in order. A lost lease is told by its directive.
        """
        ...


class GrpcSource:
    """
    A server that is reached by gRPC. Make it on the event loop that uses it.

    *metadata* is called for the headers of each call.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        metadata: Callable[[], Metadata] = tuple,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._channel = channel
        self._metadata = metadata
        self._worker = worker_service_pb2_grpc.WorkerServiceStub(channel)
        self._executions = execution_service_pb2_grpc.ExecutionServiceStub(channel)
        self._poll_after = 0.0

    @classmethod
    def connect(
        cls, address: str, *, token: str | None = None, ca: bytes | None = None, tls: bool = False
    ) -> Self:
        """
        Return a source at *address*.

        *ca* is the PEM of certificates to trust instead of those of the system; it means *tls*.
        """
        server = Endpoint(address, token, ca, tls, agent="phaseline-worker")
        return cls(server.aio_channel(), server.metadata)

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def lease(self, request: LeaseRequest) -> list[Assignment]:
        pause = self._poll_after - self._clock.time()
        if pause > 0:
            await sleep(self._clock, timedelta(seconds=pause))
        timeout = request.wait + _BEYOND_THE_WAIT
        answer = await _told(
            self._worker.LeasePhases(
                lease_message(request),
                timeout=timeout.total_seconds(),
                metadata=self._metadata(),
            )
        )
        return await self._leased(answer)

    async def report(
        self, reports: Sequence[Report], next: LeaseRequest | None
    ) -> tuple[list[Directive], list[Assignment]]:
        try:
            message = reports_message(reports, next)
        except (TypeError, ValueError) as error:
            # Such as text that is no Unicode.
            raise InvalidArgument(f"cannot be told: {error}") from error
        answer = await _told(
            self._worker.ReportPhases(
                message, timeout=_REPORT_TIMEOUT.total_seconds(), metadata=self._metadata()
            )
        )
        directives = [directive_of(each) for each in answer.directives]
        return directives, await self._leased(answer.next)

    async def _leased(self, answer: worker_service_pb2.LeasePhasesResponse) -> list[Assignment]:
        if answer.HasField("poll_delay"):
            delay = answer.poll_delay.ToTimedelta().total_seconds()
            self._poll_after = self._clock.time() + delay
        return [await self._whole(assignment_of(lease)) for lease in answer.leases]

    async def _whole(self, assignment: Assignment) -> Assignment:
        """Return *assignment* with the outputs that were too large for the answer."""
        left_out = [
            phase_id
            for phase_id, output in assignment.outputs.items()
            if output.data is None and not output.uri
        ]
        if not left_out:
            return assignment
        fetched = {phase_id: await self._output(assignment, phase_id) for phase_id in left_out}
        return replace(assignment, outputs={**assignment.outputs, **fetched})

    async def _output(self, assignment: Assignment, phase_id: str) -> Payload:
        request = execution_service_pb2.GetRequest(
            execution_id=assignment.execution_id,
            view=execution_pb2.EXECUTION_VIEW_FULL,
            phase_ids=[phase_id],
        )
        try:
            answer = await _told(
                self._executions.Get(
                    request, timeout=_GET_TIMEOUT.total_seconds(), metadata=self._metadata()
                )
            )
        except NotFound:
            # Deleted meanwhile: then the lease is lost, too, as the first report will tell.
            return assignment.outputs[phase_id]
        return payload_of(answer.execution.phases[0].output)


async def _told(call: Awaitable[_T]) -> _T:
    """Return the answer of *call*, or raise what its status stands for."""
    try:
        return await call
    except grpc.RpcError as error:
        failure = error_of(error)
    raise failure
