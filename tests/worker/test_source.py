"""A worker reaches its server by gRPC, and is told what went wrong as our errors."""

import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import pytest

from phaseline.domain.errors import DeadlineExceeded, InvalidArgument, Unauthenticated, Unavailable
from phaseline.domain.payload import text_payload
from phaseline.domain.report import (
    Completed,
    DirectiveAction,
    LeaseRequest,
    OperationReport,
    Report,
)
from phaseline.v1 import (
    execution_pb2,
    execution_service_pb2,
    worker_service_pb2,
    worker_service_pb2_grpc,
)
from phaseline.worker.source import GrpcSource

POLL = LeaseRequest("worker-1", "request-1", wait=timedelta(seconds=1))


class Server(worker_service_pb2_grpc.WorkerServiceServicer):
    """Answers what a test says, and keeps what it was asked."""

    def __init__(self) -> None:
        self.leases: list[worker_service_pb2.PhaseLease] = []
        self.seen: list[Any] = []
        self.metadata: dict[str, Any] = {}
        self.seconds_left = 0.0
        self.poll_delay = timedelta()
        self.refuses: grpc.StatusCode | None = None

    async def LeasePhases(self, request: Any, context: Any) -> Any:
        await self._see(request, context)
        answer = worker_service_pb2.LeasePhasesResponse(leases=self.leases)
        if self.poll_delay:
            answer.poll_delay.FromTimedelta(self.poll_delay)
        return answer

    async def ReportPhases(self, request: Any, context: Any) -> Any:
        await self._see(request, context)
        accepted = worker_service_pb2.PhaseDirective(
            action=worker_service_pb2.DIRECTIVE_ACTION_ACCEPTED
        )
        return worker_service_pb2.ReportPhasesResponse(
            directives=[accepted for _ in request.reports],
            next=worker_service_pb2.LeasePhasesResponse(leases=self.leases),
        )

    async def _see(self, request: Any, context: Any) -> None:
        self.seen.append(request)
        self.metadata = dict(context.invocation_metadata())
        self.seconds_left = context.time_remaining()
        if self.refuses is not None:
            await context.abort(self.refuses, "no")


async def get(request: Any, context: Any) -> Any:
    """Return an execution with a phase "plan", whose output is large."""
    assert request.view == execution_pb2.EXECUTION_VIEW_FULL
    assert list(request.phase_ids) == ["plan"]
    phase = execution_pb2.Phase(phase_id="plan")
    phase.output.CopyFrom(execution_pb2.Payload(data=b"large", media_type="text/plain"))
    return execution_service_pb2.GetResponse(
        execution=execution_pb2.Execution(execution_id=request.execution_id, phases=[phase])
    )


GET = grpc.method_handlers_generic_handler(
    "phaseline.v1.ExecutionService",
    {
        "Get": grpc.unary_unary_rpc_method_handler(
            get,
            request_deserializer=execution_service_pb2.GetRequest.FromString,
            response_serializer=execution_service_pb2.GetResponse.SerializeToString,
        )
    },
)


@pytest.fixture(autouse=True)
def _nothing_of_grpc_is_left() -> Iterator[None]:
    """The last of its objects joins a thread, which is not to be in the loop of a later test."""
    yield
    gc.collect(1)


@pytest.fixture
def served() -> Server:
    return Server()


@asynccontextmanager
async def connected(served: Server, token: str | None = None) -> AsyncIterator[GrpcSource]:
    server = grpc.aio.server()
    worker_service_pb2_grpc.add_WorkerServiceServicer_to_server(served, server)
    server.add_generic_rpc_handlers((GET,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with GrpcSource.connect(f"127.0.0.1:{port}", token=token) as source:
            yield source
    finally:
        await server.stop(None)


def lease(**outputs: execution_pb2.Payload) -> worker_service_pb2.PhaseLease:
    return worker_service_pb2.PhaseLease(
        lease_token="lease-1",
        phase=execution_pb2.Phase(execution_id="execution-1", phase_id="build", handler="work"),
        outputs=outputs,
    )


async def test_phases_are_leased(served: Server) -> None:
    served.leases = [lease()]

    async with connected(served) as source:
        (assignment,) = await source.lease(POLL)

    assert assignment.execution_id == "execution-1"
    assert served.seen[0].worker_id == "worker-1"


async def test_a_poll_may_take_longer_than_it_waits(served: Server) -> None:
    """The contract wants the wait to be a second less than the deadline, at least."""
    async with connected(served) as source:
        await source.lease(POLL)

    assert served.seconds_left > POLL.wait.total_seconds() + 1


async def test_the_server_can_put_off_the_next_poll(served: Server) -> None:
    served.poll_delay = timedelta(milliseconds=50)

    async with connected(served) as source:
        await source.lease(POLL)
        before = time.monotonic()
        await source.lease(POLL)

    assert time.monotonic() - before >= 0.05


async def test_reports_are_told_and_more_phases_leased(served: Server) -> None:
    served.leases = [lease()]
    report = Report("lease-0", 3, outcome=Completed(text_payload("done")))

    async with connected(served) as source:
        (directive,), (assignment,) = await source.report([report], POLL)

    assert directive.action is DirectiveAction.ACCEPTED
    assert assignment.lease_token == "lease-1"
    assert served.seen[0].reports[0].completed.output.data == b"done"
    assert served.seen[0].next.request_id == "request-1"


async def test_an_output_that_was_too_large_for_the_answer_is_fetched(served: Server) -> None:
    small = execution_pb2.Payload(data=b"", media_type="text/plain")
    served.leases = [lease(plan=execution_pb2.Payload(media_type="text/plain"), note=small)]

    async with connected(served) as source:
        (assignment,) = await source.lease(POLL)

    assert assignment.outputs["plan"].data == b"large"
    assert assignment.outputs["note"].data == b""


async def test_a_token_is_sent_with_each_call(served: Server) -> None:
    async with connected(served, token="secret") as source:
        await source.lease(POLL)

    assert served.metadata["authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.UNAVAILABLE, Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceeded),
        (grpc.StatusCode.UNAUTHENTICATED, Unauthenticated),
    ],
)
async def test_a_refusal_is_raised_as_ours(
    served: Server, code: grpc.StatusCode, error: type[Exception]
) -> None:
    served.refuses = code

    async with connected(served) as source:
        with pytest.raises(error):
            await source.lease(POLL)
        with pytest.raises(error):
            await source.report([Report("lease-1")], None)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with GrpcSource.connect("127.0.0.1:1") as source:
        with pytest.raises(Unavailable):
            await source.lease(POLL)


async def test_what_cannot_be_told_is_refused_before_it_is_sent(served: Server) -> None:
    report = Report("lease-1", operations=(OperationReport("bad \udcff byte", "tool"),))

    async with connected(served) as source:
        with pytest.raises(InvalidArgument, match="cannot be told"):
            await source.report([report], None)

    assert served.seen == []
