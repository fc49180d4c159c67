"""How fast single calls are answered, beside the ceiling of the same message sizes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from phaseline.bench.load import Load, load
from phaseline.bench.processes import echo_server
from phaseline.bench.results import Result
from phaseline.bench.target import Message, Rpc, apply_workflow, executions, rpc
from phaseline.v1 import execution_service_pb2 as pb2

CALLERS = 64
_SEED = 200


async def measure(address: str, *, seconds: float, only: tuple[str, ...]) -> AsyncIterator[Result]:
    """Yield rates and latencies of Execute, GetStatus, Get, List and ListActive."""
    async with grpc.aio.insecure_channel(address) as channel:
        workflow_id = await apply_workflow(channel, 3)
        ids = [
            (await executions(channel).Execute(_start(workflow_id))).execution_id
            for _ in range(_SEED)
        ]
        for name, remote, request in _calls(workflow_id, ids):
            if name in only:
                async for result in _beside_echo(channel, name, remote, request, seconds):
                    yield result


def _calls(workflow_id: str, ids: list[str]) -> list[tuple[str, Rpc, Callable[[], Message]]]:
    turn = iter(range(10**9))

    def next_id() -> str:
        return ids[next(turn) % len(ids)]

    return [
        (
            "execute",
            rpc("Execute", pb2.ExecuteResponse),
            lambda: _start(workflow_id),
        ),
        (
            "status",
            rpc("GetStatus", pb2.GetStatusResponse),
            lambda: pb2.GetStatusRequest(execution_id=next_id()),
        ),
        ("get", rpc("Get", pb2.GetResponse), lambda: pb2.GetRequest(execution_id=next_id())),
        ("list", rpc("List", pb2.ListResponse), pb2.ListRequest),
        ("active", rpc("ListActive", pb2.ListActiveResponse), pb2.ListActiveRequest),
    ]


def _start(workflow_id: str) -> pb2.ExecuteRequest:
    return pb2.ExecuteRequest(workflow_id=workflow_id)


async def _beside_echo(
    channel: grpc.aio.Channel,
    name: str,
    remote: Rpc,
    request: Callable[[], Message],
    seconds: float,
) -> AsyncIterator[Result]:
    sample: Any = Rpc(remote.path, bytes).on(channel)
    async with echo_server(await sample(request())) as echo_address:
        async with grpc.aio.insecure_channel(echo_address) as echo:
            ceiling = await _load(echo, remote, request, seconds)
    ours = await _load(channel, remote, request, seconds)
    yield Result(f"{name}, {CALLERS} callers", ours.rate, "/s", ceiling.rate)
    yield Result(f"{name}, p50", ours.p50, "ms")
    yield Result(f"{name}, p99", ours.p99, "ms")


async def _load(
    channel: grpc.aio.Channel, remote: Rpc, request: Callable[[], Message], seconds: float
) -> Load:
    call = remote.on(channel)
    return await load(lambda: call(request()), callers=CALLERS, seconds=seconds)
