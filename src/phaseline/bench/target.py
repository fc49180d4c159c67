"""The server that is measured: how it is called, and what is put into it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, Self

import grpc
import msgspec

from phaseline.bench.channels import channel_to
from phaseline.bench.crowd import gathered
from phaseline.bench.processes import Running
from phaseline.v1 import execution_service_pb2 as pb2
from phaseline.v1 import (
    execution_service_pb2_grpc,
    worker_service_pb2_grpc,
    workflow_pb2,
    workflow_service_pb2,
    workflow_service_pb2_grpc,
)

#: Handler of the phases that do nothing.
HANDLER = "nothing"

_BATCH = 1000
_PAGE = 100
_CANCELLERS = 64


class Message(Protocol):
    """A protobuf message."""

    def SerializeToString(self) -> bytes: ...


def _bytes_of(message: Message) -> bytes:
    return message.SerializeToString()


class Rpc(msgspec.Struct, frozen=True):
    """A unary RPC: how it is called, and how its answer is read."""

    path: str
    read: Callable[[bytes], Any]

    @classmethod
    def of(cls, method: str, answer: type[Any]) -> Self:
        """Return an RPC of `ExecutionService`."""
        return cls(f"/phaseline.v1.ExecutionService/{method}", answer.FromString)

    def on(self, channel: grpc.aio.Channel) -> Callable[[Message], Any]:
        """Return the call, as a stub would make it."""
        call: Callable[[Message], Any] = channel.unary_unary(
            self.path, request_serializer=_bytes_of, response_deserializer=self.read
        )
        return call


class Queues(msgspec.Struct, frozen=True):
    """
    The queues of one measurement.

    What is started in `working` is run by its worker, what is started in `idle` by nobody. Whatever
    other workers a server has, they take neither.
    """

    working: str
    idle: str

    @classmethod
    def new(cls) -> Self:
        """Return queues that nothing else uses."""
        mark = secrets.token_hex(4)
        return cls(f"bench-working-{mark}", f"bench-idle-{mark}")


class Target:
    """A running server, and what one measurement has in it."""

    def __init__(
        self, address: str, channel: grpc.aio.Channel, queues: Queues, server: Running | None
    ) -> None:
        self.address = address
        self.channel = channel
        self.queues = queues
        #: None for a server that was running already.
        self._server = server
        self.executions = execution_service_pb2_grpc.ExecutionServiceStub(channel)
        self.workers = worker_service_pb2_grpc.WorkerServiceStub(channel)
        self._workflows = workflow_service_pb2_grpc.WorkflowServiceStub(channel)

    @property
    def is_ours(self) -> bool:
        """The server was started for the measurement."""
        return self._server is not None

    @property
    def server(self) -> Running:
        """The process of the server, which was started for the measurement."""
        assert self._server is not None, "the plan keeps scenarios away that need it"
        return self._server

    async def workflow(self, phases: int, *, handler: str = HANDLER) -> str:
        """Store a workflow of so many phases, which do nothing unless told, and return its id."""
        workflow = workflow_pb2.Workflow(
            workflow_id=f"bench-{phases}" if handler == HANDLER else f"{handler}-{phases}",
            phases=[
                workflow_pb2.PhaseSpec(phase_id=f"phase-{at}", handler=handler)
                for at in range(phases)
            ],
        )
        request = workflow_service_pb2.ApplyWorkflowRequest(workflow=workflow)
        await self._workflows.ApplyWorkflow(request)
        return workflow.workflow_id

    async def start_idle(self, count: int) -> list[str]:
        """Start executions of three phases that stay active, and return their ids."""
        one = pb2.ExecuteRequest(workflow_id=await self.workflow(3), queue_name=self.queues.idle)
        ids: list[str] = []
        while len(ids) < count:
            batch = [one] * min(_BATCH, count - len(ids))
            answer = await self.executions.ExecuteBatch(pb2.ExecuteBatchRequest(executions=batch))
            ids += [result.execution.execution_id for result in answer.results]
        return ids

    async def keep_idle(self, count: int) -> None:
        """Start executions that stay active, as far as there are fewer."""
        await self.start_idle(count - (await self._active(self.queues.idle)).total_size)

    async def cancel_all(self, *queue_names: str) -> None:
        """Cancel what is active in these queues."""
        while active := (await self._active(*queue_names)).executions:
            await gathered(self._cancel, (one.execution_id for one in active), at_once=_CANCELLERS)

    async def _active(self, *queue_names: str) -> pb2.ListActiveResponse:
        only = pb2.ExecutionFilter(queue_names=queue_names)
        return await self.executions.ListActive(pb2.ListActiveRequest(filter=only, limit=_PAGE))

    async def _cancel(self, execution_id: str) -> None:
        await self.executions.Cancel(pb2.CancelRequest(execution_id=execution_id))


@asynccontextmanager
async def connected(
    address: str, queues: Queues, server: Running | None = None, *, connections: int = 1
) -> AsyncIterator[Target]:
    """Connect the block to the server at *address*; leave nothing active there."""
    async with channel_to(address, connections) as channel:
        target = Target(address, channel, queues, server)
        yield target
        if server is None:
            await target.cancel_all(queues.working, queues.idle)
