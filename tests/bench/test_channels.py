"""Calls take turns on connections, each of which another process may have got."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from phaseline.bench.channels import channel_to


class Peers(grpc.GenericRpcHandler):
    """Answers each call with the connection that it came on."""

    def service(self, handler_call_details: Any) -> Any:
        async def one(body: bytes, context: Any) -> bytes:
            return str(context.peer()).encode()

        async def two(body: bytes, context: Any) -> AsyncIterator[bytes]:
            yield await one(body, context)
            yield await one(body, context)

        if handler_call_details.method.endswith("two"):
            return grpc.unary_stream_rpc_method_handler(two)
        return grpc.unary_unary_rpc_method_handler(one)


@pytest.fixture
async def address() -> AsyncIterator[str]:
    server = grpc.aio.server(handlers=(Peers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.mark.parametrize("connections", [1, 3])
async def test_calls_take_turns_on_connections(address: str, connections: int) -> None:
    async with channel_to(address, connections) as channel:
        call = channel.unary_unary("/peers/one")
        peers = [await call(b"") for _ in range(2 * connections)]
        assert len(set(peers)) == connections
        assert peers[:connections] == peers[connections:]
        stream = channel.unary_stream("/peers/two")
        streamed = [{peer async for peer in stream(b"")} for _ in range(connections)]
        assert set.union(*streamed) == set(peers)
        assert all(len(own) == 1 for own in streamed)
