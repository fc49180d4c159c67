"""What a server listens on, and what it allows its clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from phaseline.rpc.call import Call
from phaseline.rpc.health import Health
from phaseline.rpc.server import CannotListen, Options, build_server
from phaseline.v1 import execution_service_pb2 as pb
from tests.support.rpc import LOCAL, Api, refusal, serving


class Echo:
    """Answers with the id that it was asked about."""

    async def GetStatus(self, request: pb.GetStatusRequest, call: Call) -> pb.GetStatusResponse:
        return pb.GetStatusResponse(execution_id=request.execution_id)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving({"ExecutionService": Echo()}) as served:
        yield served


async def test_a_call_is_answered(api: Api) -> None:
    answer = await api.executions.GetStatus(pb.GetStatusRequest(execution_id="x-1"))
    assert answer.execution_id == "x-1"


async def test_two_servers_never_share_a_port() -> None:
    """By default gRPC lets them, and each gets half of the calls."""
    health = Health(lambda: True)
    server, port = build_server({}, health, Options(LOCAL))
    await server.start()
    with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1:{port}"):
        build_server({}, health, Options(f"127.0.0.1:{port}"))
    await server.stop(None)


async def test_a_server_may_listen_on_a_path(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/socket"
    server, _ = build_server(
        {"phaseline.v1.ExecutionService": (Echo(),)}, Health(lambda: True), Options(address)
    )
    await server.start()
    async with grpc.aio.insecure_channel(address) as channel:
        answer = await Api(channel).executions.GetStatus(pb.GetStatusRequest(execution_id="x"))
    await server.stop(None)
    assert answer.execution_id == "x"


async def test_a_request_larger_than_allowed_is_refused() -> None:
    options = Options(LOCAL, max_request_size=1000)
    async with serving({"ExecutionService": Echo()}, options=options) as api:
        await api.executions.GetStatus(pb.GetStatusRequest(execution_id="x" * 900))
        error = await refusal(
            api.executions.GetStatus(pb.GetStatusRequest(execution_id="x" * 1001))
        )
    assert error.reason == "RESOURCE_EXHAUSTED"


async def test_thousands_of_calls_at_once_are_all_answered() -> None:
    async with serving({"ExecutionService": Echo()}) as api:
        calls = [api.executions.GetStatus(pb.GetStatusRequest()) for _ in range(4000)]
        await asyncio.gather(*calls)


async def test_an_old_connection_is_replaced_without_a_failed_call() -> None:
    options = Options(
        LOCAL,
        max_connection_age=timedelta(milliseconds=50),
        max_connection_grace=timedelta(seconds=10),
    )
    async with serving({"ExecutionService": Echo()}, options=options) as api:
        seen = set[grpc.ChannelConnectivity]()
        state = api.channel.get_state(try_to_connect=True)
        while grpc.ChannelConnectivity.IDLE not in seen:
            await api.executions.GetStatus(pb.GetStatusRequest(), wait_for_ready=True)
            state = api.channel.get_state()
            seen.add(state)
            await asyncio.sleep(0)
