"""The server that is measured: started for it, or running somewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import grpc
import msgspec

from phaseline.v1 import (
    execution_service_pb2_grpc,
    workflow_pb2,
    workflow_service_pb2,
    workflow_service_pb2_grpc,
)

#: Handler of the phases that do nothing.
HANDLER = "nothing"


class Message(Protocol):
    """A protobuf message."""

    def SerializeToString(self) -> bytes: ...


class Rpc(msgspec.Struct, frozen=True):
    """A unary RPC: how it is called, and how its answer is read."""

    path: str
    read: Callable[[bytes], Any]

    def on(self, channel: grpc.aio.Channel) -> Callable[[Message], Any]:
        """Return the call, as a stub would make it."""
        return channel.unary_unary(
            self.path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=self.read,
        )


def rpc(method: str, answer: type[Any]) -> Rpc:
    """Return an RPC of `ExecutionService`."""
    return Rpc(f"/phaseline.v1.ExecutionService/{method}", answer.FromString)


async def apply_workflow(channel: grpc.aio.Channel, phases: int) -> str:
    """Store a workflow of so many phases that do nothing, and return its id."""
    workflow = workflow_pb2.Workflow(
        workflow_id=f"bench-{phases}",
        phases=[
            workflow_pb2.PhaseSpec(phase_id=f"phase-{at}", handler=HANDLER) for at in range(phases)
        ],
    )
    stub = workflow_service_pb2_grpc.WorkflowServiceStub(channel)
    await stub.ApplyWorkflow(workflow_service_pb2.ApplyWorkflowRequest(workflow=workflow))
    return workflow.workflow_id


def executions(channel: grpc.aio.Channel) -> execution_service_pb2_grpc.ExecutionServiceAsyncStub:
    """Return the stub of `ExecutionService`."""
    return execution_service_pb2_grpc.ExecutionServiceStub(channel)
