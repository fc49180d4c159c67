"""A server on a free port of this machine, and a channel to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from phaseline.domain.errors import PhaselineError
from phaseline.rpc.auth import Authenticator
from phaseline.rpc.health import Health
from phaseline.rpc.server import Options, build_server
from phaseline.v1.artifact_service_pb2_grpc import ArtifactServiceStub
from phaseline.v1.execution_service_pb2_grpc import ExecutionServiceStub
from phaseline.v1.worker_service_pb2_grpc import WorkerServiceStub
from phaseline.v1.workflow_service_pb2_grpc import WorkflowServiceStub
from phaseline.wire.status import error_of

LOCAL = "127.0.0.1:0"

# Held for as long as the tests run. Otherwise gRPC joins its thread whenever the last of its
# objects is collected, which may be within the loop of some later test, and blocks it.
grpc.aio.init_grpc_aio()


@dataclass(frozen=True)
class Api:
    """The services of one server, for callers."""

    channel: grpc.aio.Channel

    def raw(self, path: str) -> Any:
        """Return how to call the RPC at *path*, with bytes and for bytes."""
        return self.channel.unary_unary(path)

    @property
    def executions(self) -> Any:
        """ExecutionService."""
        return ExecutionServiceStub(self.channel)

    @property
    def workflows(self) -> Any:
        """WorkflowService."""
        return WorkflowServiceStub(self.channel)

    @property
    def workers(self) -> Any:
        """WorkerService."""
        return WorkerServiceStub(self.channel)

    @property
    def artifacts(self) -> Any:
        """ArtifactService."""
        return ArtifactServiceStub(self.channel)


@asynccontextmanager
async def serving(
    servicers: Mapping[str, object],
    *,
    health: Health | None = None,
    authenticator: Authenticator | None = None,
    options: Options | None = None,
) -> AsyncIterator[Api]:
    """Serve *servicers*, named without their package, for the block."""
    server, port = build_server(
        {f"phaseline.v1.{name}": (servicer,) for name, servicer in servicers.items()},
        health or Health(lambda: True),
        options or Options(LOCAL),
        authenticator,
    )
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Api(channel)
    finally:
        await server.stop(None)


async def refusal(call: Any) -> PhaselineError:
    """Return the error that *call* ends in."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error_of(error)
    raise AssertionError("the call was answered")
