"""The service config that clients load: what it says of each RPC, and what gRPC makes of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from importlib import resources
from typing import Any, NamedTuple, Protocol

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from grpc_health.v1 import health
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from phaseline.v1 import (
    artifact_service_pb2,
    execution_service_pb2,
    execution_service_pb2_grpc,
    worker_service_pb2,
    workflow_service_pb2,
)

TEXT = resources.files("phaseline").joinpath("service_config.json").read_text()
CONFIG = json.loads(TEXT)
CONTRACT: dict[tuple[str, str], MethodDescriptor] = {
    (service.full_name, method.name): method
    for file in (
        artifact_service_pb2,
        execution_service_pb2,
        worker_service_pb2,
        workflow_service_pb2,
    )
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
IDEMPOTENT = {MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT}
LONGEST_WAIT = 60


class Entry(NamedTuple):
    """What the config says of one RPC."""

    name: tuple[str, str]
    config: dict[str, Any]

    @property
    def retried(self) -> bool:
        """Whether gRPC repeats the call."""
        return "retryPolicy" in self.config


def entries() -> Iterator[Entry]:
    """Yield what the config says of each RPC that it names."""
    for config in CONFIG["methodConfig"]:
        for name in config["name"]:
            yield Entry((name["service"], name["method"]), config)


def test_every_rpc_is_named_once_and_nothing_else() -> None:
    assert Counter(entry.name for entry in entries()) == Counter(CONTRACT.keys())


def test_exactly_the_calls_are_retried_that_may_be_made_twice() -> None:
    """Execute, ExecuteBatch and Retry are safe with a request_id only, which gRPC cannot see."""
    safe = {
        name
        for name, method in CONTRACT.items()
        if method.GetOptions().idempotency_level in IDEMPOTENT and not method.server_streaming
    }
    assert {entry.name for entry in entries() if entry.retried} == safe


def test_a_retry_is_made_only_when_the_server_did_not_do_it() -> None:
    codes = [
        entry.config["retryPolicy"]["retryableStatusCodes"] for entry in entries() if entry.retried
    ]
    assert all(code == ["UNAVAILABLE"] for code in codes)


def test_only_streams_may_last_for_ever() -> None:
    endless = {entry.name for entry in entries() if "timeout" not in entry.config}
    assert endless == {name for name, method in CONTRACT.items() if method.server_streaming}


def test_a_long_poll_is_not_cut_short() -> None:
    timeouts = {
        entry.name[1]: float(entry.config["timeout"].removesuffix("s"))
        for entry in entries()
        if entry.name[1] in {"Wait", "LeasePhases"}
    }
    assert all(timeout > LONGEST_WAIT + 1 for timeout in timeouts.values())
    assert len(timeouts) == 2


async def test_grpc_repeats_a_read_that_found_the_server_away(serve: Serve) -> None:
    server = await serve(away=1)
    async with _channel(server) as channel:
        await _get_status(channel)
    assert server.calls == ["GetStatus", "GetStatus"]


async def test_grpc_leaves_an_execute_to_the_caller(serve: Serve) -> None:
    server = await serve(away=1)
    async with _channel(server) as channel:
        stub = execution_service_pb2_grpc.ExecutionServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Execute(execution_service_pb2.ExecuteRequest())
    assert server.calls == ["Execute"]


async def test_every_healthy_replica_gets_calls_and_no_other(serve: Serve) -> None:
    draining = await serve(healthy=False)
    healthy = [await serve(), await serve()]
    async with _channel(draining, *healthy) as channel:
        while not all(server.calls for server in healthy):
            await _get_status(channel)
    assert draining.calls == []


class _Server(grpc.GenericRpcHandler):
    """Answers its first *away* calls UNAVAILABLE and every later one with nothing in it."""

    address: str

    def __init__(self, away: int) -> None:
        self.calls: list[str] = []
        self._away = away

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        service, _, method = details.method.removeprefix("/").partition("/")
        if not service.startswith("phaseline."):
            return None

        async def answer(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            self.calls.append(method)
            if len(self.calls) <= self._away:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


class Serve(Protocol):
    """Starts a server on a free port."""

    async def __call__(self, *, away: int = 0, healthy: bool = True) -> _Server: ...


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start servers that stop with the test."""
    async with AsyncExitStack() as running:

        async def start(*, away: int = 0, healthy: bool = True) -> _Server:
            server, handler, state = grpc.aio.server(), _Server(away), health.aio.HealthServicer()
            status = HealthCheckResponse.SERVING if healthy else HealthCheckResponse.NOT_SERVING
            await state.set("", status)
            add_HealthServicer_to_server(state, server)
            server.add_generic_rpc_handlers((handler,))
            handler.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
            await server.start()
            running.push_async_callback(server.stop, None)
            return handler

        yield start


def _channel(*servers: _Server) -> grpc.aio.Channel:
    target = "ipv4:" + ",".join(server.address for server in servers)
    return grpc.aio.insecure_channel(target, options=[("grpc.service_config", TEXT)])


async def _get_status(channel: grpc.aio.Channel) -> None:
    stub = execution_service_pb2_grpc.ExecutionServiceStub(channel)
    await stub.GetStatus(execution_service_pb2.GetStatusRequest())
